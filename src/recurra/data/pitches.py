"""The 88 keys of a piano, their MIDI pitches and their names."""

import re

import numpy as np

from recurra.data.errors import DataError

LOWEST, KEYS = 21, 88  # MIDI pitch of the first key, number of keys
_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
_NAME = re.compile(r"([A-G][♯♭]?)(-?\d+)")


def key_of(pitch: int, place: str) -> int:
    """The number of the key with a MIDI pitch, from 0. Raises DataError, which names the place, where there is none."""
    if not LOWEST <= pitch < LOWEST + KEYS:
        raise DataError(
            f"{place}: the MIDI pitch {pitch} has no key on a piano, whose are {LOWEST} to {LOWEST + KEYS - 1}; "
            "transpose or remove it"
        )
    return pitch - LOWEST


def name_of(key: int) -> str:
    """The name of a key, such as C4 for the one in the middle, MIDI pitch 60."""
    octave, step = divmod(key + LOWEST, 12)
    return f"{_NAMES[step]}{octave - 1}"


def text_of(frame: np.ndarray) -> str:
    """The names of the keys that sound in a frame [88], from the lowest, parted by blanks; a dash for silence."""
    return " ".join(name_of(int(key)) for key in np.flatnonzero(frame)) or "-"


def frame_of(line: str) -> np.ndarray:
    """The frame that `text_of` made a line of, uint8 [88]. Raises DataError where a word is no key's name."""
    frame = np.zeros(KEYS, dtype=np.uint8)
    for word in line.split():
        if word == "-":
            continue
        match = _NAME.fullmatch(word)
        if match is None or match[1] not in _NAMES:
            raise DataError(f"{word!r} is no name of a key; expected such as C4, F♯3 or E♭5")
        frame[key_of(_NAMES.index(match[1]) + 12 * (int(match[2]) + 1), repr(word))] = 1
    return frame
