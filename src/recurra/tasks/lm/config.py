"""The settings of language modelling."""

from dataclasses import dataclass, field

from recurra.tasks.config import (
    ConfigError,
    OptimizerConfig,
    RecurrentConfig,
    SamplingConfig,
    TaskConfig,
    TrainConfig,
    names_in,
    require_choice,
    require_range,
    setting,
)


@dataclass
class ModelConfig:
    """The model: embedding, a stack of recurrent layers of one cell, output layer."""

    cell: str = setting(
        "lstm",
        "the recurrent cell: one that `recurra cells` lists, options in brackets, or FILE.py:NAME, one of your own",
    )
    hidden: int = setting(256, "width of each recurrent layer, in units")
    widths: dict[str, int] = field(
        default_factory=dict,
        metadata={"help": "what else the cell has a width for, by its name: model.widths.P=64 for projected_lstm"},
    )
    layers: int = setting(1, "number of recurrent layers")
    embedding: int = setting(128, "width of the embedding, in units")
    dropout: float = setting(
        0.0, "chance that a value is dropped in training: on the embedding, between layers, on the top output"
    )
    tied: bool = setting(False, "share the embedding matrix with the output layer")
    init: float | None = setting(None, "draw every parameter from uniform(-init, init); null: each layer's default")

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "embedding"):
            require_range(f"model.{name}", getattr(self, name), 1)
        for name, size in self.widths.items():
            require_range(f"model.widths.{name}", size, 1)
        require_range("model.dropout", self.dropout, 0, 0.99)
        if self.init is not None and self.init <= 0:
            raise ConfigError(f"model.init={self.init:g} is out of range: it must be above 0, or null")


@dataclass
class TextConfig:
    """The text: what a symbol is, and which part is kept for validation."""

    level: str = setting("char", "what the model predicts one after another: char (characters) or word")
    valid: str = setting(
        "0.1", "validation text: a fraction, taken from the end of the data, or the path of another file or folder"
    )
    valid_tokens: int | None = setting(None, "tokens of the validation text to use, from its start; null: all of them")
    minimum_count: int = setting(1, "symbols met fewer times than this become <unk>; 1: keep all")
    maximum_size: int | None = setting(
        None, "size of the vocabulary, the most frequent symbols and <unk> for the others; null: no limit"
    )

    def __post_init__(self) -> None:
        require_choice("text.level", self.level, ("char", "word"))
        require_range("text.valid_tokens", self.valid_tokens, 2)
        require_range("text.minimum_count", self.minimum_count, 1)
        require_range("text.maximum_size", self.maximum_size, 2)
        fraction = self.valid_fraction
        if fraction is not None and not 0 < fraction < 1:
            raise ConfigError(
                f"text.valid={self.valid} is out of range: give a fraction above 0 and below 1 such as 0.1, or a path"
            )

    @property
    def valid_fraction(self) -> float | None:
        """The part of the data kept for validation, or None where `valid` is a path."""
        try:
            return float(self.valid)
        except ValueError:
            return None


@dataclass
class DocumentConfig:
    """Whether the data is one long text, or documents each of its own, whose fields may be conditions."""

    each: str = setting(
        "none",
        "what a document is: none (all data is one text), line (a line of a table, its columns are fields), file (a "
        "file of a folder, with the fields folder and file)",
    )
    columns: str = setting(
        "", "names of the table's columns from the left, with commas between; if not given, its first line has them"
    )
    text: str = setting("text", "name of the column with the text")
    line_end: str = setting("", "what stands for a line end in the table's texts, such as |; if not given, nothing")
    longest: int = setting(2000, "symbols that a document may have; a longer one is refused, as it is learnt in one go")
    samples: int = setting(
        0, "documents that `recurra evaluate` lets the model write, to compare their shape with the data's; 0: none"
    )

    rhymes: str | None = setting(
        None, "table of symbols and their rhymes, by which the documents written are said to rhyme or not; null: none"
    )

    def __post_init__(self) -> None:
        require_choice("document.each", self.each, ("none", "line", "file"))
        require_range("document.longest", self.longest, 1)
        require_range("document.samples", self.samples, 0)
        if self.columns and self.text not in names_in(self.columns):
            raise ConfigError(
                f"document.columns={self.columns} names no column {self.text!r}: call the one with the text so, or "
                "give its name as document.text"
            )


@dataclass
class ConditionConfig:
    """What a document is written for: fields, with commas between, by how they reach the model."""

    category: str = setting("", "fields whose values are few: each value has a learned vector, read at every step")
    encoded: str = setting("", "fields whose values are texts: a GRU makes a vector of each, read at every step")
    prefix: str = setting("", "fields whose values stand before the document, read symbol by symbol but not learnt")
    width: int = setting(32, "columns that each field's vector takes; even")
    dropout: float = setting(
        0.0, "chance that a field is withheld in training, so that the model can write without it: 0 to 1"
    )
    minimum_count: int = setting(1, "values of a category that fewer documents have count as not given; 1: keep all")

    def __post_init__(self) -> None:
        require_range("condition.width", self.width, 1)
        require_range("condition.dropout", self.dropout, 0, 1)
        require_range("condition.minimum_count", self.minimum_count, 1)
        fields = [*names_in(self.category), *names_in(self.encoded), *names_in(self.prefix)]
        for field_name in fields:
            if fields.count(field_name) > 1:
                raise ConfigError(f"the field {field_name!r} is named twice among the conditions: one place is enough")


@dataclass
class LanguageModellingConfig(TaskConfig):
    """All settings of a language model and its training."""

    task: str = setting("lm", "the task: lm, language modelling")
    data: str = setting(
        "", "the text to learn: a .txt or .txt.gz file, or a folder of such files; or a table of documents"
    )
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    recurrent: RecurrentConfig = field(
        default_factory=RecurrentConfig, metadata={"help": "noise and normalisation of the recurrence"}
    )
    train: TrainConfig = field(default_factory=TrainConfig, metadata={"help": "the way through the data"})
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    sampling: SamplingConfig = field(default_factory=SamplingConfig, metadata={"help": "scheduled sampling"})
    text: TextConfig = field(default_factory=TextConfig, metadata={"help": "the text"})
    document: DocumentConfig = field(default_factory=DocumentConfig, metadata={"help": "what a document is"})
    condition: ConditionConfig = field(
        default_factory=ConditionConfig, metadata={"help": "what a document is written for"}
    )

    def __post_init__(self) -> None:
        asked = self.condition
        if self.document.each == "none" and (asked.category or asked.encoded or asked.prefix):
            raise ConfigError(
                "a condition is a field of a document, but the data is one text: set document.each to line or file"
            )
