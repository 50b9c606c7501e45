"""A checkpoint is either the old one or the new one, whole."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from recurra.training import files
from recurra.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

STATE = {"step": 3, "best": 1.5, "nothing": None, "words": (1, "two"), "weights": {"a": torch.arange(6.0)}}


def test_what_is_saved_comes_back(tmp_path: Path):
    save_checkpoint(tmp_path / "checkpoint", STATE)
    back = load_checkpoint(tmp_path / "checkpoint")
    assert torch.equal(back["weights"]["a"], STATE["weights"]["a"])
    assert {**back, "weights": None} == {**STATE, "weights": None}


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_failure_at_any_moment_leaves_the_old_one(tmp_path: Path, monkeypatch, moment: str):
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, STATE)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, moment, fail)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(folder, {**STATE, "step": 4})
    monkeypatch.undo()
    assert load_checkpoint(folder)["step"] == 3
    assert os.listdir(folder) == ["last.pt"]


def test_half_a_file_beside_is_ignored(tmp_path: Path):
    # What a kill in the middle of writing leaves.
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, STATE)
    (folder / ".last.pt.new").write_bytes(b"half")
    assert load_checkpoint(folder)["step"] == 3
    save_checkpoint(folder, {**STATE, "step": 4})
    assert load_checkpoint(folder)["step"] == 4


def test_none_there(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.99])
def test_a_damaged_byte_is_noticed(tmp_path: Path, place: float):
    state = {"weights": torch.randn(2000)}
    save_checkpoint(tmp_path, state)
    path = tmp_path / "last.pt"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("size", [0, 100, -10])
def test_a_file_cut_short_is_noticed(tmp_path: Path, size: int):
    save_checkpoint(tmp_path, STATE)
    path = tmp_path / "last.pt"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("kind", ["torch", "pickle", "text", "harmful", "version"])
def test_foreign_files_are_refused_and_run_no_code(tmp_path: Path, monkeypatch, kind: str):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "last.pt"
    if kind == "torch":
        torch.save({"model": torch.ones(2)}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"step": 1}))
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "harmful":
        torch.save(Harmful(), path)
    else:
        torch.save({"format": "recurra checkpoint", "version": 99, "state": {}}, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()
