"""Music: which notes sound in the next frame of a piece, from all frames before it (N→N in step, many at once)."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import KEYS, DataError, Line, Roll, frame_of, midi_bytes, name_of, read_rolls, text_of
from recurra.decoding import Sampler
from recurra.equations import nearest
from recurra.layers import Recurrent
from recurra.models import NoteModel
from recurra.models.evaluation import evaluating
from recurra.tasks.base import Trained, Use
from recurra.tasks.config import ConfigError
from recurra.tasks.examples import ExampleTask
from recurra.tasks.findings import Finding
from recurra.tasks.music.config import MusicConfig
from recurra.tasks.music.data import UNKNOWN, Parts, Pieces, RollBatch, one_hot, parted, read_collections
from recurra.tasks.music.scoring import figures, foretell, pictures, roll_picture
from recurra.tasks.recurrence import layer_options

_FILE = "music.json"
_LIKELY = 0.1  # chance from which a key is named by `predict`
_SAMPLE_LENGTH, _SAMPLE_TEMPERATURE = 24, 0.7
_DRAWN = 96  # frames of the piece in the report


@dataclass(frozen=True)
class Start:
    """What `generate` begins with.

    Attributes:
        frames: those of the prompt, float32 [T, 88]; none of no prompt.
        style: number of the collection whose style is wanted, -1: none is.
    """

    frames: np.ndarray
    style: int = UNKNOWN


class Music(ExampleTask[Parts]):
    """Polyphonic music: the notes of each frame from all frames before it, each key by itself."""

    name = "music"
    Config: ClassVar[type] = MusicConfig
    config: MusicConfig
    unit = "frame"

    def __init__(
        self, config: MusicConfig, styles: Sequence[str], frequencies: np.ndarray, parts: Parts | None = None
    ) -> None:
        """A task with what it knows of its data; see `open` and `load`.

        Args:
            config: its settings.
            styles: names of the collections.
            frequencies: in which part of the frames to learn from each key sounds, float32 [88].
            parts: the pieces, where it is to be trained.
        """
        self.config, self.styles, self.frequencies, self._data = config, list(styles), frequencies, parts
        self.wishes = {"frames": "how many frames of the prompt to read; all of them if not given"}
        if len(styles) > 1:
            self.wishes["style"] = f"the collection whose style is wanted: {', '.join(styles)}"

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: MusicConfig) -> Self:
        """Read the collections and part their pieces. Raises DataError where that cannot be done."""
        collections = read_collections(config)
        parts = parted(collections, config)
        return cls(config, [one.name for one in collections], parts.training.frequencies(), parts)

    @classmethod
    def load(cls, config: MusicConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data. Raises DataError where its file is missing or damaged."""
        path = Path(run_dir) / _FILE
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            return cls(config, known["styles"], np.array(known["frequencies"], dtype=np.float32))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({error}); restore it, or train anew") from error

    def save(self, run_dir: str | Path) -> None:
        """Write the names of the collections and how often each key sounds. Raises OSError."""
        known = {"styles": self.styles, "frequencies": self.frequencies.tolist()}
        (Path(run_dir) / _FILE).write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")

    def describe(self) -> dict[str, Any]:
        """Facts about the pieces."""
        facts: dict[str, Any] = {"collections": self.styles, "keys": KEYS}
        if self._data is not None:
            for name, part in vars(self._data).items():
                facts |= {f"{name}_pieces": len(part), f"{name}_frames": int(part.lengths.sum())}
            notes = sum(int(roll.frames.sum()) for roll in self._data.training.rolls)
            facts["notes_a_frame"] = notes / facts["training_frames"]
        return facts

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> NoteModel:
        """A new model. Raises ValueError where the cell, a width or the engine is unknown."""
        settings = self.config.model
        recurrent = Recurrent(
            settings.cell,
            KEYS,
            settings.hidden,
            num_layers=settings.layers,
            static_size=len(self.styles) if len(self.styles) > 1 else 0,
            causal=True,
            dropout=settings.dropout,
            engine=self.config.engine,
            **layer_options(settings.cell, settings.widths, self.config.recurrent),
        )
        model = NoteModel(recurrent, KEYS, settings.dropout)
        model.start(torch.from_numpy(self.frequencies))
        return model

    def loss(self, model: nn.Module, batch: RollBatch, state: Any) -> tuple[Tensor, Any]:
        """The mean negative log-probability of the frames, nats a frame; no state is carried."""
        notes = _note_model(model)
        device, styles = notes.output.weight.device, batch.styles
        if len(self.styles) > 1:
            hidden = torch.rand(len(styles)) < self.config.notes.hide_style
            styles = styles.masked_fill(hidden, UNKNOWN)
        frames = batch.frames.to(device)
        logits = notes(frames, batch.lengths, one_hot(styles.to(device), len(self.styles)))
        return notes.nats(logits, frames, batch.lengths).sum() / batch.tokens, None

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: NoteModel) -> dict[str, float]:
        """`valid_nats` a frame and `valid_accuracy`; see `music_scoring.figures`."""
        validation = self._opened.validation
        measures = figures(foretell(model, validation, len(self.styles)), validation, self.frequencies)
        return {f"valid_{name}": measures[name] for name in ("nats", "accuracy")}

    def evaluate(self, model: NoteModel, path: str | Path | None) -> Mapping[str, float | Finding]:
        """How well the model foretells the test pieces at `path`; None: those kept for testing.

        Of a file that is not parted, all pieces count. Its style is known where a collection of its name was learnt.

        Returns:
            What `music_scoring.figures` says, and pictures of a piece and of what was foretold of it.
        """
        if path is None:
            test = parted(read_collections(self.config), self.config).test
        else:
            collection = read_rolls(Path(path).expanduser(), self.config.notes.beats)
            rolls = collection.part("test")
            if not rolls:
                raise DataError(f"{path} has no piece in its part test; give music that has one")
            style = self.styles.index(collection.name) if collection.name in self.styles else UNKNOWN
            test = Pieces(rolls, [style] * len(rolls))
        foretold = foretell(model, test, len(self.styles))
        return {**figures(foretold, test, self.frequencies), **pictures(foretold, test, self.styles)}

    def findings(self, model: NoteModel) -> list[Finding]:
        """A piece as it is, as it was foretold, a piece that the model writes, and the best and the worst pieces."""
        validation = self._opened.validation
        found = pictures(foretell(model, validation, len(self.styles)), validation, self.styles)
        frames = self.frames(model, Start(_NOTHING), _SAMPLE_TEMPERATURE, self.config.seed)
        piece = np.array(list(itertools.islice(frames, _DRAWN)))
        note = f"from nothing, at the temperature {_SAMPLE_TEMPERATURE}"
        return [*found.values(), roll_picture("A piece that the model writes", note, piece)]

    # -- prediction and generation -----------------------------------------------------------------------------------

    def predict(
        self, model: NoteModel, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """Of each piece in a file, the keys likely to sound next, each with its chance, the likeliest first.

        Raises:
            DataError: the source is no file of music.
        """
        if not isinstance(source, Path):
            raise DataError("a model of music reads pieces, which no line of text holds: give a file, such as song.mid")
        with evaluating(model):
            for roll in read_rolls(source, self.config.notes.beats).pieces:
                chances, _ = self._read(model, roll.frames.astype(np.float32), self._static(model, UNKNOWN))
                chances = chances.sigmoid()[0].cpu().numpy()
                likely = [k for k in np.argsort(-chances, kind="stable") if chances[k] >= _LIKELY]
                yield " ".join(f"{name_of(int(k))} {chances[k]:.2f}" for k in likely) or "-"

    def opening(self, prompt: str) -> str:
        """Nothing: `generate` writes the frames of the prompt itself."""
        return ""

    def generate(
        self,
        model: NoteModel,
        prompt: str = "",
        *,
        length: int = 128,
        sampler: Sampler | None = None,
        seed: int = 0,
        wishes: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Write music: a line for each frame with the names of the keys that sound.

        Args:
            model: a model of this task.
            prompt: a file of music to go on from, its first test piece; FILE:NUMBER: another, counted from 0. Its
                frames come first.
            length: frames to write.
            sampler: its temperature is how boldly each key is drawn by itself; 0: keys of a chance above one half.
            seed: the same seed gives the same piece.
            wishes: `frames` of the prompt to read, and the `style`.

        Raises:
            ValueError: a setting is none, the prompt cannot be read, or the style is unknown (at once).
        """
        sampler = sampler or Sampler()
        if sampler.top_k is not None or sampler.top_p is not None:
            raise ConfigError("top_k and top_p choose among symbols, but each key is drawn by itself: leave them out")
        if length < 0:
            raise ConfigError(f"length={length}: expected the number of frames to write, 0 or more")
        start = self._start(prompt, wishes or {})
        written = itertools.islice(self.frames(model, start, sampler.temperature, seed), length)
        return (f"{text_of(frame)}\n" for frame in itertools.chain(start.frames, written))

    def frames(self, model: NoteModel, start: Start, temperature: float, seed: int) -> Iterator[np.ndarray]:
        """The frames that the model writes after `start`, float32 [88] each, without end."""
        generator = torch.Generator().manual_seed(seed)
        static = self._static(model, start.style)
        with evaluating(model):
            logits, state = self._read(model, start.frames, static)
        while True:
            frame = _drawn(logits.cpu(), temperature, generator)
            yield frame[0].numpy()
            with torch.no_grad(), evaluating(model):
                logits, state, _ = model.step(frame.to(logits.device), state, static)

    def content(self, pieces: Iterable[str], path: Path) -> bytes:
        """A piece as a MIDI file (`.mid`), as a piano roll [T, 88] (`.npy`), or as the names of its keys (`.txt`)."""
        endings = (".mid", ".midi", ".npy", ".txt")
        if path.suffix not in endings:
            raise ConfigError(f"music is not written as {path.name!r}: expected a name that ends in one of {endings}")
        if path.suffix == ".txt":
            return "".join(pieces).encode()
        frames = np.array([frame_of(line) for piece in pieces for line in piece.splitlines()])
        if path.suffix == ".npy":
            file = BytesIO()
            np.save(file, frames)
            return file.getvalue()
        return midi_bytes(frames, self.config.notes.beats, self.config.notes.tempo)

    def sample(self, model: NoteModel, seed: int) -> str:
        """A few frames, from nothing."""
        return "".join(self.generate(model, length=_SAMPLE_LENGTH, sampler=Sampler(_SAMPLE_TEMPERATURE), seed=seed))

    def _start(self, prompt: str, wishes: Mapping[str, str]) -> Start:
        frames = self._prompt(prompt)
        if (count := wishes.get("frames")) is not None:
            if not count.isdecimal():
                raise ConfigError(f"--frames {count}: expected how many frames of the prompt to read")
            if not prompt:
                raise ConfigError(f"--frames {count}: there is no prompt to read frames of; give --prompt FILE as well")
            frames = frames[: int(count)]
        style = wishes.get("style")
        if style is not None and style not in self.styles:
            raise ConfigError(f"there is no style {style!r}{nearest(style, self.styles)}; there are: {self.styles}")
        return Start(frames, UNKNOWN if style is None else self.styles.index(style))

    def _prompt(self, prompt: str) -> np.ndarray:
        """The frames of the prompt, float32 [T, 88]."""
        if not prompt:
            return _NOTHING
        file, _, number = prompt.rpartition(":")
        file, number = (file, int(number)) if file and number.isdecimal() else (prompt, 0)
        rolls: list[Roll] = read_rolls(Path(file).expanduser(), self.config.notes.beats).part("test")
        if number >= len(rolls):
            raise DataError(f"{file} has {len(rolls)} pieces to go on from, numbers 0 to {len(rolls) - 1}, no {number}")
        return rolls[number].frames.astype(np.float32)

    def _static(self, model: NoteModel, style: int) -> Tensor | None:
        return one_hot(torch.tensor([style], device=model.output.weight.device), len(self.styles))

    @torch.no_grad()
    def _read(self, model: NoteModel, frames: np.ndarray, static: Tensor | None) -> tuple[Tensor, Any]:
        """Read frames [T, 88] after the silence that every piece begins with: the next one's logits, and the state."""
        read = np.concatenate([np.zeros((1, KEYS), dtype=np.float32), frames])
        values, state = model.recurrent(torch.from_numpy(read)[None].to(model.output.weight.device), static=static)
        return model.output(values[:, -1]), state

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        return [
            Use(
                "write",
                "Let it write a piece, and play it. A lower temperature is more careful, a higher one more daring.",
                f"recurra generate {trained.run} --out song.mid --temperature 0.7 --seed 1",
            ),
            Use("continue", "Let it go on from the start of a piece.", f"recurra generate {trained.run} --prompt FILE"),
            Use("measure", "Measure it on the test pieces, or on other music.", f"recurra evaluate {trained.run}"),
        ]


_NOTHING = np.zeros((0, KEYS), dtype=np.float32)


def _drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A frame [B, K] of zeros and ones, each key drawn by itself from logits [B, K]."""
    if not torch.isfinite(logits).all():
        raise ValueError("the model's logits are not finite: training diverged; train with a smaller learning rate")
    if temperature == 0:
        return (logits > 0).float()
    return torch.bernoulli((logits / temperature).sigmoid(), generator=generator)


def _note_model(model: nn.Module) -> NoteModel:
    if not isinstance(model, NoteModel):
        raise TypeError(f"a {type(model).__name__} is no model of music: expected what `model` gives")
    return model
