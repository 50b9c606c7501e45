"""The folder a run leaves behind: its settings, vocabulary, best model, checkpoint, metrics and report."""

import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Self

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from recurra.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from recurra.training.files import replace_file, to_json

_LOCK = ".lock"
_MEANINGS = "meanings"  # in the metadata of the model: SHA-256 of the files that say what its numbers mean
# So far numbers may be off that were worked out anew: sums are rounded otherwise on another processor.
_ROUNDING = 1e-3


class RunFolderError(ValueError):
    """A run folder that cannot be used: not there, in use by another process, or holding something else."""


class RunFolder:
    """A run folder at `path`, owned by one process at a time.

    | file                | content                                                              |
    |---------------------|----------------------------------------------------------------------|
    | `config.yaml`       | every setting, resolved                                              |
    | `describe.json`     | facts of data, model and machine, and how the run ended              |
    | `vocabulary.json`   | the task's: what the model's numbers mean                            |
    | `model.safetensors` | the parameters that did best in validation                           |
    | `checkpoint/`       | everything needed to go on                                           |
    | `metrics.jsonl`     | one JSON object a line                                               |
    | `report.html`       | the run as a page                                                    |

    Only the `writer` writes; in the other processes of a distributed run the same calls do nothing.
    """

    def __init__(self, path: Path, *, writer: bool = True) -> None:
        self.path = path
        self.writer = writer
        self._lock: IO[bytes] | None = None
        self._metrics: IO[bytes] | None = None
        self._new = False  # made by this process, with nothing in it yet that would be a loss
        self._meanings: list[str] = []  # the files that say what the model's numbers mean

    # -- making, opening, closing ------------------------------------------------------------------------------------

    @classmethod
    def fresh(cls, name: str, parent: Path = Path("runs")) -> Self:
        """Make `parent/name-N` with the first free N, and lock it. Raises OSError where that is not permitted."""
        number = 1
        while True:
            path = parent / f"{name}-{number}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
                continue
            folder = cls(path)._locked()
            folder._new = True
            return folder

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the folder `path`, or take it where it is empty, and lock it. Raises RunFolderError, OSError."""
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)._locked()
        if any(entry.name != _LOCK for entry in path.iterdir()):
            folder.close()
            mend = f"go on with it: recurra train --resume {path}" if (path / "config.yaml").is_file() else "clear it"
            raise RunFolderError(f"run={path} is not empty. Choose another folder, or {mend}")
        folder._new = True
        return folder

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Lock the folder of an earlier run, to go on with it. Raises RunFolderError, OSError."""
        return cls.existing(path)._locked()

    @classmethod
    def existing(cls, path: Path, *, writer: bool = True) -> Self:
        """The folder of an earlier run, to read from. Raises RunFolderError where there is none."""
        if not (path / "config.yaml").is_file():
            raise RunFolderError(f"{path} is no run folder (it has no config.yaml); give one that `recurra train` made")
        return cls(path, writer=writer)

    def _locked(self) -> Self:
        file = open(self.path / _LOCK, "ab")  # noqa: SIM115 - held for the life of the run
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise RunFolderError(
                f"{self.path} is in use by another process. Wait until that ends, or choose another folder with run=…"
            ) from None
        self._lock = file
        return self

    def close(self) -> None:
        """Give the folder free. A new run that failed before its first update leaves nothing behind."""
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
        if self._lock is None:
            return
        if self._new:
            shutil.rmtree(self.path)
        self._lock.close()
        self._lock = None

    def keep(self) -> None:
        """Say that there is something in the folder now that would be a loss."""
        self._new = False

    # -- metrics -----------------------------------------------------------------------------------------------------

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one line; numbers that are not finite are written as null. Raises OSError."""
        if not self.writer:
            return
        if self._metrics is None:
            self._metrics = open(self.metrics_path, "ab")  # noqa: SIM115 - held for the life of the run
        self._metrics.write(f"{to_json(record)}\n".encode())
        self._metrics.flush()

    def sync_metrics(self) -> int:
        """Bring the lines onto the disk and return their number of bytes, to be kept in a checkpoint."""
        if self._metrics is None:
            return self.metrics_path.stat().st_size if self.metrics_path.exists() else 0
        os.fsync(self._metrics.fileno())
        return self._metrics.tell()

    def cut_metrics(self, size: int) -> bool:
        """Drop what was written after a checkpoint that saw `size` bytes. False where there are fewer than that."""
        if not self.writer:
            return True
        present = self.metrics_path.stat().st_size if self.metrics_path.exists() else 0
        if present > size:
            os.truncate(self.metrics_path, size)
        return present >= size

    # -- files -------------------------------------------------------------------------------------------------------

    def write_text(self, name: str, text: str) -> None:
        """Replace the file `name` in one atomic step. Raises OSError."""
        if self.writer:
            replace_file(self.path / name, text.encode())

    def save_meanings(self, save: Callable[[Path], None]) -> None:
        """Keep what `save` writes into a folder: files that say what the model's numbers mean. Raises OSError."""
        if self.writer:
            made = self._made(save)
            for name, content in made.items():
                replace_file(self.path / name, content)
            self._meanings = list(made)

    def require_meanings(self, save: Callable[[Path], None]) -> None:
        """Raise a CheckpointError where what `save` writes is not what is here: one of them is of another run."""
        if not self.writer:
            return
        made = self._made(save)
        for name, content in made.items():
            path = self.path / name
            if not path.is_file():
                raise CheckpointError(f"{path} is not there, and says what the numbers of the model mean: restore it")
            if not _agree(path.read_bytes(), content):
                raise CheckpointError(
                    f"{path} is not what this run's data makes: it is another run's, or it or the data was changed; "
                    "restore them"
                )
        self._meanings = list(made)

    @staticmethod
    def _made(save: Callable[[Path], None]) -> dict[str, bytes]:
        """The files that `save` writes, by name."""
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}

    def save_model(self, model: nn.Module) -> None:
        """Replace `model.safetensors` by the parameters of `model`. Raises OSError."""
        if not self.writer:
            return
        # Tied parameters are one tensor under two names, which the format refuses: the first name stands for both.
        values = model.state_dict()
        first: dict[tuple[int, torch.Size], str] = {}
        for name, tensor in values.items():
            first.setdefault((tensor.data_ptr(), tensor.shape), name)
        tensors = {name: values[name].cpu().clone().contiguous() for name in first.values()}
        meanings = {name: self._fingerprint(name) for name in self._meanings}
        metadata = {"format": "pt", _MEANINGS: json.dumps(meanings)}
        replace_file(self.path / "model.safetensors", safetensors.torch.save(tensors, metadata))

    def _fingerprint(self, name: str) -> str:
        """A number for the content of the file `name` that no other would have; empty where there is no such file."""
        path = self.path / name
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def load_model(self, model: nn.Module) -> None:
        """Fill `model` with the saved parameters.

        Raises:
            CheckpointError: the file is damaged, does not fit, or what its numbers mean is another run's.
        """
        path = self.path / "model.safetensors"
        if not path.is_file():
            raise CheckpointError(f"{path} is not there: the run has not come to its first validation yet")
        try:
            with safe_open(path, "pt") as file:
                saved = file.metadata() or {}
            for name, known in json.loads(saved.get(_MEANINGS, "{}")).items():
                if self._fingerprint(name) != known:
                    raise CheckpointError(
                        f"{self.path / name} is not the one that {path.name} beside it was trained with: it is another "
                        "run's, or was changed; restore it"
                    )
            safetensors.torch.load_model(model, path, strict=True)
        except SafetensorError as error:
            raise CheckpointError(f"{path} is damaged or no safetensors file ({error}); restore it") from error
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{path} does not fit the model that config.yaml and the vocabulary beside it make: {reason}. One of "
                "the files of this folder is another run's: restore it"
            ) from error

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint in one atomic step. Raises OSError."""
        if self.writer:
            save_checkpoint(self.path / "checkpoint", state)

    def load_checkpoint(self) -> dict[str, Any]:
        """The state of the last checkpoint. Raises CheckpointError."""
        return load_checkpoint(self.path / "checkpoint")


def _agree(one: bytes, other: bytes) -> bool:
    """Whether two files say the same: byte for byte, or as JSON whose fractions differ by no more than rounding."""
    if one == other:
        return True
    try:
        return _same(json.loads(one), json.loads(other))
    except ValueError:
        return False


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=_ROUNDING, abs_tol=_ROUNDING * 1e-3) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b
