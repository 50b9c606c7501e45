"""Everything a run needs to go on as if it had never stopped, in one file that is swapped in one atomic step.

The file is what `torch.save` writes, of tensors and plain containers only, and is read with `weights_only=True`:
opening somebody else's checkpoint runs no code of theirs.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from recurra.training.files import replace_file

_FORMAT = "recurra checkpoint"
_VERSION = 1
_NAME = "last.pt"


class CheckpointError(ValueError):
    """A checkpoint or a model file that is not there, damaged, or of another model."""


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Put `state` in the place of the checkpoint in `folder`, which is made if it is not there.

    `state` holds tensors, numbers, texts, None, and lists, tuples and dicts of them. A kill or a full disk at any
    moment leaves the old checkpoint whole. Raises OSError.
    """
    # Saved to memory first: torch reports a full disk as an error of its own, without the reason.
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "version": _VERSION, "state": state}, buffer)
    folder.mkdir(exist_ok=True)
    replace_file(folder / _NAME, buffer.getbuffer())


def load_checkpoint(folder: Path) -> dict[str, Any]:
    """The `state` that was last saved in `folder`, its tensors on the CPU.

    Raises CheckpointError where there is none, where its check sums do not fit, or where it is no checkpoint of ours.
    """
    path = folder / _NAME
    if not path.is_file():
        raise CheckpointError(f"no checkpoint in {folder}: the run was stopped before its first one; start it anew")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"{damaged} does not fit its check sum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path} is damaged or is no checkpoint of recurra ({reason}); restore it") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise CheckpointError(f"{path} was not written by recurra; give a run folder that `recurra train` made")
    if content.get("version") != _VERSION:
        raise CheckpointError(
            f"{path} has version {content.get('version')}, this recurra reads {_VERSION}; use the recurra that wrote it"
        )
    return content["state"]
