"""The settings of translation."""

from dataclasses import dataclass, field

from recurra.tasks.config import (
    ConfigError,
    LoopConfig,
    OptimizerConfig,
    RecurrentConfig,
    SamplingConfig,
    SplitConfig,
    TaskConfig,
    require_choice,
    require_range,
    setting,
)
from recurra.tasks.wording import DrawingConfig

CRITERIA = ("nats", "bleu", "chrf", "exact")
BASELINES = ("none", "words", "commonest", "lead")


@dataclass
class ModelConfig:
    """The model: an encoder that reads the source, a decoder that writes the target."""

    cell: str = setting(
        "gru",
        "the recurrent cell: one that `recurra cells` lists, with options in brackets, or one of yours, FILE.py:NAME",
    )
    embedding: int = setting(128, "width of the vectors of symbols, in units")
    hidden: int = setting(256, "width of each layer, of the encoder in each direction, in units")
    decoder_hidden: int | None = setting(
        None,
        "width of the decoder's layers; null: as model.hidden, or with dot or scaled attention as wide as what it "
        "looks at",
    )
    widths: dict[str, int] = field(
        default_factory=dict,
        metadata={"help": "what else the cell has a width for, by its name: model.widths.P=64 for projected_lstm"},
    )
    layers: int = setting(1, "number of layers of the encoder, and of the decoder")
    bidirectional: bool = setting(True, "the encoder also reads from the end")
    bridge: str = setting(
        "state",
        "how the source reaches the decoder, attention aside: state (its initial state), input (beside the input of "
        "every step) or both",
    )
    context: str = setting(
        "mapped",
        "what of the source does: last (the last state), mapped (a learned map of it) or all (a learned map of a "
        "weighted mean of all states)",
    )
    tied: bool = setting(False, "the output layer shares the matrix of the target's vectors")
    shared: bool = setting(False, "source and target share one matrix of vectors; needs text.joint=true")
    readout: int = setting(
        0, "width of a hidden layer between the decoder, with what it has just read, and the output layer; 0: none"
    )
    dropout: float = setting(0.1, "chance that a value is dropped in training, where nothing else is said")
    dropout_embedding: float | None = setting(None, "the same on the vectors of symbols; null: as model.dropout")
    dropout_layers: float | None = setting(None, "the same between layers; null: as model.dropout")
    dropout_memory: float | None = setting(None, "the same on what the encoder gives; null: as model.dropout")
    dropout_output: float | None = setting(None, "the same before the output layer; null: as model.dropout")
    normalise: bool = setting(False, "layer norm on the vectors of symbols and on what encoder and decoder give")
    init: float | None = setting(None, "draw every parameter from uniform(-init, init); null: each layer's default")

    def __post_init__(self) -> None:
        require_choice("model.bridge", self.bridge, ("state", "input", "both"))
        require_choice("model.context", self.context, ("last", "mapped", "all"))
        for name in ("embedding", "hidden", "decoder_hidden", "layers"):
            require_range(f"model.{name}", getattr(self, name), 1)
        for name, size in self.widths.items():
            require_range(f"model.widths.{name}", size, 1)
        require_range("model.readout", self.readout, 0)
        for name in ("", "_embedding", "_layers", "_memory", "_output"):
            require_range(f"model.dropout{name}", getattr(self, f"dropout{name}"), 0, 0.99)
        if self.init is not None and self.init <= 0:
            raise ConfigError(f"model.init={self.init:g} is out of range: it must be above 0, or null")


@dataclass
class AttentionConfig:
    """What the decoder looks at in the source, at every step."""

    score: str = setting(
        "additive",
        "how well a state of the decoder and one of the encoder fit: additive (Bahdanau), dot, general, concat, scaled "
        "(Luong), or none: no attention at all",
    )
    place: str = setting(
        "before",
        "where: before the step, whose input the context becomes (Bahdanau), or after it, where the context joins the "
        "output (Luong)",
    )
    feeding: bool = setting(False, "place=after: the output with its context is an input of the next step")
    width: int | None = setting(None, "additive, concat: width of the hidden layer; null: as the decoder's")
    window: int | None = setting(
        None, "look at the symbols so near to a place that is predicted (local-p); null: at all of them"
    )
    coverage: bool = setting(False, "the score knows how much of each source symbol was looked at before")

    def __post_init__(self) -> None:
        require_choice("attention.score", self.score, ("additive", "dot", "general", "concat", "scaled", "none"))
        require_choice("attention.place", self.place, ("before", "after"))
        require_range("attention.width", self.width, 1)
        require_range("attention.window", self.window, 1)
        if self.feeding and self.place == "before":
            raise ConfigError("attention.feeding=true: only attention after the step can be fed; set attention.place")


@dataclass
class TranslateTextConfig:
    """Pairs of texts: where they stand, and what their symbols are."""

    source_column: str = setting(
        "1", "column of a table that holds the source: a number from 1, from the end from -1, or a name of its head"
    )
    target_column: str = setting("2", "the same of the target")
    level: str = setting("word", "what a symbol is: word, char, or bpe (pieces of words, learnt here)")
    pieces: int = setting(8000, "level=bpe: pieces to learn, of each side, or of both where they are joint")
    joint: bool = setting(False, "one set of symbols for both sides")
    lowercase: bool = setting(False, "read and write every letter as its small one")
    minimum_count: int = setting(1, "symbols met fewer times in training than this are read as <unk>")
    maximum_size: int | None = setting(
        None, "symbols of a side at most, the most frequent ones; the others are read as <unk>; null: no limit"
    )
    reverse: bool = setting(False, "read the source from its end, so that the beginnings stand near each other")
    longest: int | None = setting(None, "symbols of a side at most; null: no limit")
    unfit: str = setting("error", "pairs that are longer, or have an empty side: error (name the first) or skip")

    def __post_init__(self) -> None:
        require_choice("text.level", self.level, ("word", "char", "bpe"))
        require_choice("text.unfit", self.unfit, ("error", "skip"))
        require_range("text.pieces", self.pieces, 10)
        require_range("text.minimum_count", self.minimum_count, 1)
        require_range("text.maximum_size", self.maximum_size, 4)
        require_range("text.longest", self.longest, 1)


