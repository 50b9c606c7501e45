"""Whatever a user gives, the answer is one or two lines and the exit status 2, and nothing that existed is lost."""

import ctypes
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recurra.training.checkpoint import load_checkpoint


def refused(result: tuple[int, str, str], *said: str) -> None:
    status, _, err = result
    message = [line for line in err.splitlines() if "runs on the" not in line]  # the engine's own line
    assert status == 2, err
    assert 1 <= len(message) <= 2, err
    for words in said:
        assert words in err


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: expected text to learn from"),
        (b"\x00\x01\x02" * 500, "binary"),
        ("märchen ".encode("latin-1") * 200, "UTF-8"),
        (b"twenty-two characters.", "too short"),
    ],
)
def test_text_that_cannot_be_used(command, here: Path, content: bytes, said: str, tiny):
    (here / "bad.txt").write_bytes(content)
    refused(command("train", "lm", "bad.txt", *tiny), said)
    assert not any(here.glob("runs/*"))


def test_text_that_is_not_there(command, here: Path):
    refused(command("train", "lm", "nowhere.txt"), "nowhere.txt")
    refused(command("train", "lm"), "data")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model.hiden=3",), "did you mean 'model.hidden'"),
        (("model.cell=lsmt",), "lstm"),
        (("engine=nativ",), "native"),
        (("train.steps=many",), "expected a whole number"),
        (("optimizer.name=adm",), "did you mean 'adam'"),
        (("train.device=cuda:99999",), "train.device"),
        (("train.device=toaster",), "train.device"),
        (("more",), "key=value"),
    ],
)
def test_settings_that_cannot_be_meant(command, here: Path, text: Path, tiny, words: tuple[str, ...], said: str):
    refused(command("train", "lm", text, *tiny, *words), said)
    assert not any((here / "runs").glob("*"))


def test_tasks_recipes_and_commands_that_do_not_exist(command, here: Path):
    refused(command("train", "ml", "text.txt"), "'lm'")
    refused(command("train", "recipe.yaml"), "recipe.yaml")
    (here / "recipe.yaml").write_text("data: text.txt\n")
    refused(command("train", "recipe.yaml"), "task: lm")
    refused(command("train"), "nothing to train")
    refused(command("trian"), "trian")
    refused(command("cells", "lsmt"), "lstm")
    refused(command("generate"), "RUN")


def test_a_symbol_never_seen_in_training(command, here: Path, trained: Path):
    (here / "new.txt").write_text("the dog\nsees Ω\n")
    refused(command("evaluate", trained, "new.txt"), "Ω", "new.txt")
    refused(command("score", trained, "new.txt"), "Ω")
    refused(command("generate", trained, "--prompt", "Ω"), "Ω")


def test_no_run_folder(command, here: Path, text: Path):
    for words in (("evaluate", here, text), ("score", here, text), ("generate", here), ("train", "--resume", here)):
        refused(command(*words), "no run folder")
    refused(command("generate", "nowhere"), "nowhere")


def test_sampling_settings_out_of_range(command, trained: Path):
    refused(command("generate", trained, "--temperature", "-1"), "temperature")
    refused(command("generate", trained, "--top-k", "0"), "top_k")
    refused(command("generate", trained, "--length", "x"), "length")


@pytest.mark.parametrize("damage", ["cut", "foreign", "byte"])
def test_a_checkpoint_that_is_damaged_or_foreign(command, trained: Path, damage: str):
    path = trained / "checkpoint" / "last.pt"
    content = path.read_bytes()
    bias = load_checkpoint(path.parent)["model"]["output_bias"]
    place = content.index(bias.numpy().tobytes()) + 3
    damaged = {
        "cut": content[:place],
        "foreign": b"PK\x03\x04 something else",
        "byte": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
    }
    path.write_bytes(damaged[damage])
    before = contents(trained)
    refused(command("train", "--resume", trained, "train.steps=130"), "last.pt")
    assert contents(trained) == before


