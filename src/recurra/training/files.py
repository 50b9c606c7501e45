"""Files that are never half written: at every moment either the old one or the new one is there, whole."""

import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path` in one atomic step, on the disk before it returns.

    A kill, a full disk or a lost right to write leaves the old file as it was. Raises OSError.
    """
    require_folder(path)
    beside = path.with_name(f".{path.name}.new")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def require_folder(path: Path) -> None:
    """Raise FileNotFoundError, which names it, where the folder that a file is to stand in is not there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", str(path.parent))


def to_json(record: Mapping[str, Any], indent: int | None = None) -> str:
    """`record` as JSON; a number that is not finite becomes null, as JSON has no word for it."""
    return json.dumps(_finite(record), indent=indent, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sync_folder(folder: Path) -> None:
    """Make a renaming inside `folder` survive a loss of power. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
