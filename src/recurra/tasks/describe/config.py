"""The settings of describing."""

from dataclasses import dataclass, field

from recurra.models.vector_to_sequence import FED
from recurra.tasks.config import (
    ConfigError,
    LoopConfig,
    OptimizerConfig,
    RecurrentConfig,
    SamplingConfig,
    SplitConfig,
    TaskConfig,
    as_fraction,
    require_choice,
    require_range,
    setting,
)
from recurra.tasks.ranking import require_in_beam
from recurra.tasks.wording import DrawingConfig

SCORES = ("additive", "dot", "general", "concat", "scaled")


@dataclass
class ModelConfig:
    """The model: what is given, how it reaches the decoder, the decoder."""

    cell: str = setting(
        "lstm",
        "the recurrent cell: one that `recurra cells` lists, with options in brackets, or one of yours, FILE.py:NAME",
    )
    hidden: int = setting(128, "width of each layer, in units")
    widths: dict[str, int] = field(
        default_factory=dict,
        metadata={"help": "what else the cell has a width for, by its name: model.widths.P=64 for projected_lstm"},
    )
    layers: int = setting(1, "number of layers")
    embedding: int = setting(64, "width of the vectors of classes and of symbols, in units")
    fed: str = setting(
        "every",
        "how what is given reaches the decoder: first (as an input before the first one), every (as an input at every "
        "step), state (as the state it starts from)",
    )
    mapped: int = setting(0, "width that features are brought to first, tanh(W f + b); 0: they stay as they are")
    attention: str = setting(
        "none", "of a grid: how each step looks at its places: none, additive, dot, general, concat, scaled"
    )
    readout: int = setting(0, "width of a hidden layer before the output; 0: none")
    dropout: float = setting(
        0.0, "chance that a value is dropped in training: of what is read, of the grid, between layers, on the top"
    )
    frames: str = setting(
        "mse",
        "of values: what is said of each: mse, mae or huber (a number), gaussian, student; labels (0 or 1, each by a "
        "chance of its own, such as the keys that sound)",
    )
    tied: bool = setting(False, "share the vectors of symbols with the output layer")

    def __post_init__(self) -> None:
        require_choice("model.fed", self.fed, FED)
        require_choice("model.attention", self.attention, ("none", *SCORES))
        require_choice("model.frames", self.frames, ("mse", "mae", "huber", "gaussian", "student", "labels"))
        for name in ("hidden", "layers", "embedding"):
            require_range(f"model.{name}", getattr(self, name), 1)
        for name in ("mapped", "readout"):
            require_range(f"model.{name}", getattr(self, name), 0)
        for name, size in self.widths.items():
            require_range(f"model.widths.{name}", size, 1)
        require_range("model.dropout", self.dropout, 0, 0.99)


@dataclass
class ThingsConfig:
    """What is described, where it is not known by its name alone."""

    array: str = setting("x", "array of an .npz file that holds the features")
    captions: str | None = setting(
        None, "file with the texts of an .npz file's things: a name, a tab and a text on each line"
    )


@dataclass
class TextConfig:
    """Texts that are written."""

    level: str = setting("auto", "what a symbol is: char, word (parted by blanks); auto: char of classes, else word")
    lowercase: bool = setting(False, "read every letter as its small one")
    minimum_count: int = setting(1, "symbols met fewer times in training than this become <unk>")
    label_column: str = setting("label", "name of the column with the label, where the first line has names")
    text_column: str = setting("text", "name of the column with the text, where the first line has names")
    separator: str = setting(
        "auto", "what parts the columns of a table: tab, comma, semicolon, space (the first one) or auto"
    )

    def __post_init__(self) -> None:
        require_choice("text.level", self.level, ("auto", "char", "word"))
        require_choice("text.separator", self.separator, ("auto", "tab", "comma", "semicolon", "space"))
        require_range("text.minimum_count", self.minimum_count, 1)


