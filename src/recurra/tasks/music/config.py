"""The settings of modelling music."""

from dataclasses import dataclass, field

from recurra.tasks.config import LoopConfig, OptimizerConfig, RecurrentConfig, TaskConfig, require_range, setting


@dataclass
class ModelConfig:
    """The model: recurrent layers that read frames, and a chance for each key."""

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
    dropout: float = setting(
        0.0, "chance that a value is dropped in training: between layers, on what the top one gives"
    )

    def __post_init__(self) -> None:
        for name in ("hidden", "layers"):
            require_range(f"model.{name}", getattr(self, name), 1)
        for name, size in self.widths.items():
            require_range(f"model.widths.{name}", size, 1)
        require_range("model.dropout", self.dropout, 0, 0.99)


@dataclass
class PartsConfig:
    """Which pieces are kept from training, of a collection that is not parted by its own file."""

    valid: float = setting(0.1, "fraction of the pieces to validate with, drawn by the seed")
    test: float = setting(0.1, "fraction of the pieces to test on, which `recurra evaluate RUN` measures")

    def __post_init__(self) -> None:
        for name in ("valid", "test"):
            require_range(f"split.{name}", getattr(self, name), 0.001, 0.9)


@dataclass
class NotesConfig:
    """Time, and what is known of a piece beside its notes."""

    beats: float = setting(0.5, "length of a frame in quarter notes, to read and to write MIDI files with")
    tempo: float = setting(100.0, "quarter notes a minute of the MIDI files written")
    hide_style: float = setting(
        0.1, "of several collections: chance that the model is not told in training which one a piece is from"
    )

    def __post_init__(self) -> None:
        require_range("notes.beats", self.beats, 1 / 64, 16)
        require_range("notes.tempo", self.tempo, 4, 1000)
        require_range("notes.hide_style", self.hide_style, 0, 1)


@dataclass
class MusicConfig(TaskConfig):
    """All settings of a model of music and its training."""

    task: str = setting("music", "the task: music, the notes of the next frame from all frames before it")
    data: str = setting(
        "",
        "what to learn: an .npz file of piano rolls, a .json file of pitches, a folder of MIDI files; or several "
        "collections, parted by commas, whose style the model is then told",
    )
    model: ModelConfig = field(default_factory=ModelConfig, metadata={"help": "the model"})
    train: LoopConfig = field(default_factory=LoopConfig, metadata={"help": "the way through the data"})
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig, metadata={"help": "how parameters change"})
    split: PartsConfig = field(default_factory=PartsConfig, metadata={"help": "what is kept from training"})
    recurrent: RecurrentConfig = field(
        default_factory=RecurrentConfig, metadata={"help": "noise and normalisation of the recurrence"}
    )
    notes: NotesConfig = field(default_factory=NotesConfig, metadata={"help": "time and style"})
