"""Series that need no file: a sine, a random walk, and driven non-linear systems."""

from collections.abc import Callable

import numpy as np

from recurra.data.builtin import PREFIX
from recurra.data.errors import DataError
from recurra.data.series import Series

# The forced pendulum: θ″ = −g/l sin θ − c θ′ + u, in steps of 0.1 s.
_GRAVITY, _FRICTION, _STEP, _INNER = 4.0, 0.8, 0.1, 4


def read_made(path: str, *, test: bool = False) -> list[Series]:
    """The series that `path`, `builtin:NAME`, stands for: those to learn from or, with `test`, others of their kind.

    Raises:
        DataError: there is no such series.
    """
    name = path.removeprefix(PREFIX)
    if name not in _MADE:
        known = ", ".join(PREFIX + known for known in _MADE)
        raise DataError(f"there is no series {path}; there are: {known}")
    return _MADE[name](np.random.default_rng(2 if test else 1))


def _sine(random: np.random.Generator) -> list[Series]:
    """400 pieces of one sine, 25 steps a period, of 120 steps each, each from a phase of its own."""
    steps = np.arange(120)
    phases = random.uniform(0, 2 * np.pi, size=400)
    return [Series(("y",), np.sin(2 * np.pi * steps / 25 + phase)[:, None]) for phase in phases]


def _walk(random: np.random.Generator) -> list[Series]:
    """A price whose changes from step to step are independent of everything before, 6,000 steps."""
    return [Series(("price",), 100 + random.normal(size=6000).cumsum()[:, None])]


def _pendulum(random: np.random.Generator) -> list[Series]:
    """A damped pendulum pushed by a force that changes at random, 8,000 steps of 0.1 s: its angle, in radians."""
    count = 8000
    force = _held(random, count, scale=1.9, longest=20)
    angle, speed, angles = 0.0, 0.0, np.zeros(count)
    inner = _STEP / _INNER
    for t in range(count):
        for _ in range(_INNER):  # semi-implicit Euler, which keeps a pendulum's energy
            speed += inner * (-_GRAVITY * np.sin(angle) - _FRICTION * speed + force[t])
            angle += inner * speed
        angles[t] = angle
    return [Series(("force", "angle"), np.stack([force, angles], 1), ahead=("force",))]


def _henon(random: np.random.Generator) -> list[Series]:
    """Hénon's map (1976) with an input: y_t = 1 − 1.2 y²_{t−1} + 0.3 y_{t−2} + u_t, 6,000 steps.

    Without its own past a system so close to chaos cannot be followed: read the targets before.
    """
    count = 6000
    u = random.uniform(-0.05, 0.05, size=count)
    y = np.zeros(count)
    for t in range(2, count):
        y[t] = 1 - 1.2 * y[t - 1] ** 2 + 0.3 * y[t - 2] + u[t]
    return [Series(("u", "y"), np.stack([u, y], 1), ahead=("u",))]


def _held(random: np.random.Generator, count: int, scale: float, longest: int) -> np.ndarray:
    """Levels uniform in ±`scale`, each held for 1 to `longest` steps, [count]."""
    lengths = random.integers(1, longest + 1, size=count)
    return np.repeat(random.uniform(-scale, scale, size=count), lengths)[:count]


_MADE: dict[str, Callable[[np.random.Generator], list[Series]]] = {
    "sine": _sine,
    "walk": _walk,
    "system": _pendulum,
    "henon": _henon,
}