def test_an_instruction_set_that_does_not_exist(process, text: Path, tiny, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECURRA_ISA", "avx")
    started = process("train", "lm", text, *tiny, "run=other")
    _, err = started.communicate()
    assert started.returncode == 2 and "Traceback" not in err
    assert "the instruction set 'avx' (from the environment variable RECURRA_ISA) cannot be used" in err


def test_a_model_or_vocabulary_that_is_damaged(command, trained: Path):
    for name in ("vocabulary.json", "model.safetensors"):
        content = (trained / name).read_bytes()
        (trained / name).write_bytes(content[: len(content) // 2])
        refused(command("generate", trained), name)
        (trained / name).write_bytes(content)
    assert command("generate", trained, "--length", 3)[0] == 0


@pytest.mark.parametrize("letters", ["a few others", "as many others"])
def test_a_vocabulary_of_another_run(command, here: Path, text: Path, trained: Path, tiny, letters: str):
    (here / "other.txt").write_text("xyz " * 200 if letters == "a few others" else text.read_text().upper())
    assert command("train", "lm", "other.txt", *tiny, "train.steps=1", "run=other")[0] == 0
    (trained / "vocabulary.json").write_bytes((here / "other" / "vocabulary.json").read_bytes())
    refused(command("generate", trained), "vocabulary.json is not the one that model.safetensors beside it was trained")
    before = contents(trained)
    refused(
        command("train", "--resume", trained, "train.steps=130"), "vocabulary.json is not what this run's data makes"
    )
    (trained / "vocabulary.json").unlink()
    refused(command("train", "--resume", trained, "train.steps=130"), "vocabulary.json is not there")
    before.pop(str(trained / "vocabulary.json"))
    assert contents(trained) == before


def test_a_model_of_another_run(command, here: Path, trained: Path, tiny):
    (here / "other.txt").write_text("xyz " * 200)
    assert command("train", "lm", "other.txt", *tiny, "train.steps=1", "model.hidden=9", "run=other")[0] == 0
    for name in ("model.safetensors", "vocabulary.json"):
        (trained / name).write_bytes((here / "other" / name).read_bytes())
    refused(command("generate", trained), "the files of this folder is another run's")


def test_a_checkpoint_of_another_model(command, here: Path, text: Path, tiny, trained: Path):
    assert command("train", "lm", text, *tiny, "train.steps=2", "run=other")[0] == 0
    shutil.copy(here / "other" / "checkpoint" / "last.pt", trained / "checkpoint" / "last.pt")
    refused(command("train", "--resume", trained, "train.steps=130"), "does not fit")


def test_resumed_with_another_text(command, here: Path, trained: Path, text: Path):
    (here / "other.txt").write_text(text.read_text()[::-1])
    refused(command("train", "--resume", trained, "data=other.txt", "train.steps=130"), "text")


def test_a_run_folder_in_use(command, here: Path, trained: Path, process, text: Path, tiny):
    lock = "import fcntl, sys; f = open('trained/.lock', 'ab'); fcntl.flock(f, fcntl.LOCK_EX)"
    hold = f"{lock}; print('locked', flush=True); sys.stdin.read()"
    holder = process(program=("-c", hold), stdin=subprocess.PIPE)
    holder.stdout.readline()
    before = contents(trained)
    refused(command("train", "--resume", trained, "train.steps=130"), "in use by another process")
    assert contents(trained) == before
    assert command("generate", trained, "--length", 3)[0] == 0  # reading disturbs nobody


def test_a_run_folder_with_a_run_in_it(command, trained: Path, text: Path, tiny):
    before = contents(trained)
    refused(command("train", "lm", text, *tiny, "run=trained"), "is not empty", "--resume trained")
    assert contents(trained) == before


def without_the_powers_of_root() -> None:
    """Take from a process that is about to start what lets root write everywhere."""
    capability, drop = 1, 24  # CAP_DAC_OVERRIDE, PR_CAPBSET_DROP
    ctypes.CDLL(None).prctl(drop, capability, 0, 0, 0)


def test_no_right_to_write(process, here: Path, text: Path, tiny):
    (here / "closed").mkdir()
    (here / "closed").chmod(0o555)
    probe = [sys.executable, "-c", "open('closed/probe', 'w')"]
    if subprocess.run(probe, capture_output=True, preexec_fn=without_the_powers_of_root).returncode == 0:
        pytest.skip("this user may write everywhere and cannot give that up")
    words = ("train", "lm", text, *tiny, "run=closed/run")
    running = process(*words, preexec_fn=without_the_powers_of_root)
    _, err = running.communicate(timeout=300)
    refused((running.returncode, "", err), "Permission denied", "closed/run")
    assert not any((here / "closed").iterdir())


def test_a_path_through_a_file(command, text: Path, tiny):
    refused(command("train", "lm", text, *tiny, "run=text.txt/run"), "text.txt")
    refused(command("train", "lm", text, *tiny, "run=text.txt"), "text.txt")
    assert text.stat().st_size > 0


@pytest.fixture
def full_disk(trained: Path) -> Iterator[None]:
    """To the program, a disk that is full: no file may grow beyond half a checkpoint."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (trained / "checkpoint" / "last.pt").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_spares_the_old_checkpoint(command, trained: Path, full_disk):
    old = (trained / "checkpoint" / "last.pt").read_bytes()
    refused(command("train", "--resume", trained, "train.steps=130"), "File too large", "is whole")
    assert (trained / "checkpoint" / "last.pt").read_bytes() == old
    assert os.listdir(trained / "checkpoint") == ["last.pt"]


def test_a_disk_that_really_is_full(command, here: Path, text: Path, tiny):
    disk = here / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no right to mount a small disk")
    try:
        words = (*tiny, "model.hidden=64", "train.steps=60", "train.checkpoint_every=5", "train.log_every=1")
        refused(command("train", "lm", text, *words, "run=disk/run"), "No space left on device")
        step = load_checkpoint(disk / "run" / "checkpoint")["position"]["step"]
        assert step % 5 == 0
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        status, _, err = command("train", "--resume", "disk/run")
        assert status == 0, err
        lines = (disk / "run" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(1, 61))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_loss_that_leaves_the_finite_numbers(command, here: Path, text: Path, tiny):
    words = ("optimizer.name=sgd", "optimizer.lr=1e40", "optimizer.clip=0", "train.steps=50", "run=run")
    result = command("train", "lm", text, *tiny, *words)
    refused(result, "not a finite number", "optimizer.lr")
    assert re.search(r"at step \d+", result[2])
    assert load_checkpoint(here / "run" / "checkpoint")["position"]["step"] == 0


def test_a_mistake_of_the_program_is_not_hidden(command, monkeypatch, text: Path, tiny):
    from recurra.tasks.lm.task import LanguageModelling

    monkeypatch.setattr(LanguageModelling, "validate", lambda self, model: int("not a number"))
    with pytest.raises(ValueError, match="invalid literal"):
        command("train", "lm", text, *tiny, "train.steps=2")
