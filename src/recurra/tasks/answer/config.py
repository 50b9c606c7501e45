"""The settings of answering questions about a passage."""

from dataclasses import dataclass, field

from recurra.tasks.config import (
    ConfigError,
    LoopConfig,
    OptimizerConfig,
    SplitConfig,
    TaskConfig,
    require_choice,
    require_range,
    setting,
)

ANSWERS = ("known", "pointed")
ATTENTIONS = ("additive", "dot", "general", "concat", "scaled")
_OF_LIKE_WIDTH = ("dot", "scaled")
CUTS = ("auto", "words", "characters")


@dataclass
class ModelConfig:
    """The model: what reads passage and question, how often it looks at the passage, and how it answers."""

    cell: str = setting(
        "gru",
        "the recurrent cell: one that `recurra cells` lists, with options in brackets, or one of yours, FILE.py:NAME",
    )
    hidden: int = setting(64, "width of each layer, in units")
    layers: int = setting(1, "number of layers that read the passage, and of those that read the question")
    bidirectional: bool = setting(True, "a second set of layers reads passage and question from the end")
    embedding: int = setting(32, "width of the learned vectors of the words, in units")
    dropout: float = setting(0.0, "chance that a value is dropped in training: of words, between layers, at the answer")
    looks: int = setting(2, "looks at the passage, one after another, each asking with what the one before has found")
    words: bool = setting(
        False, "remember each word's own vector beside its state: what is looked at then also says what it is called"
    )
    attention: str = setting(
        "additive", "how a look compares: additive, dot, general, concat or scaled (see docs/answer.md)"
    )
    answer: str = setting(
        "known", "how it answers: known (one of the answers met in training), pointed (a word of the passage)"
    )

    def __post_init__(self) -> None:
        require_choice("model.attention", self.attention, ATTENTIONS)
        require_choice("model.answer", self.answer, ANSWERS)
        if self.attention in _OF_LIKE_WIDTH and (self.bidirectional or self.words):
            raise ConfigError(
                f"model.attention={self.attention} compares states of like width: set model.bidirectional=false and "
                "model.words=false, or take model.attention=general"
            )
        for name in ("hidden", "layers", "embedding", "looks"):
            require_range(f"model.{name}", getattr(self, name), 1)
        require_range("model.dropout", self.dropout, 0, 0.99)


@dataclass
class TextConfig:
    """Passages and questions: what a word is, and which are known."""

    cut: str = setting(
        "auto", "how a text is cut: words (and signs), characters; auto: characters where no passage has a blank"
    )
    lowercase: bool = setting(False, "read every letter as its small one, of answers too")
    minimum_count: int = setting(1, "words met fewer times in training than this are read as <unk>")
    unknown: float = setting(0.0, "chance that a word is read as <unk> in training, which teaches what that is worth")
    longest: int = setting(1000, "most words of a passage; a longer one is an error that names its line")

    def __post_init__(self) -> None:
        require_choice("text.cut", self.cut, CUTS)
        require_range("text.minimum_count", self.minimum_count, 1)
        require_range("text.unknown", self.unknown, 0, 0.99)
        require_range("text.longest", self.longest, 1)


@dataclass
class AnswerConfig(TaskConfig):
    """All settings of a reader that answers questions, and of its training."""

    task: str = setting("answer", "the task: answer, the answer to a question about a passage")
    data: str = setting(
        "",
        "what to learn: a table with a passage, a question and an answer on each line, parted by tabs, or builtin:NAME",
    )
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    train: LoopConfig = field(default_factory=LoopConfig, metadata={"help": "the way through the data"})
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    split: SplitConfig = field(default_factory=SplitConfig, metadata={"help": "what is kept from training"})
    text: TextConfig = field(default_factory=TextConfig, metadata={"help": "what passages and questions are made of"})
