"""Standard MIDI files: read into piano rolls, and written from them."""

import struct
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.pitches import KEYS, LOWEST, key_of

_TICKS = 480  # a quarter note in the files written
_LOUDNESS = 80  # of 127
_DRUMS = 9  # the channel whose notes are drums, not pitches


def is_midi(path: Path) -> bool:
    """Whether a file is a MIDI file, by its name."""
    return path.suffix.lower() in (".mid", ".midi")


def read_midi(path: Path, beats: float) -> np.ndarray:
    """The keys that sound in each frame of a MIDI file, uint8 [T, 88].

    Starts and ends of notes are rounded to whole frames; each note has one frame at least. Drums are left out. A note
    that is struck again without a pause is one long note.

    Args:
        path: a standard MIDI file.
        beats: length of a frame, in quarter notes.

    Raises:
        DataError: the file is missing or damaged, has no note, or one that is no key of a piano; or the package mido is
            not installed.
    """
    try:
        import mido  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError:
        raise DataError(
            f"{path} cannot be read: MIDI files need the package mido; install it with pip install 'recurra[midi]'"
        ) from None
    try:
        file = mido.MidiFile(path)
        ticks = beats * file.ticks_per_beat
        notes = [note for track in file.tracks for note in _notes(track)]
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, EOFError, ValueError, IndexError, KeyError) as error:
        reason = str(error) or "it ends too early"
        raise DataError(f"{path} cannot be read as a MIDI file ({reason}); write it anew") from error
    spans = []
    for pitch, start, end in notes:
        key = key_of(pitch, f"{path}, quarter note {start / file.ticks_per_beat:g}")
        first = round(start / ticks)
        spans.append((key, first, max(round(end / ticks), first + 1)))
    if not spans:
        raise DataError(f"{path} has no note that is not a drum's; remove it from the data")
    frames = np.zeros((max(end for _, _, end in spans), KEYS), dtype=np.uint8)
    for key, first, end in spans:
        frames[first:end, key] = 1
    return frames


def _notes(track: object) -> list[tuple[int, int, int]]:
    """Pitch, start and end, in ticks, of each note of a track; one that is never let go ends with the track."""
    time, sounding, notes = 0, {}, []
    for message in track:  # type: ignore[attr-defined]  # a list of mido's messages
        time += message.time
        if message.type not in ("note_on", "note_off") or message.channel == _DRUMS:
            continue
        voice = (message.channel, message.note)
        if voice in sounding:
            notes.append((message.note, sounding.pop(voice), time))
        if message.type == "note_on" and message.velocity > 0:
            sounding[voice] = time
    return notes + [(pitch, start, time) for (_, pitch), start in sounding.items()]


def midi_bytes(frames: np.ndarray, beats: float, tempo: float) -> bytes:
    """A standard MIDI file (type 0) that plays a piano roll on a piano.

    A key that sounds in several frames one after another is one long note.

    Args:
        frames: nonzero where a key sounds, [T, 88].
        beats: length of a frame, in quarter notes.
        tempo: quarter notes a minute.
    """
    microseconds = round(60e6 / tempo)
    track = bytearray(b"\x00\xff\x51\x03" + microseconds.to_bytes(3, "big") + b"\x00\xc0\x00")
    before, written = np.zeros(KEYS, dtype=bool), 0
    for number, frame in enumerate([*(np.asarray(frames) != 0), np.zeros(KEYS, dtype=bool)]):
        tick = round(number * beats * _TICKS)
        for status, keys in ((0x80, before & ~frame), (0x90, frame & ~before)):
            for key in np.flatnonzero(keys):
                track += _variable(tick - written) + bytes((status, LOWEST + int(key), _LOUDNESS))
                written = tick
        before = frame
    end = round(len(frames) * beats * _TICKS)
    track += _variable(end - written) + b"\xff\x2f\x00"
    head = b"MThd" + struct.pack(">IHHH", 6, 0, 1, _TICKS)
    return head + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


def _variable(number: int) -> bytes:
    """A number in the format's own length: seven bits a byte, the high bit set in all but the last."""
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.append(0x80 | (number & 0x7F))
    return bytes(reversed(parts))
