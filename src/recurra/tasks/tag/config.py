"""The settings of tagging."""

from dataclasses import dataclass, field

from recurra.data.tagged import FORMATS
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

KINDS = ("recurrent", "feedforward", "tdnn")


@dataclass
class ModelConfig:
    """The model: what is read of a token, the body that reads the sequence, and how tags are chosen."""

    kind: str = setting(
        "recurrent",
        "what reads the sequence: recurrent; or, to compare, feedforward (a net that sees one step alone) or tdnn "
        "(delays at every layer)",
    )
    cell: str = setting(
        "lstm",
        "the recurrent cell: one that `recurra cells` lists, with options in brackets, or one of yours, FILE.py:NAME",
    )
    hidden: int = setting(128, "width of each layer, in each direction, in units")
    widths: dict[str, int] = field(
        default_factory=dict,
        metadata={"help": "what else the cell has a width for, by its name: model.widths.P=64 for projected_lstm"},
    )
    layers: int = setting(1, "number of layers")
    bidirectional: bool = setting(True, "a second set of recurrent layers that reads from the end")
    dropout: float = setting(
        0.3, "chance that a value is dropped in training: on the input, between layers, on what the body gives"
    )
    symbols: str = setting(
        "learned", "how a token enters: learned (a vector learned for each), onehot, or a file of word vectors"
    )
    symbols_fixed: bool = setting(False, "leave the word vectors of the file as they are")
    embedding: int = setting(100, "width of the learned vectors, in units; a file of word vectors has its own")
    pairs: int | None = setting(
        None, "width of the vectors of a token with each of its neighbours; 0: none; null: 50 of segmented text, else 0"
    )
    characters: int | None = setting(
        None,
        "width, in each direction, of the recurrent layer that reads a token's characters; 0: none; null: 50, or 0 "
        "where tokens are characters",
    )
    character_embedding: int = setting(30, "width of the vectors of characters in it, in units")
    output: str = setting(
        "auto",
        "how tags are chosen: softmax (each by itself), crf (all of a sentence together, by a linear-chain conditional "
        "random field); auto: crf where tags write spans",
    )
    feedback: bool = setting(
        False, "kind feedforward: the tag of the step before is an input too; in training the true one"
    )
    delays: int = setting(5, "kind tdnn: steps that each layer sees, the present one included")

    def __post_init__(self) -> None:
        require_choice("model.kind", self.kind, KINDS)
        require_choice("model.output", self.output, ("auto", "softmax", "crf"))
        for name in ("hidden", "layers", "embedding", "character_embedding", "delays"):
            require_range(f"model.{name}", getattr(self, name), 1)
        for name, size in self.widths.items():
            require_range(f"model.widths.{name}", size, 1)
        for name in ("pairs", "characters"):
            require_range(f"model.{name}", getattr(self, name), 0)
        require_range("model.dropout", self.dropout, 0, 0.99)
        if self.feedback and self.kind != "feedforward":
            raise ConfigError(f"model.feedback=true: a model of the kind {self.kind} has a memory; take feedforward")


@dataclass
class TokensConfig:
    """Sentences: how they are written, and what is known of their tokens."""

    format: str = setting(
        "auto",
        "how sentences are written: columns (a token and its tag on each line), conllu, segmented (words parted by "
        "blanks; their characters are tagged B, M, E, S); auto: by the file's name and first lines",
    )
    column: int = setting(1, "columns: which holds the token, from 1, or from the end from -1")
    tag_column: str = setting(
        "auto",
        "which column holds the tag: a number as above, or in conllu a name such as upos or xpos; auto: the last, or "
        "upos",
    )
    scheme: str = setting(
        "auto",
        "what tags write: none (nothing more), bio or bmes (spans; bmes is also called BIOES); auto: by their form",
    )
    cut: str = setting(
        "auto",
        "how `predict` cuts a line into tokens: blanks, words (runs of letters and digits, and single signs), "
        "characters; auto: as the tokens learnt from look like",
    )
    lowercase: bool = setting(False, "read every letter as its small one, but not in spellings")
    digits: bool = setting(False, "read every digit as 0, but not in spellings")
    minimum_count: int = setting(1, "tokens met fewer times in training than this are read as <unk>")
    minimum_pairs: int = setting(3, "pairs met fewer times in training than this are read as <unk>")
    unknown: float = setting(0.5, "chance that a token met only once is read as <unk> in training, 0 to 1")

    def __post_init__(self) -> None:
        require_choice("tokens.format", self.format, FORMATS)
        require_choice("tokens.scheme", self.scheme, ("auto", "none", "bio", "bmes"))
        require_choice("tokens.cut", self.cut, ("auto", "blanks", "words", "characters"))
        for name in ("minimum_count", "minimum_pairs"):
            require_range(f"tokens.{name}", getattr(self, name), 1)
        require_range("tokens.unknown", self.unknown, 0, 1)


@dataclass
class TagConfig(TaskConfig):
    """All settings of a tagger and its training."""

    task: str = setting("tag", "the task: tag, a tag for each token of a sentence or each vector of a sequence")
    data: str = setting(
        "",
        "what to learn: a file of tokens and tags (CoNLL columns, CoNLL-U), of words parted by blanks, an .npz file of "
        "frames, or builtin:NAME",
    )
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    recurrent: RecurrentConfig = field(
        default_factory=RecurrentConfig, metadata={"help": "noise and normalisation of the recurrence"}
    )
    train: LoopConfig = field(default_factory=LoopConfig, metadata={"help": "the way through the data"})
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    split: SplitConfig = field(default_factory=SplitConfig, metadata={"help": "what is kept from training"})
    tokens: TokensConfig = field(default_factory=TokensConfig, metadata={"help": "sentences"})