@dataclass
class DecodeConfig(DrawingConfig):
    """How texts and values are written by a trained model, which can be set anew each time it is used."""

    way: str = setting(
        "auto",
        "sample (drawn from the model) or search (the likeliest that is found; of values, what is expected at each "
        "step); auto: sample of classes only",
    )
    beam: int = setting(3, "search: hypotheses kept; 1: the likeliest symbol at each step")
    length_penalty: float = setting(0.0, "search: above 0 longer texts gain")
    coverage_penalty: float = setting(0.0, "search, of grids: how much a place not looked at costs; 0: nothing")
    nbest: int | None = setting(None, "search: texts that --nbest prints of each thing; null: all that the beam holds")
    maximum: int | None = setting(None, "most symbols of a text; null: those of the longest text learnt from")
    draws: int = setting(100, "texts that `evaluate` draws of each class")
    classifier: str | None = setting(
        None, "run folder of a classifier of the same classes, which `evaluate` asks whose the texts drawn are"
    )
    steps: int | None = setting(None, "frames of values; null: those of the longest sequence learnt from")
    beats: float = setting(0.5, "length of a frame in quarter notes, in MIDI files")
    tempo: float = setting(100.0, "quarter notes a minute, in MIDI files")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("decode.way", self.way, ("auto", "sample", "search"))
        require_range("decode.beats", self.beats, 1 / 64, 16)
        require_range("decode.tempo", self.tempo, 4, 1000)
        for name in ("beam", "maximum", "draws", "steps", "nbest"):
            require_range(f"decode.{name}", getattr(self, name), 1)
        require_range("decode.coverage_penalty", self.coverage_penalty, 0)
        require_in_beam(self.nbest, self.beam)


@dataclass
class LossConfig:
    """What is minimised."""

    smoothing: float = setting(
        0.0, "label smoothing of texts: part of the target that is spread evenly over all symbols"
    )

    def __post_init__(self) -> None:
        require_range("loss.smoothing", self.smoothing, 0, 0.99)


@dataclass
class ScoreConfig:
    """What says, in a validation, which parameters are the best."""

    criterion: str = setting(
        "nats",
        "of texts: nats (a symbol), or, of texts about features, bleu (BLEU-4 of texts that are written); of values it "
        "is their error in any case",
    )
    things: int = setting(200, "criterion=bleu: validation things, evenly drawn, that are described in each validation")

    def __post_init__(self) -> None:
        require_choice("score.criterion", self.criterion, ("nats", "bleu"))
        require_range("score.things", self.things, 1)


@dataclass
class PartsConfig(SplitConfig):
    """Which examples are kept from training, of data that are not parted by their own file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("valid", "test"):
            value = getattr(self, name)
            if value is not None and as_fraction(value) is None:
                raise ConfigError(f"split.{name}={value}: expected a fraction such as 0.1; a file has its own parts")


@dataclass
class DescribeConfig(TaskConfig):
    """All settings of a model that describes, and of its training."""

    task: str = setting("describe", "the task: describe, one thing to a sequence")
    data: str = setting(
        "",
        "what to learn: a table of labels and texts or a folder with a text file for each label; an .npz file of "
        "features with texts or values; or builtin:waves",
    )
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    train: LoopConfig = field(default_factory=LoopConfig, metadata={"help": "the way through the data"})
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    split: PartsConfig = field(default_factory=PartsConfig, metadata={"help": "what is kept from training"})
    things: ThingsConfig = field(default_factory=ThingsConfig, metadata={"help": "what is described"})
    text: TextConfig = field(default_factory=TextConfig, metadata={"help": "texts that are written"})
    loss: LossConfig = field(default_factory=LossConfig, metadata={"help": "what is minimised"})
    recurrent: RecurrentConfig = field(
        default_factory=RecurrentConfig, metadata={"help": "noise and normalisation of the recurrence"}
    )
    sampling: SamplingConfig = field(default_factory=SamplingConfig, metadata={"help": "scheduled sampling"})
    decode: DecodeConfig = field(default_factory=DecodeConfig, metadata={"help": "how texts are written"})
    score: ScoreConfig = field(default_factory=ScoreConfig, metadata={"help": "how a validation is measured"})
