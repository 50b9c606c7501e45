"""Frames of labels, each there or not, such as the keys that sound: how well they are written, and as files."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from recurra.data import KEYS, DataError, by_length, midi_bytes, text_of
from recurra.models import VectorToSequence
from recurra.models.evaluation import evaluating
from recurra.tasks.config import ConfigError
from recurra.tasks.describe.config import DecodeConfig
from recurra.tasks.describe.data import Alphabet, Examples
from recurra.tasks.describe.writing import values
from recurra.tasks.findings import Finding, Heatmap

KIND = "labels"
_ROWS = 64  # examples read at once
_SHOWN = 96  # frames of a picture


def require_sets(frames: list[np.ndarray], path: str) -> None:
    """Raise a DataError where a value is neither 0 nor 1."""
    for number, one in enumerate(frames):
        odd = np.argwhere((one != 0) & (one != 1))
        if len(odd):
            step, column = odd[0]
            raise DataError(
                f"{path}: `y` holds {one[step, column]:g} at sequence {number}, step {step}, column {column} (counted "
                f"from 0); model.frames={KIND} expects 0 (not there) or 1 (there): mend it, or take another kind"
            )


def agreement(model: VectorToSequence, examples: Examples) -> dict[str, float]:
    """`precision`, `recall` and `f1` of the labels with a chance above one half, given the true frames before."""
    likely = np.concatenate(foretold(model, examples)) > 0.5
    return _agreement(np.concatenate(examples.sequences), likely)


def foretold(model: VectorToSequence, examples: Examples) -> list[np.ndarray]:
    """The chances of the labels of each frame, given the thing and all true frames before, float32 [T, K] each."""
    device = next(model.parameters()).device
    found = [np.zeros(0, dtype=np.float32)] * len(examples)
    with torch.no_grad(), evaluating(model):
        for numbers in by_length(examples.lengths, _ROWS):
            batch = examples.batch(numbers)
            features = model.features(model.encode(batch.things.to(device)), batch.inputs.to(device), batch.lengths)
            chances = model.output.logits(features).sigmoid().cpu().numpy()
            for row, k in enumerate(numbers):
                found[k] = chances[row, : int(batch.lengths[row])]
    return found


def figures(model: VectorToSequence, alphabet: Alphabet, examples: Examples) -> dict[str, float | Finding]:
    """How well the labels are foretold, and how near those come that the model writes from its own.

    Returns:
        `precision`, `recall` and `f1` of the labels with a chance above one half, given the true frames before;
        `written_f1` of what the model writes, each label likelier there than not, step by step; `baseline_nats` of a
        frame where each label has its own frequency in these data; and a sequence as it is, as it was foretold and as
        it was written.
    """
    truth = examples.sequences
    chances = foretold(model, examples)
    written = values(model, alphabet, examples.data.things[examples.data.of], max(map(len, truth)))
    written = [made[: len(true)] for made, true in zip(written, truth, strict=True)]
    flat = np.concatenate(truth)
    measures: dict[str, float | Finding] = {
        **_agreement(flat, np.concatenate(chances) > 0.5),
        "written_f1": _agreement(flat, np.concatenate(written) > 0.5)["f1"],
        "baseline_nats": _guessed(flat),
    }
    scores = [_agreement(true, made > 0.5)["f1"] for true, made in zip(truth, chances, strict=True)]
    k = int(np.argsort(scores, kind="stable")[len(scores) // 2])
    name = examples.data.names[examples.data.of[k]]
    there = _there([truth[k], chances[k] > 0.1, written[k]])
    measures["truth"] = picture("A sequence", f"{name}, foretold neither best nor worst", truth[k], there)
    measures["foretold"] = picture(
        "As it was foretold", "the chance of each label, given all before", chances[k], there
    )
    measures["written"] = picture("As it was written", "from the model's own", written[k], there)
    return measures


def _agreement(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of labels; each 0 where nothing is right."""
    right, given, wanted = int((truth * found).sum()), int(found.sum()), int(truth.sum())
    return {
        "precision": right / max(given, 1),
        "recall": right / max(wanted, 1),
        "f1": 2 * right / max(given + wanted, 1),
    }


def _guessed(truth: np.ndarray) -> float:
    """The nats of a frame where each label has a chance of its own, the same in all frames."""
    share = truth.mean(0, dtype=np.float64)
    chance = np.clip(share, 1e-12, 1 - 1e-12)
    return float(-(share * np.log(chance) + (1 - share) * np.log(1 - chance)).sum())


# -- shown and written -----------------------------------------------------------------------------------------------


def picture(title: str, note: str, frames: np.ndarray, there: range | None = None) -> Heatmap:
    """The first frames [T, K], the last label at the top; `there` are the labels shown, None: those that occur."""
    there = there or _there([frames])
    shown = frames[:_SHOWN, there.start : there.stop].T[::-1].astype(np.float64).round(2)
    return Heatmap(title, note, [str(k) for k in reversed(there)], [""] * shown.shape[1], shown.tolist())


def _there(rolls: list[np.ndarray]) -> range:
    """The labels from the first to the last that occur; all where none does."""
    found = np.flatnonzero(np.any([roll[:_SHOWN].any(0) for roll in rolls], axis=0))
    return range(int(found[0]), int(found[-1]) + 1) if len(found) else range(rolls[0].shape[1])


def as_line(frames: np.ndarray) -> str:
    """Frames [T, K] as a text: the numbers of the labels of each joined by +, a dash for none, parted by blanks."""
    return " ".join("+".join(map(str, np.flatnonzero(frame))) or "-" for frame in frames)


def file_of(frames: np.ndarray, settings: DecodeConfig, path: Path, *, sets: bool) -> bytes:
    """The file at `path` with the frames [N, T, K] of N things.

    `.npz`: as `y`, uint8 where they are sets; `.mid` and `.txt`: one sequence of 88 keys, as music and as the names of
    those that sound in each frame.

    Raises:
        ConfigError: the name ends otherwise, or it is no such sequence.
    """
    if path.suffix == ".npz":
        file = BytesIO()
        np.savez_compressed(file, y=frames.astype(np.uint8) if sets else frames)
        return file.getvalue()
    if path.suffix not in (".mid", ".midi", ".txt"):
        raise ConfigError(f"--out {path}: frames are written to .npz, and music to .mid or .txt as well")
    if not sets or frames.shape[2] != KEYS:
        raise ConfigError(
            f"--out {path}: music has model.frames={KIND} and the {KEYS} keys of a piano, but these frames have "
            f"{frames.shape[2]} columns; take a name that ends in .npz"
        )
    if len(frames) != 1:
        raise ConfigError(f"--out {path}: one piece, but {len(frames)} things were asked for: ask one, or take .npz")
    if path.suffix == ".txt":
        return "".join(f"{text_of(frame)}\n" for frame in frames[0]).encode()
    return midi_bytes(frames[0], settings.beats, settings.tempo)
