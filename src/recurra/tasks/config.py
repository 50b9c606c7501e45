"""The settings every task shares: how to walk through the data, and how to change the parameters.

Plain dataclasses, so that a file, a command line and Python all fill the same fields. Each field carries its meaning,
its unit and what the default does in `metadata["help"]`; `__post_init__` refuses values that cannot be meant.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recurra import cells
from recurra.equations import nearest
from recurra.equations.graph import parted
from recurra.equations.program import Program

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "cosine", "step", "plateau", "zaremba")
CLIPPINGS = ("norm", "parameter", "value")
# From where to where k of each schedule of scheduled sampling makes sense.
SAMPLING_SCHEDULES = {"linear": (0.0, 1.0), "exponential": (0.0, 1.0), "inverse_sigmoid": (1.0, float("inf"))}

# Where neither steps, epochs nor seconds are given.
DEFAULT_EPOCHS = 10


class ConfigError(ValueError):
    """A setting that is unknown, of the wrong type or out of range; the text says which, and how to mend it."""


def setting(default: Any, text: str) -> Any:
    """A dataclass field with its `default` and a `text` of help: meaning, unit, what the default does."""
    return field(default=default, metadata={"help": text})


def require_widths(cell: str, widths: Mapping[str, int]) -> None:
    """Raise a ConfigError unless `widths`, set as `model.widths`, are those that the cell has beside I and H.

    Raises CellError where the cell is unknown.
    """
    known = {parted(w)[0] for w in Program(cells.get(cell)).widths} - {"I", "H"}
    for name in sorted(known - widths.keys()):
        raise ConfigError(f"the cell {cell} has a width {name} beside its units: set model.widths.{name}=64")
    for name in sorted(widths.keys() - known):
        raise ConfigError(
            f"model.widths.{name}: the cell {cell} has no such width; beside its units it has "
            f"{', '.join(sorted(known)) or 'none'}"
        )


def require_choice(key: str, value: str, choices: Iterable[str]) -> None:
    """Raise a ConfigError unless `value` is one of `choices`; `key` is the setting's full name."""
    choices = tuple(choices)
    if value not in choices:
        raise ConfigError(f"{key}={value!r} is not one of {', '.join(choices)}{nearest(value, choices)}")


def require_range(key: str, value: float | None, low: float, high: float = float("inf")) -> None:
    """Raise a ConfigError unless `value` is None or low <= value <= high; `key` is the setting's full name."""
    if value is not None and not low <= value <= high:
        bounds = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
        raise ConfigError(f"{key}={value:g} is out of range: it must be {bounds}")


def names_in(text: str) -> tuple[str, ...]:
    """The names in a setting that holds several, with commas between."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass
class TaskConfig:
    """What the settings of every task begin with; each says itself what its name is and what it learns from."""

    task: str = setting("", "the task")
    data: str = setting("", "what to learn")
    seed: int = setting(0, "seed of every random number")
    run: str | None = setting(None, "the run folder; null: a fresh one under runs/")
    engine: str = setting(
        "auto", "what runs the recurrent layers; auto: the fastest that can, `recurra doctor` lists all"
    )


@dataclass
class LoopConfig:
    """How the loop walks through the data. Where several of steps, epochs and seconds are set, the first reached ends
    the run; where none is, it ends after 10 epochs."""

    batch: int = setting(32, "rows trained at once, in each process")
    steps: int | None = setting(None, "parameter updates to make; null: no limit")
    epochs: int | None = setting(None, "passes over the training data; null: no limit (10 if nothing else is set)")
    seconds: float | None = setting(None, "wall time of training to spend, in seconds; null: no limit")
    log_every: int = setting(10, "updates between two lines of metrics.jsonl")
    validate_every: int | None = setting(None, "updates between two validations; null: once an epoch; 0: never")
    checkpoint_every: int = setting(500, "updates between two checkpoints; 0: only when the run ends or is interrupted")
    sample_every: int | None = setting(None, "updates between two samples; null: with each validation; 0: never")
    patience: int = setting(0, "validations without a better result before the run stops early; 0: never stop early")
    device: str = setting("auto", "where to compute: cpu, cuda, cuda:1, ...; auto: cuda where there is one, else cpu")

    def __post_init__(self) -> None:
        for name, low in (("batch", 1), ("steps", 1), ("epochs", 1), ("seconds", 0), ("log_every", 1)):
            require_range(f"train.{name}", getattr(self, name), low)
        for name in ("validate_every", "checkpoint_every", "sample_every", "patience"):
            require_range(f"train.{name}", getattr(self, name), 0)

    @property
    def epoch_limit(self) -> int | None:
        """Epochs after which the run ends, or None where only steps or seconds end it."""
        if self.steps is None and self.epochs is None and self.seconds is None:
            return DEFAULT_EPOCHS
        return self.epochs


@dataclass
class TrainConfig(LoopConfig):
    """How the loop walks through one long text or several, whose state is carried from batch to batch."""

    bptt: int = setting(64, "steps the gradient travels back before the carried state is detached, in tokens")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("train.bptt", self.bptt, 1)


@dataclass
class RecurrentConfig:
    """What stands in and around the recurrence beside its equations: noise in training (between the layers it is
    `model.dropout`), and normalisation."""

    dropout: float = setting(
        0.0, "chance that a unit of the state is hidden from the matrices that read it, the same units all along"
    )
    zoneout: float = setting(0.0, "chance that a unit of the state keeps its value of the step before")
    weight_drop: float = setting(0.0, "chance that an element of a recurrent matrix is zero in an update")
    normalisation: str = setting("none", "none, layer or batch (LiGRU's); not inside a decoder")
    normalised: str = setting(
        "projection", "what is normalised: projection (the products W x of every layer) or between (the layers)"
    )
    over_time: bool = setting(False, "batch: statistics over all steps too, where an output may know later inputs")

    def __post_init__(self) -> None:
        for name in ("dropout", "zoneout", "weight_drop"):
            require_range(f"recurrent.{name}", getattr(self, name), 0, 0.99)
        require_choice("recurrent.normalisation", self.normalisation, ("none", "layer", "batch"))
        require_choice("recurrent.normalised", self.normalised, ("projection", "between"))
        if self.over_time and self.normalisation != "batch":
            raise ConfigError("recurrent.over_time is for batch normalisation: set recurrent.normalisation=batch too")


@dataclass
class SplitConfig:
    """Which examples are kept from training: to choose the best parameters, and to test them."""

    valid: str = setting("0.1", "validation data: a fraction of the examples, drawn by the seed, or a path")
    test: str | None = setting(
        None, "test data, which `recurra evaluate RUN` measures: a fraction or a path; null: the validation data"
    )

    def __post_init__(self) -> None:
        for name in ("valid", "test"):
            fraction = as_fraction(getattr(self, name))
            if fraction is not None and not 0 < fraction < 1:
                raise ConfigError(
                    f"split.{name}={fraction:g} is out of range: give a fraction above 0 and below 1 such as 0.1, "
                    "or a path"
                )


def as_fraction(value: str | None) -> float | None:
    """The number that a setting of a fraction or a path holds, or None where it is a path or nothing."""
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


@dataclass
class SamplingConfig:
    """Scheduled sampling: in training, some of the outputs that are read back are the model's own."""

    schedule: str = setting(
        "none",
        "how ε, the chance to read the true output, falls with the number i of updates: linear (k − slope · i), "
        "exponential (k to the power of i), inverse_sigmoid (k / (k + exp(i / k))); none: it stays 1, teacher forcing",
    )
    k: float | None = setting(None, "k of the schedule; null: 1 for linear, 0.9999 for exponential, 1000 otherwise")
    slope: float = setting(1e-4, "linear: by how much the chance falls with an update")
    minimum: float = setting(0.0, "chance below which it does not fall")
    way: str = setting(
        "parallel",
        "how the model's own outputs are found: parallel, after the true ones, in one more pass; exact, step by step, "
        "each after all that was read",
    )
    feed: str = setting("sample", "what is read: a sample of what the model says, or the best, the likeliest")

    def __post_init__(self) -> None:
        require_choice("sampling.schedule", self.schedule, ("none", *SAMPLING_SCHEDULES))
        require_choice("sampling.way", self.way, ("parallel", "exact"))
        require_choice("sampling.feed", self.feed, ("sample", "best"))
        low, high = SAMPLING_SCHEDULES.get(self.schedule, (0.0, float("inf")))
        require_range("sampling.k", self.k, low, high)
        require_range("sampling.slope", self.slope, 0)
        require_range("sampling.minimum", self.minimum, 0, 1)


