import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from recurra.training.checkpoint import CheckpointError
from recurra.training.run_folder import RunFolder, RunFolderError


def finished(path: Path) -> Path:
    folder = RunFolder.create(path)
    folder.write_text("config.yaml", "task: toy\n")
    folder.save_checkpoint({"step": 1})
    folder.keep()
    folder.close()
    return path


def test_fresh_folders_are_numbered(tmp_path: Path):
    first, second = RunFolder.fresh("lm-text", tmp_path / "runs"), RunFolder.fresh("lm-text", tmp_path / "runs")
    assert [first.path.name, second.path.name] == ["lm-text-1", "lm-text-2"]


def test_a_folder_in_use_is_refused_here_and_in_another_process(tmp_path: Path):
    path = finished(tmp_path / "run")
    holder = RunFolder.resume(path)
    with pytest.raises(RunFolderError, match="in use by another process"):
        RunFolder.resume(path)
    code = "import sys, pathlib, recurra.training.run_folder as r; r.RunFolder.resume(pathlib.Path(sys.argv[1]))"
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "in use by another process" in other.stderr
    holder.close()
    RunFolder.resume(path).close()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    path = finished(tmp_path / "run")
    with pytest.raises(RunFolderError, match=f"recurra train --resume {path}"):
        RunFolder.create(path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunFolderError, match="is not empty"):
        RunFolder.create(tmp_path / "mine")
    assert (path / "config.yaml").read_text() == "task: toy\n"
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_a_run_that_failed_before_its_first_update_leaves_nothing(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_text("config.yaml", "task: toy\n")
    folder.close()
    assert not (tmp_path / "run").exists()


def test_no_run_folder(tmp_path: Path):
    with pytest.raises(RunFolderError, match="is no run folder"):
        RunFolder.resume(tmp_path)
    with pytest.raises(RunFolderError, match="is no run folder"):
        RunFolder.existing(tmp_path / "nowhere")


def test_metrics_are_appended_and_cut(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run")
    folder.append_metrics({"step": 1, "train_nats": 2.5})
    size = folder.sync_metrics()
    folder.append_metrics({"step": 2, "valid_nats": float("inf"), "sample": "é"})
    lines = folder.metrics_path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines][1] == {"step": 2, "valid_nats": None, "sample": "é"}
    assert folder.cut_metrics(size)
    assert [json.loads(line)["step"] for line in folder.metrics_path.read_text().splitlines()] == [1]
    folder.append_metrics({"step": 2})
    assert [json.loads(line)["step"] for line in folder.metrics_path.read_text().splitlines()] == [1, 2]
    assert not folder.cut_metrics(10**6)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight


def test_a_model_with_tied_parameters_comes_back(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run")
    model, other = Tied(), Tied()
    folder.save_model(model)
    folder.load_model(other)
    assert torch.equal(model.first.weight, other.first.weight)
    assert other.second.weight is other.first.weight


def test_a_model_file_that_is_damaged_foreign_or_not_there(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run")
    with pytest.raises(CheckpointError, match="is not there"):
        folder.load_model(Tied())
    folder.save_model(nn.Linear(4, 4))
    with pytest.raises(CheckpointError, match="does not fit"):
        folder.load_model(Tied())
    (folder.path / "model.safetensors").write_bytes(b"no model at all, but some text")
    with pytest.raises(CheckpointError, match="damaged"):
        folder.load_model(Tied())


def test_only_the_writer_writes(tmp_path: Path):
    path = finished(tmp_path / "run")
    reader = RunFolder.existing(path, writer=False)
    reader.append_metrics({"step": 1})
    reader.write_text("other.txt", "text")
    reader.save_model(Tied())
    reader.save_checkpoint({"step": 99})
    assert sorted(entry.name for entry in path.iterdir()) == [".lock", "checkpoint", "config.yaml"]
    assert reader.load_checkpoint() == {"step": 1}


def test_what_was_worked_out_anew_may_be_rounded_otherwise(tmp_path: Path):
    def writer(**content: object):
        return lambda folder: (folder / "meaning.json").write_text(json.dumps({"names": ["a"], "ar": [0.1], **content}))

    folder = RunFolder.create(tmp_path / "run")
    folder.save_meanings(writer())
    folder.require_meanings(writer(ar=[0.1 + 1e-9]))
    for other in ({"names": ["b"]}, {"ar": [0.2]}, {"ar": [0.1, 0.1]}, {"more": 1}, {"ar": [1]}):
        with pytest.raises(CheckpointError, match=r"meaning\.json is not what this run's data makes"):
            folder.require_meanings(writer(**other))
    (folder.path / "meaning.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"meaning\.json is not what"):
        folder.require_meanings(writer())


def test_metadata_of_somebody_elses_is_passed_over(tmp_path: Path):
    folder, model = RunFolder.create(tmp_path / "run"), nn.Linear(2, 2)
    folder.save_meanings(lambda path: (path / "vocabulary.json").write_text("[]"))
    folder.save_model(model)
    path = folder.path / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, {**metadata, "author": "me"})
    folder.load_model(model)
    (folder.path / "vocabulary.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"vocabulary\.json is not the one"):
        folder.load_model(model)
