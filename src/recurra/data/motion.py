"""Clips of a moving shape whose class lies in the order of the frames alone.

The field is a torus of 10 by 10 cells, and each clip has 10 frames. The four classes move by (1, 3) cells a frame and
by that step turned by 90, 180 and 270 degrees. Modulo 10 these four are multiples of each other by 1, 3, 7 and 9, so
from any start all four visit the same ten cells: the set of frames is the same, and only their order differs. In each
frame the shape is bright or dark by chance, so that sums over frames average out, whatever the weight of each place
in each frame. No single frame, no bag of frames and no linear map of the clip can tell the classes apart.
"""

import numpy as np

from recurra.data.frames import FrameSet
from recurra.data.vectors import VectorSet

SIZE = 10
STEPS = {"down": (1, 3), "right": (3, -1), "up": (-1, -3), "left": (-3, 1)}  # columns, rows (downwards) a frame

_EXAMPLES, _TESTS = 8000, 1000
_CLIPS, _TEST_CLIPS, _FRAMES = 3000, 500, 20
_TURN = 0.2  # chance that the shape moves another way from a frame on
_SHAPE = 3  # cells, each way
_NOISE = 0.1


def motion(test: bool) -> VectorSet:
    """Clips [10, 100] of a random shape of 3 by 3 cells, with noise: 4,000 to learn from, 1,000 others to test on."""
    random = np.random.default_rng(2 if test else 1)
    names = list(STEPS)
    clips, labels = [], []
    for number in range(_TESTS if test else _EXAMPLES):
        label = names[number % len(names)]
        clips.append(clip(random, label))
        labels.append(label)
    return VectorSet(clips, labels, [str(number) for number in range(len(clips))])


def motion_frames(test: bool) -> FrameSet:
    """Clips [20, 100] in which the shape changes its way now and then, with a tag for each frame.

    The tag is the way it came by, and so none for the first frame. 3,000 clips to learn from, 500 others to test on.
    """
    random = np.random.default_rng(4 if test else 3)
    names = list(STEPS)
    clips, tags = [], []
    for _ in range(_TEST_CLIPS if test else _CLIPS):
        ways = [int(random.integers(len(names)))]
        for _ in range(_FRAMES - 2):
            turn = int(random.integers(1, len(names))) if random.random() < _TURN else 0
            ways.append((ways[-1] + turn) % len(names))
        tags.append((None, *(names[way] for way in ways)))
        clips.append(_film(random, np.array([STEPS[names[way]] for way in ways])))
    return FrameSet(clips, tags, [str(number) for number in range(len(clips))])


def clip(random: np.random.Generator, label: str) -> np.ndarray:
    """One clip, float32 [10, 100]: a frame's cells row by row."""
    return _film(random, np.array([STEPS[label]] * (SIZE - 1)))


def _film(random: np.random.Generator, moves: np.ndarray) -> np.ndarray:
    """A clip of a random shape that makes these `moves`, int [T - 1, 2], from a random place: float32 [T, 100]."""
    frame = np.zeros((SIZE, SIZE), dtype=np.float32)
    frame[:_SHAPE, :_SHAPE] = random.random((_SHAPE, _SHAPE)) < 0.7
    frame[0, 0] = frame[1, 1] = 1.0  # never an empty field
    column, row = random.integers(SIZE, size=2)
    places = np.concatenate([[[0, 0]], np.cumsum(moves, axis=0)])
    contrast = random.choice((-1.0, 1.0), size=len(places))
    frames = [
        bright * np.roll(frame, (row + down, column + across), axis=(0, 1))
        for bright, (across, down) in zip(contrast, places, strict=True)
    ]
    noise = random.normal(scale=_NOISE, size=(len(frames), SIZE * SIZE))
    return (np.stack(frames).reshape(len(frames), -1) + noise).astype(np.float32)
