"""How well a model foretells notes: measures, and pictures of pieces."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from recurra.data import KEYS, by_length, name_of
from recurra.models import NoteModel
from recurra.models.evaluation import evaluating
from recurra.tasks.findings import Finding, Heatmap, Table
from recurra.tasks.music.data import Pieces, one_hot

_ROWS = 32  # pieces read at once
_SHOWN = 96  # frames of a picture
_LISTED = 5  # of the best and of the worst pieces


@dataclass(frozen=True)
class Foretold:
    """What a model makes of N pieces.

    Attributes:
        chances: of each key in each frame, given the frames before it, float32 [T, 88] each.
        nats: −log p of each frame, float64 [T] each.
    """

    chances: list[np.ndarray]
    nats: list[np.ndarray]


@torch.no_grad()
def foretell(model: NoteModel, pieces: Pieces, styles: int) -> Foretold:
    """The chances that the model gives the keys of every frame; `styles` is how many it knows."""
    device = model.output.weight.device
    nothing = np.zeros(0)
    found = Foretold([nothing] * len(pieces), [nothing] * len(pieces))
    with evaluating(model):
        for numbers in by_length(pieces.lengths, _ROWS):
            batch = pieces.batch(numbers)
            static = one_hot(batch.styles.to(device), styles)
            frames = batch.frames.to(device)
            logits = model(frames, batch.lengths, static)
            nats = model.nats(logits, frames, batch.lengths).double().cpu().numpy()
            chances = logits.sigmoid().cpu().numpy()
            for row, k in enumerate(numbers):
                length = int(batch.lengths[row])
                found.chances[k], found.nats[k] = chances[row, :length].copy(), nats[row, :length].copy()
    return found


def figures(foretold: Foretold, pieces: Pieces, frequencies: np.ndarray) -> dict[str, float]:
    """The measures of a model on pieces.

    Args:
        foretold: what it makes of them.
        pieces: the pieces.
        frequencies: in which part of the frames to learn from each key sounds, [88], a guess without a model.

    Returns:
        `nats` a frame, the mean over all frames, the first of each piece, which is predicted from nothing, among them;
        `nats_after_first`, the mean over the others; `nats_by_piece`, the mean over pieces of the mean over each one's
        frames; `baseline_nats` of the guess; `accuracy`, `precision` and `recall` of the notes with a chance above one
        half (Bay et al. 2009: right ones ÷ those that are right, too many or missing, over all frames); the number of
        `frames` and of `pieces`.
    """
    nats = foretold.nats
    total, frames = sum(float(one.sum()) for one in nats), int(pieces.lengths.sum())
    first = sum(float(one[0]) for one in nats)
    truth = np.concatenate([roll.frames for roll in pieces.rolls]).astype(bool)
    likely = np.concatenate(foretold.chances) > 0.5
    right, given, wanted = int((truth & likely).sum()), int(likely.sum()), int(truth.sum())
    return {
        "nats": total / frames,
        "nats_after_first": (total - first) / max(frames - len(pieces), 1),
        "nats_by_piece": float(np.mean([one.mean() for one in nats])),
        "baseline_nats": _guessed(truth, frequencies),
        "accuracy": right / max(given + wanted - right, 1),
        "precision": right / max(given, 1),
        "recall": right / max(wanted, 1),
        "frames": frames,
        "pieces": len(pieces),
    }


def _guessed(truth: np.ndarray, frequencies: np.ndarray) -> float:
    """The nats a frame of keys that each sound with their own frequency; one that is never or always heard may err."""
    chance = np.clip(frequencies.astype(np.float64), 1e-5, 1 - 1e-5)
    share = truth.mean(0)
    return float(-(share * np.log(chance) + (1 - share) * np.log(1 - chance)).sum())


def pictures(foretold: Foretold, pieces: Pieces, styles: Sequence[str]) -> dict[str, Finding]:
    """One piece as it is and as it was foretold, each collection's measures, and the best and the worst pieces."""
    means = np.array([one.mean() for one in foretold.nats])
    order = np.argsort(means, kind="stable")
    number = int(order[len(order) // 2])
    names = [
        f"{styles[style]} {roll.name}" if style >= 0 else roll.name
        for roll, style in zip(pieces.rolls, pieces.styles, strict=True)
    ]
    truth, chances = pieces.rolls[number].frames, foretold.chances[number]
    keys = _heard([truth, chances > 0.1])
    found: dict[str, Finding] = {
        "truth": roll_picture("A piece", f"{names[number]}, of median nats: which keys sound", truth, keys),
        "chances": roll_picture("As it was foretold", "the chance of each key, given all frames before", chances, keys),
    }
    if len(styles) > 1:
        rows = []
        for style, label in enumerate(styles):
            those = [nats for nats, k in zip(foretold.nats, pieces.styles, strict=True) if k == style]
            if those:
                rows.append([label, float(np.concatenate(those).mean()), sum(map(len, those)), len(those)])
        found["by_style"] = Table("Collections", "", ["collection", "nats a frame", "frames", "pieces"], rows)
    listed = order if len(order) <= 2 * _LISTED else [*order[:_LISTED], *order[-_LISTED:]]
    rows = [[names[k], float(means[k]), len(pieces.rolls[k].frames)] for k in listed]
    found["best_and_worst"] = Table("Best and worst pieces", "", ["piece", "nats a frame", "frames"], rows)
    return found


def roll_picture(title: str, note: str, values: np.ndarray, keys: range | None = None) -> Heatmap:
    """The start of a piano roll [T, 88], the highest key at the top; `keys` are those shown, None all that sound."""
    keys = keys or _heard([values > 0])
    shown = values[:_SHOWN, keys.start : keys.stop].T[::-1].astype(np.float64).round(2)
    return Heatmap(title, note, [name_of(key) for key in reversed(keys)], [""] * shown.shape[1], shown.tolist())


def _heard(rolls: Sequence[np.ndarray]) -> range:
    """The keys from the lowest to the highest that sound, and one more at each end."""
    heard = np.flatnonzero(np.any([roll[:_SHOWN].any(0) for roll in rolls], axis=0))
    if not len(heard):
        return range(KEYS)
    return range(max(int(heard[0]) - 1, 0), min(int(heard[-1]) + 2, KEYS))
