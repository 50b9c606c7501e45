"""Curves of a few shapes, by their frequency and phase: one thing to a sequence of values."""

import numpy as np

from recurra.data.described import Described

STEPS = 60  # values of a curve
SHAPES = ("sine", "square", "triangle", "sawtooth")

_EXAMPLES, _TESTS = 3000, 500
_FREQUENCIES = (1.0, 4.0)  # periods in a curve


def waves(test: bool) -> Described:
    """Curves [60, 1] of 1 to 4 periods, of a shape and a phase, a part of a period: 3,000 to learn from, 500 others."""
    random = np.random.default_rng(2 if test else 1)
    count = _TESTS if test else _EXAMPLES
    frequencies, phases = random.uniform(*_FREQUENCIES, size=count), random.random(count)
    shapes = random.integers(len(SHAPES), size=count)
    features = np.concatenate([frequencies[:, None], phases[:, None], np.eye(len(SHAPES))[shapes]], 1)
    curves = [curve(f, p, SHAPES[s])[:, None] for f, p, s in zip(frequencies, phases, shapes, strict=True)]
    names = [f"{f:.2f} {p:.2f} {SHAPES[s]}" for f, p, s in zip(frequencies, phases, shapes, strict=True)]
    columns = ["frequency", "phase", *SHAPES]
    return Described("vector", features.astype(np.float32), names, np.arange(count), frames=curves, columns=columns)


def curve(frequency: float, phase: float, shape: str) -> np.ndarray:
    """The values of a curve, float32 [60], each from -1 to 1."""
    place = (frequency * np.arange(STEPS) / STEPS + phase) % 1.0
    values = {
        "sine": np.sin(2 * np.pi * place),
        "square": np.where(place < 0.5, 1.0, -1.0),
        "triangle": 1 - 4 * np.abs(((place + 0.25) % 1.0) - 0.5),
        "sawtooth": 2 * place - 1,
    }[shape]
    return values.astype(np.float32)