@dataclass
class OptimizerConfig:
    """How the gradient changes the parameters: the rule, clipping, and the learning rate over time."""

    name: str = setting("adam", "update rule: sgd, adam, adamw (decoupled weight decay) or rmsprop")
    lr: float = setting(0.002, "learning rate at its highest")
    momentum: float = setting(0.0, "momentum of sgd and rmsprop, 0 to 1")
    weight_decay: float = setting(0.0, "weight decay, on every parameter: added to the gradient; decoupled in adamw")
    weight_noise: float = setting(
        0.0, "standard deviation of the Gaussian noise on every parameter while a gradient is taken; 0: none"
    )
    beta1: float = setting(0.9, "adam, adamw: decay of the running mean of the gradient")
    beta2: float = setting(0.999, "adam, adamw: decay of the running mean of its square")
    alpha: float = setting(0.99, "rmsprop: decay of the running mean of the gradient's square")
    epsilon: float = setting(1e-8, "adam, adamw, rmsprop: added to the denominator")
    clip: float = setting(1.0, "largest gradient let through, measured as clip_by says; 0: no clipping")
    clip_by: str = setting(
        "norm", "what clip limits: norm (of all gradients together), parameter (each one's own norm) or value"
    )
    schedule: str = setting(
        "constant",
        "learning rate over time: constant; cosine (down to minimum at the end of the run); step (times decay every "
        "decay_every updates); plateau (times decay when validation stops improving); zaremba (times decay after each "
        "epoch once hold epochs have passed)",
    )
    warmup: int = setting(0, "updates over which the learning rate rises from 0, before any schedule")
    decay: float = setting(0.5, "step, plateau, zaremba: factor of each lowering, 0 to 1")
    decay_every: int = setting(1000, "step: updates between two lowerings")
    hold: int = setting(4, "zaremba: epochs at the full learning rate")
    tolerance: int = setting(0, "plateau: validations without a better result that are let pass before a lowering")
    minimum: float = setting(0.0, "learning rate that cosine ends at and that no schedule goes below")

    def __post_init__(self) -> None:
        require_choice("optimizer.name", self.name, OPTIMIZERS)
        require_choice("optimizer.clip_by", self.clip_by, CLIPPINGS)
        require_choice("optimizer.schedule", self.schedule, SCHEDULES)
        for name in ("lr", "weight_decay", "weight_noise", "epsilon", "clip", "warmup", "hold", "tolerance", "minimum"):
            require_range(f"optimizer.{name}", getattr(self, name), 0)
        for name in ("momentum", "beta1", "beta2", "alpha", "decay"):
            require_range(f"optimizer.{name}", getattr(self, name), 0, 1)
        require_range("optimizer.decay_every", self.decay_every, 1)