@dataclass
class TranslateLoopConfig(LoopConfig):
    """How the loop walks through pairs of texts."""

    tokens: int | None = setting(
        None,
        "symbols of both sides trained at once, padding counted, in each process; rows follow, and train.batch does "
        "not count; null: train.batch rows",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("train.tokens", self.tokens, 1)


@dataclass
class LossConfig:
    """What is minimised."""

    smoothing: float = setting(
        0.0, "label smoothing: part of the target that is spread evenly over all symbols, 0 to 1"
    )
    per: str = setting("token", "what the loss is the mean over: token, or sentence (a long one weighs more)")

    def __post_init__(self) -> None:
        require_range("loss.smoothing", self.smoothing, 0, 0.99)
        require_choice("loss.per", self.per, ("token", "sentence"))


@dataclass
class DecodeConfig(DrawingConfig):
    """How a translation is searched for, or drawn: may be set anew whenever a trained model is used."""

    way: str = setting(
        "search", "search (the likeliest that is found) or sample (drawn from the model, as replies may be)"
    )
    beam: int = setting(5, "translations that are held at once; 1: greedy")
    length_penalty: float = setting(1.0, "scores are divided by ((5 + length) / 6) to the power of it; 0: none")
    coverage_penalty: float = setting(0.0, "how much a source symbol that was not looked at costs; 0: nothing")
    maximum: float = setting(2.0, "symbols of a translation at most, for each of the source, and 20 more")
    nbest: int | None = setting(
        None, "translations that --nbest prints, and that --rerank chooses from; null: all that the beam holds"
    )
    replace: bool = setting(False, "put for <unk> the source symbol that was looked at most; needs attention")
    reverse: str | None = setting(None, "run folder of a model of the other direction, for --rerank")
    language: str | None = setting(None, "run folder of a language model of the target, for --rerank")
    weight_reverse: float = setting(1.0, "--rerank: weight of log p(f|e), the other direction's")
    weight_language: float = setting(1.0, "--rerank: weight of log p(e), the language model's")
    weight_direct: float = setting(0.0, "--rerank: weight of log p(e|f), the translator's own")
    weight_length: float = setting(0.0, "--rerank: what each symbol of the translation adds, in nats")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("decode.way", self.way, ("search", "sample"))
        for name in ("beam", "nbest"):
            require_range(f"decode.{name}", getattr(self, name), 1)
        for name in ("length_penalty", "coverage_penalty"):
            require_range(f"decode.{name}", getattr(self, name), 0)
        require_range("decode.maximum", self.maximum, 0.1)


@dataclass
class ScoreConfig:
    """How translations are measured."""

    criterion: str = setting(
        "nats", "which measure of the validation says what is best: nats, bleu, chrf or exact (of greedy translations)"
    )
    sentences: int = setting(
        500, "validation examples, evenly drawn, that are translated greedily in each validation; 0: none"
    )
    tokenize: str = setting("13a", "how BLEU cuts texts into words: 13a, zh, intl, char, none, … (see sacreBLEU)")
    together: bool = setting(
        False, "pairs with the same source are translated once, and each of their targets is right"
    )
    baseline: str = setting(
        "none",
        "what `recurra evaluate RUN` measures beside: words, a translation word by word (IBM model 1 and bigrams); "
        "commonest, always the commonest target of training; lead, the start of the source, as long as targets are on "
        "average; or none",
    )

    def __post_init__(self) -> None:
        require_choice("score.criterion", self.criterion, CRITERIA)
        require_choice("score.baseline", self.baseline, BASELINES)
        require_range("score.sentences", self.sentences, 0)
        if self.criterion != "nats" and self.sentences == 0:
            raise ConfigError(f"score.criterion={self.criterion} needs translations: set score.sentences above 0")


@dataclass
class TranslateConfig(TaskConfig):
    """All settings of a translator and its training."""

    task: str = setting("translate", "the task: translate, from any text to another")
    data: str = setting(
        "",
        "what to learn: a table with source, tab and target on each line, two files with a comma between, as in "
        "train.en,train.de, or builtin:NAME",
    )
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    attention: AttentionConfig = field(default_factory=AttentionConfig, metadata={"help": "what the decoder looks at"})
    recurrent: RecurrentConfig = field(
        default_factory=RecurrentConfig, metadata={"help": "noise and normalisation of the recurrence"}
    )
    train: TranslateLoopConfig = field(
        default_factory=TranslateLoopConfig, metadata={"help": "the way through the data"}
    )
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    split: SplitConfig = field(default_factory=SplitConfig, metadata={"help": "what is kept from training"})
    text: TranslateTextConfig = field(default_factory=TranslateTextConfig, metadata={"help": "pairs of texts"})
    sampling: SamplingConfig = field(default_factory=SamplingConfig, metadata={"help": "scheduled sampling"})
    loss: LossConfig = field(default_factory=LossConfig, metadata={"help": "what is minimised"})
    decode: DecodeConfig = field(default_factory=DecodeConfig, metadata={"help": "how a translation is searched for"})
    score: ScoreConfig = field(default_factory=ScoreConfig, metadata={"help": "how translations are measured"})
