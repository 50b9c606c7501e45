import io
import tarfile
import wave
from pathlib import Path

import numpy as np
import pytest

from recurra.data import DataError, Mel, read_audio
from recurra.data.audio import mel_filters

RATE = 8000


def wav(sound: np.ndarray, rate: int = RATE, width: int = 2) -> bytes:
    """A file of sound from -1 to 1, [samples] or [samples, channels]."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1 if sound.ndim == 1 else sound.shape[1])
        out.setsampwidth(width)
        out.setframerate(rate)
        values = np.round(sound.flatten() * (2 ** (8 * width - 1) - 1)).astype("<i4")
        out.writeframes(values.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
    return file.getvalue()


def tone(hertz: float, seconds: float = 0.2) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, hertz in (("low_1.wav", 300), ("high_1.wav", 2500)):
        (tmp_path / name).write_bytes(wav(tone(hertz)))
    return tmp_path


def test_a_folder_an_archive_and_folders_of_labels_say_the_same(folder: Path, tmp_path_factory):
    plain = read_audio(folder, Mel())
    assert plain.labels == ["high", "low"] and plain.names == ["high_1.wav", "low_1.wav"]
    other = tmp_path_factory.mktemp("other")
    with tarfile.open(other / "a.tar.gz", "w:gz") as archive:
        for name in ("low_1.wav", "high_1.wav"):
            archive.add(folder / name, f"recordings/{name}")
    packed = read_audio(other / "a.tar.gz", Mel())
    assert packed.labels == plain.labels
    for label in ("low", "high"):
        (other / label).mkdir()
        (other / label / "x_1.wav").write_bytes((folder / f"{label}_1.wav").read_bytes())
    sorted_out = read_audio(other, Mel())
    assert sorted_out.labels == ["high", "low"]
    for one in (packed, sorted_out):
        for a, b in zip(one.sequences, plain.sequences, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_tone_stands_out_in_its_band(folder: Path):
    high, low = read_audio(folder, Mel(bands=20)).sequences
    assert high.shape == (18, 20) and high.dtype == np.float32  # 0.2 s: 1 + (1600 − 200) / 80 frames
    centres = mel_filters(20, 256, RATE).argmax(1) * RATE / 256
    assert abs(centres[low.mean(0).argmax()] - 300) < 100
    assert abs(centres[high.mean(0).argmax()] - 2500) < 300


def test_all_widths_and_channels_carry_the_same_sound(tmp_path):
    sound = tone(440)
    for name, content in (
        ("16_1.wav", wav(sound)),
        ("24_1.wav", wav(sound, width=3)),
        ("32_1.wav", wav(sound, width=4)),
        ("st_1.wav", wav(np.stack([sound, sound], axis=1))),
    ):
        (tmp_path / name).write_bytes(content)
    first, *others = read_audio(tmp_path, Mel()).sequences
    for other in others:
        np.testing.assert_allclose(other, first, atol=0.2)


def test_the_filters_cover_every_frequency_evenly():
    filters = mel_filters(40, 512, 16000)
    assert filters.shape == (40, 257) and filters.min() == 0
    inner = filters.sum(0)[filters[0].argmax() + 1 : filters[-1].argmax()]
    np.testing.assert_allclose(inner, 1.0, atol=1e-9)  # neighbours add up to one


def test_sound_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.wav file"):
        read_audio(tmp_path, Mel())
    (tmp_path / "a_1.wav").write_bytes(wav(tone(300)))
    (tmp_path / "b_1.wav").write_bytes(wav(tone(300), rate=16000))
    with pytest.raises(DataError, match=r"a_1\.wav has 8000 samples a second, but b_1\.wav 16000"):
        read_audio(tmp_path, Mel())
    (tmp_path / "b_1.wav").write_bytes(b"RIFF and so on")
    with pytest.raises(DataError, match=r"b_1\.wav is no wav file"):
        read_audio(tmp_path, Mel())
    (tmp_path / "b_1.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"b_1\.wav is no wav file .*it ends too soon"):
        read_audio(tmp_path, Mel())
    (tmp_path / "b_1.wav").write_bytes(wav(tone(300))[:-3])
    with pytest.raises(DataError, match=r"b_1\.wav is cut off in the middle of a sample"):
        read_audio(tmp_path, Mel())
    (tmp_path / "b_1.wav").write_bytes(wav(np.zeros(0)))
    with pytest.raises(DataError, match=r"b_1\.wav holds no sound"):
        read_audio(tmp_path, Mel())
    (tmp_path / "x.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"^.*tar archive \(.*\): fetch or pack it anew$"):
        read_audio(tmp_path / "x.tar.gz", Mel())
