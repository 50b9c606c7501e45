"""Sound files as sequences of log-mel frames."""

import io
import tarfile
import wave
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.vectors import VectorSet

_ARCHIVES = (".tar", ".tar.gz", ".tgz")
# Added before the logarithm: silence is a finite number.
_FLOOR = 1e-6


@dataclass(frozen=True)
class Mel:
    """How sound becomes frames.

    Attributes:
        bands: mel bands, the width of a frame.
        window: length of sound that a frame looks at, in seconds.
        hop: time from one frame to the next, in seconds.
    """

    bands: int = 40
    window: float = 0.025
    hop: float = 0.01

    def frames(self, sound: np.ndarray, rate: int) -> np.ndarray:
        """The logarithm of the energy in each mel band over time, float32 [frames, bands].

        Args:
            sound: samples from -1 to 1, [samples].
            rate: samples a second.
        """
        size, hop = round(self.window * rate), round(self.hop * rate)
        sound = np.pad(sound, (0, max(0, size - len(sound))))
        count = 1 + (len(sound) - size) // hop
        windows = sound[np.arange(count)[:, None] * hop + np.arange(size)] * np.hanning(size)
        points = 1 << (size - 1).bit_length()
        power = np.abs(np.fft.rfft(windows, points)) ** 2
        return np.log(power @ mel_filters(self.bands, points, rate).T + _FLOOR).astype(np.float32)


def mel_filters(bands: int, points: int, rate: int) -> np.ndarray:
    """Triangles that are evenly spaced on the mel scale (O'Shaughnessy's 2595 log₁₀(1 + f/700)), [bands, points/2 + 1].

    Args:
        bands: number of triangles.
        points: length of the Fourier transform.
        rate: samples a second; the triangles reach from 0 to half of it.
    """
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)  # Hz
    frequencies = np.arange(points // 2 + 1) * rate / points
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)))


def is_audio(path: Path) -> bool:
    """Whether there is sound at `path`: a wav file, an archive, or a folder with wav files in it or its folders."""
    if path.is_dir():
        return next(path.rglob("*.wav"), None) is not None
    return path.suffix == ".wav" or path.name.endswith(_ARCHIVES)


def read_audio(path: Path, mel: Mel) -> VectorSet:
    """The wav files of a folder or a tar archive, or a single one, as log-mel frames.

    A file's label is the folder it lies in, below `path`; of files that lie in no folder of their own, what stands in
    their name before the first underscore.

    Raises:
        DataError: there is no wav file, or one cannot be read as uncompressed sound; or they differ in their rate.
    """
    sequences, labels, names, rates = [], [], [], {}
    for name, content in _files(path):
        sound, rate = _samples(content, f"{path}/{name}" if path.suffix != ".wav" else str(path))
        rates.setdefault(rate, name)
        sequences.append(mel.frames(sound, rate))
        *folders, last = Path(name).parts
        labels.append(folders[-1] if folders else last.partition("_")[0])
        names.append(name)
    if not sequences:
        raise DataError(f"{path} holds no .wav file: expected some, in a folder for each label or named LABEL_….wav")
    if len(rates) > 1:
        (one, first), (other, second), *_ = rates.items()
        raise DataError(f"{path}: {first} has {one} samples a second, but {second} {other}: convert them to one rate")
    return VectorSet(sequences, labels, names, next(iter(rates)))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each wav file, in the order of their names."""
    if path.is_dir():
        for file in sorted(path.rglob("*.wav")):
            yield str(file.relative_to(path)), file.read_bytes()
    elif path.suffix == ".wav":
        yield path.name, path.read_bytes()
    else:
        try:
            with tarfile.open(path) as archive:
                members = {member.name: member for member in archive.getmembers() if member.name.endswith(".wav")}
                top = {Path(name).parts[0] for name in members}
                # A single folder that holds everything says nothing about any of it.
                cut = len(Path(next(iter(members))).parts) > 1 and len(top) == 1 if members else False
                for name in sorted(members):
                    file = archive.extractfile(members[name])
                    if file is not None:
                        yield str(Path(*Path(name).parts[1:])) if cut else name, file.read()
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            why = str(error).partition("\n")[0].rstrip(":")
            raise DataError(f"{path} cannot be read as a tar archive ({why}): fetch or pack it anew") from error


def _samples(content: bytes, name: str) -> tuple[np.ndarray, int]:
    """The sound of a wav file from -1 to 1, its channels averaged, float64 [samples]; and its samples a second."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        why = str(error) or "it ends too soon"
        raise DataError(f"{name} is no wav file of uncompressed sound ({why}): convert it to 16-bit PCM") from error
    if len(data) % (width * channels):
        raise DataError(f"{name} is cut off in the middle of a sample: record, fetch or convert it anew")
    if width == 3:
        # NumPy has no 24-bit integers: the three bytes become the upper ones of four.
        triples = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = np.concatenate([np.zeros((len(triples), 1), np.uint8), triples], axis=1).view("<i4")[:, 0] / 2**31
    elif width == 1:
        values = (np.frombuffer(data, np.uint8) - 128.0) / 128.0
    else:
        values = np.frombuffer(data, f"<i{width}") / 2.0 ** (8 * width - 1)
    sound = values.reshape(-1, channels).mean(1)
    if len(sound) == 0:
        raise DataError(f"{name} holds no sound: remove it")
    return sound, rate
