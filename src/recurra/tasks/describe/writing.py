"""What a model says of things: texts that are drawn or searched for, and values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from recurra.decoding import BeamSettings, Constraints, Hypothesis, Sampler, beam_search, sample_sequences
from recurra.equations import nearest
from recurra.models import VectorToSequence
from recurra.models.evaluation import evaluating
from recurra.tasks.config import ConfigError
from recurra.tasks.describe.config import DecodeConfig, DescribeConfig
from recurra.tasks.describe.data import END as _END
from recurra.tasks.describe.data import START, Alphabet, cut
from recurra.tasks.wording import Wording, require_room

_ROWS = 64  # things written of at once
_NEVER = (0, START)  # symbols that no text has: the unknown one and the start


@dataclass(frozen=True)
class Written:
    """A text that a model wrote.

    Attributes:
        text: the text.
        symbols: its symbols.
        score: what a search ranked it by; of a text that was drawn, its log-probability.
        log_probability: of the text and its end, in nats.
        attention: where each of them looked, [T, R], or None.
    """

    text: str
    symbols: list[str]
    score: float
    log_probability: float
    attention: np.ndarray | None = None


def samples(settings: DecodeConfig, kind: str) -> bool:
    """Whether texts are drawn, not searched for."""
    return settings.way == "sample" or (settings.way == "auto" and kind == "class")


def write(
    model: VectorToSequence, alphabet: Alphabet, config: DescribeConfig, things: np.ndarray, seed: int
) -> Iterator[Written]:
    """A text of each thing, the best that is found; see `candidates`."""
    return (best for best, *_ in candidates(model, alphabet, config, things, seed))


@torch.no_grad()
def candidates(
    model: VectorToSequence, alphabet: Alphabet, config: DescribeConfig, things: np.ndarray, seed: int, nbest: int = 1
) -> Iterator[list[Written]]:
    """At most `nbest` texts of each thing, the best first: of classes int64 [N], of features [N, F] or [N, R, F].

    Raises:
        ConfigError: the model writes values, not texts; or the settings name a symbol that it does not write, ask for
            what texts that are drawn do not have, or contradict one another.
    """
    if alphabet.width:
        raise ConfigError("the model writes values, not texts; take `values`")
    device = next(model.parameters()).device
    settings = config.decode
    drawn, maximum = samples(settings, alphabet.kind), settings.maximum or alphabet.steps
    wording = Wording(lambda text: cut(text, alphabet.level, config), alphabet.symbols)
    required = wording.phrases(settings.required)
    for key, given in (("required", required), ("coverage_penalty", settings.coverage_penalty), ("nbest", nbest > 1)):
        if given and drawn:
            raise ConfigError(f"decode.{key} is for texts that are searched for: set decode.way=search as well")
    if settings.coverage_penalty and config.model.attention == "none":
        raise ConfigError("decode.coverage_penalty needs attention, and this model was made without")
    require_room(maximum, settings.minimum, required)
    forbidden = [*_NEVER, *wording.forbidden(settings.forbidden)]
    constraints = Constraints(minimum=settings.minimum, forbidden=forbidden)
    generator = torch.Generator(device).manual_seed(seed)
    with evaluating(model):
        for begin in range(0, len(things), _ROWS):
            given = torch.from_numpy(things[begin : begin + _ROWS]).to(device)
            state, start = model.start(model.encode(given)), torch.full((len(given),), START, device=device)
            if drawn:
                one_each = sample_sequences(
                    model.step,
                    state,
                    start,
                    end=_END,
                    maximum=maximum,
                    sampler=Sampler(settings.temperature, settings.top_k, settings.top_p),
                    generator=generator,
                    select=model.select,
                    constraints=constraints,
                )
                found = [[one] for one in one_each]
            else:
                beam = BeamSettings(
                    end=_END,
                    maximum=maximum,
                    size=settings.beam,
                    length_penalty=settings.length_penalty,
                    coverage_penalty=settings.coverage_penalty,
                    nbest=nbest,
                    constraints=constraints,
                    required=[required] * len(given) if required else None,
                )
                found = beam_search(model.step, model.select, state, start, beam)
            for ranks in found:
                yield [_written(one, alphabet) for one in ranks]


def _written(one: Hypothesis, alphabet: Alphabet) -> Written:
    numbers = [int(k) for k in one.tokens if int(k) != _END]
    looks = None if one.attention is None else one.attention[: len(numbers)].cpu().numpy()
    symbols = [alphabet.symbols[k] for k in numbers]
    return Written(alphabet.text(numbers), symbols, one.score, one.log_probability, looks)


@torch.no_grad()
def values(
    model: VectorToSequence, alphabet: Alphabet, things: np.ndarray, steps: int, seed: int | None = None
) -> np.ndarray:
    """The values [N, steps, K] that follow from features [N, F] or [N, R, F], each read back as the next input.

    Without a `seed` they are what the model expects at each step; with one they are drawn.
    """
    device, found = next(model.parameters()).device, []
    feed, generator = ("best", None) if seed is None else ("sample", torch.Generator(device).manual_seed(seed))
    with evaluating(model):
        for begin in range(0, len(things), _ROWS):
            given = torch.from_numpy(things[begin : begin + _ROWS]).to(device)
            first = torch.zeros(len(given), alphabet.width, device=device)
            made = model.roll_out(model.encode(given), first, steps, feed=feed, generator=generator)
            found.append(made.cpu().numpy())
    return np.concatenate(found)


def features_of(words: Sequence[str], alphabet: Alphabet) -> np.ndarray:
    """Features [F] from words: numbers, in order, and names of features, which become 1.

    Beside names, features that no number is given for are 0.

    Raises:
        ConfigError: a word is neither, or there are too few or too many numbers.
    """
    found = np.zeros(alphabet.size, dtype=np.float32)
    columns, listed = alphabet.columns, ", ".join(alphabet.columns)
    named, given = [columns.index(word) for word in words if word in columns], []
    for word in words:
        if word in columns:
            continue
        try:
            given.append(float(word))
        except ValueError:
            known = f", and none of the names {listed}" if columns else ""
            raise ConfigError(f"{word!r} is no number{known}{nearest(word, columns)}") from None
    most = min(named) if named else alphabet.size
    if len(given) > most or (not named and len(given) < most):
        before = f" before {columns[most]!r}" if named else ""
        raise ConfigError(
            f"of numbers {len(given)} are given, {most} expected{before}: the model reads {alphabet.size} features"
            + (f" ({listed})" if columns else "")
        )
    found[: len(given)] = given
    found[named] = 1.0
    return found
