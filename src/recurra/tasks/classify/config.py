"""The settings of classification."""

from dataclasses import dataclass, field

from recurra.tasks.config import (
    ConfigError,
    LoopConfig,
    OptimizerConfig,
    RecurrentConfig,
    SplitConfig,
    TaskConfig,
    require_choice,
    require_range,
    setting,
)

KINDS = ("recurrent", "bag", "positions", "window", "tdnn")
SUMMARIES = ("auto", "last", "step", "mean", "max", "attention")


@dataclass
class ModelConfig:
    """The model: what enters, the body that reads it, what stands for the whole, and the head over the classes."""

    kind: str = setting(
        "recurrent",
        "what reads the sequence: recurrent; or, to compare, bag (one map for every step, no order), positions (a map "
        "for each place), window (a feed-forward net on the last steps), tdnn (delays at every layer)",
    )
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
    bidirectional: bool = setting(False, "a second set of recurrent layers that reads from the end")
    dropout: float = setting(
        0.0, "chance that a value is dropped in training: on the input, between layers, on the summary, in the head"
    )
    symbols: str = setting(
        "learned", "how a symbol enters: learned (a vector learned for each), onehot, or a file of word vectors"
    )
    symbols_fixed: bool = setting(False, "leave the word vectors of the file as they are")
    embedding: int = setting(64, "width of the learned vectors, in units; a file of word vectors has its own")
    summary: str = setting(
        "auto",
        "what stands for the whole sequence: last (the last output), step (the output at model.step), mean, max or "
        "attention over all steps; auto: last of a recurrent network or a window, else mean",
    )
    step: int = setting(-1, "summary=step: which step, from 1; or from the end, from -1")
    head: int = setting(0, "width of a hidden layer between summary and classes; 0: a linear head")
    span: int = setting(20, "kinds positions and window: steps that are read, from the start or from the end")
    delays: int = setting(5, "kind tdnn: steps that each layer sees, the present one included")

    def __post_init__(self) -> None:
        require_choice("model.kind", self.kind, KINDS)
        require_choice("model.summary", self.summary, SUMMARIES)
        for name in ("hidden", "layers", "embedding", "span", "delays"):
            require_range(f"model.{name}", getattr(self, name), 1)
        for name, size in self.widths.items():
            require_range(f"model.widths.{name}", size, 1)
        require_range("model.head", self.head, 0)
        require_range("model.dropout", self.dropout, 0, 0.99)
        if self.step == 0:
            raise ConfigError("model.step=0: steps count from 1, or from the end from -1")
        if self.bidirectional and self.kind != "recurrent":
            raise ConfigError(
                f"model.bidirectional=true: a model of the kind {self.kind} has no direction; set it to false"
            )


@dataclass
class TextConfig:
    """Texts: what a symbol is, and where label and text stand."""

    level: str = setting("auto", "what a symbol is: char, word; auto: words where texts have three or more on average")
    lowercase: bool = setting(False, "read every letter as its small one")
    minimum_count: int = setting(1, "symbols met fewer times in training than this are read as <unk>")
    maximum_size: int | None = setting(
        None, "size of the vocabulary, the most frequent symbols and <unk> for the others; null: no limit"
    )
    unknown: float = setting(0.0, "chance that a symbol is read as <unk> in training, which teaches what that is worth")
    distinct: bool = setting(False, "count a text that stands several times under one label only once")
    separator: str = setting(
        "auto", "what parts the columns of a table: tab, comma, semicolon, space (the first one) or auto"
    )
    label_column: str = setting("label", "name of the column with the label, where the first line has names")
    text_column: str = setting("text", "name of the column with the text, where the first line has names")

    def __post_init__(self) -> None:
        require_choice("text.level", self.level, ("auto", "char", "word"))
        require_choice("text.separator", self.separator, ("auto", "tab", "comma", "semicolon", "space"))
        require_range("text.minimum_count", self.minimum_count, 1)
        require_range("text.maximum_size", self.maximum_size, 2)
        require_range("text.unknown", self.unknown, 0, 0.99)


@dataclass
class VectorsConfig:
    """Sequences of vectors, and sound that becomes such."""

    labels: str | None = setting(None, "file with the labels, where they are not in the data's own; null: none")
    width: int | None = setting(None, "read each sequence in vectors of this width instead; 1: number by number")
    standardise: bool = setting(True, "bring each column to the mean 0 and the deviation 1 of the training data")
    noise: float = setting(0.0, "deviation of the noise that is added to the numbers in training, after standardising")
    bands: int = setting(40, "sound: mel bands, the width of a frame")
    window: float = setting(0.025, "sound: length that a frame looks at, in seconds")
    hop: float = setting(0.01, "sound: time from a frame to the next, in seconds")

    def __post_init__(self) -> None:
        require_range("vectors.width", self.width, 1)
        require_range("vectors.bands", self.bands, 1)
        require_range("vectors.noise", self.noise, 0)
        for name in ("window", "hop"):
            require_range(f"vectors.{name}", getattr(self, name), 1e-4, 10)


@dataclass
class LossConfig:
    """What is minimised."""

    weights: str = setting(
        "none", "weight of each class: none (all alike), balanced (the rarer a class, the more an example of it counts)"
    )
    smoothing: float = setting(
        0.0, "label smoothing: part of the target that is spread evenly over all classes, 0 to 1"
    )

    def __post_init__(self) -> None:
        require_choice("loss.weights", self.weights, ("none", "balanced"))
        require_range("loss.smoothing", self.smoothing, 0, 0.99)


@dataclass
class ClassifyConfig(TaskConfig):
    """All settings of a classifier and its training."""

    task: str = setting("classify", "the task: classify, a class for a whole sequence")
    data: str = setting(
        "",
        "what to learn: a table of labels and texts (.tsv, .csv, .txt), a folder with a text file for each label, an "
        ".npz, .npy or IDX file, wav files in a folder or an archive, or builtin:NAME",
    )
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    recurrent: RecurrentConfig = field(
        default_factory=RecurrentConfig, metadata={"help": "noise and normalisation of the recurrence"}
    )
    train: LoopConfig = field(default_factory=LoopConfig, metadata={"help": "the way through the data"})
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    split: SplitConfig = field(default_factory=SplitConfig, metadata={"help": "what is kept from training"})
    text: TextConfig = field(default_factory=TextConfig, metadata={"help": "what a text is made of"})
    vectors: VectorsConfig = field(default_factory=VectorsConfig, metadata={"help": "sequences of vectors, and sound"})
    loss: LossConfig = field(default_factory=LossConfig, metadata={"help": "what is minimised"})
