"""MIDI files, written and read; what is written is read here by hand, from the format's definition."""

import struct
from pathlib import Path

import numpy as np
import pytest

from recurra.data import DataError, midi_bytes, read_rolls


def roll(*frames: tuple[int, ...]) -> np.ndarray:
    made = np.zeros((len(frames), 88), dtype=np.uint8)
    for row, pitches in zip(made, frames, strict=True):
        row[[pitch - 21 for pitch in pitches]] = 1
    return made


def events(content: bytes) -> tuple[int, list[tuple[int, int, bytes]]]:
    """Ticks of a quarter note, and tick, status and data of each event of a file with a single track."""
    name, size, kind, tracks, ticks = struct.unpack(">4sIHHH", content[:14])
    assert (name, size, kind, tracks) == (b"MThd", 6, 0, 1)
    name, size = struct.unpack(">4sI", content[14:22])
    assert name == b"MTrk" and len(content) == 22 + size
    place, tick, found = 22, 0, []
    while place < len(content):
        wait = 0
        while True:
            byte, place = content[place], place + 1
            wait = wait << 7 | byte & 127
            if byte < 128:
                break
        tick += wait
        status = content[place]
        length = {0xFF: 0, 0xC0: 1}.get(status, 2)
        start = place + 1
        if status == 0xFF:
            status, length, start = 0xFF00 | content[place + 1], content[place + 2], place + 3
        found.append((tick, status, content[start : start + length]))
        place = start + length
    return ticks, found


def test_a_piece_is_written_as_the_format_says():
    ticks, found = events(midi_bytes(roll((60, 64), (60,), (), (60,)), beats=0.5, tempo=120))
    half = ticks // 2
    assert found[0] == (0, 0xFF51, (500_000).to_bytes(3, "big")) and found[-1] == (4 * half, 0xFF2F, b"")
    notes = [(tick, status, data[0]) for tick, status, data in found if status in (0x80, 0x90)]
    assert notes == [
        (0, 0x90, 60), (0, 0x90, 64), (half, 0x80, 64),
        (2 * half, 0x80, 60), (3 * half, 0x90, 60), (4 * half, 0x80, 60),
    ]  # fmt: skip


def test_long_waits_take_several_bytes():
    _, found = events(midi_bytes(roll(*[(60,)] * 500, ()), beats=4, tempo=60))
    assert [(tick, status) for tick, status, _ in found[2:]] == [(0, 0x90), (960_000, 0x80), (961_920, 0xFF2F)]


@pytest.mark.parametrize("beats", [0.25, 0.5, 1, 4])
def test_what_is_written_is_read_again(tmp_path: Path, beats: float):
    pytest.importorskip("mido", reason="MIDI files are read with mido, an extra")
    piece = (np.random.default_rng(0).random((40, 88)) < 0.1).astype(np.uint8)
    piece[-1, 3] = 1
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.mid").write_bytes(midi_bytes(piece, beats, 100))
    collection = read_rolls(tmp_path, beats)
    assert collection.name == tmp_path.name and [roll.name for roll in collection.pieces] == ["deep/a.mid"]
    np.testing.assert_array_equal(collection.pieces[0].frames, piece)


def test_notes_are_rounded_to_frames_and_drums_left_out(tmp_path: Path):
    mido = pytest.importorskip("mido", reason="MIDI files are read with mido, an extra")
    message = mido.Message
    melody = [
        message("note_on", note=60, time=20), message("note_on", note=60, velocity=0, time=10),  # short: one frame
        message("note_on", note=62, time=70), message("note_off", note=62, time=190),
        message("note_on", channel=9, note=40),
        message("note_on", note=64, time=0),  # never let go: to the end of the track
        mido.MetaMessage("end_of_track", time=110),
    ]  # fmt: skip
    bass = [message("note_on", note=36, time=0, channel=1), message("note_off", note=36, time=400, channel=1)]
    mido.MidiFile(type=1, ticks_per_beat=200, tracks=[mido.MidiTrack(melody), mido.MidiTrack(bass)]).save(
        tmp_path / "a.mid"
    )
    found = read_rolls(tmp_path / "a.mid", 0.5).pieces[0].frames
    np.testing.assert_array_equal(found, roll((60, 36), (62, 36), (62, 36), (64, 36)))


def test_midi_files_that_cannot_be_used(tmp_path: Path):
    mido = pytest.importorskip("mido", reason="MIDI files are read with mido, an extra")
    path = tmp_path / "a.mid"
    for content, said in ((b"", "cannot be read"), (b"RIFF" + bytes(40), "cannot be read")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"a\.mid {said}"):
            read_rolls(path, 0.5)
    path.write_bytes(midi_bytes(roll((60,), (60,)), 0.5, 100)[:-8])
    with pytest.raises(DataError, match=r"a\.mid cannot be read"):
        read_rolls(path, 0.5)
    for notes, said in (([], "has no note"), ([mido.Message("note_on", note=3, time=240)], "quarter note 0.5: .* 3 ")):
        mido.MidiFile(ticks_per_beat=480, tracks=[mido.MidiTrack(notes)]).save(path)
        with pytest.raises(DataError, match=rf"a\.mid.*{said}"):
            read_rolls(path, 0.5)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.mid").write_bytes(midi_bytes(roll((60,)), 0.5, 100))
    monkeypatch.setitem(__import__("sys").modules, "mido", None)
    with pytest.raises(DataError, match=r"pip install 'recurra\[midi\]'"):
        read_rolls(tmp_path / "a.mid", 0.5)
