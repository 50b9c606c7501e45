import re
from pathlib import Path


def test_the_demo_trains_writes_and_says_what_to_try(process, here: Path):
    words = ("model.hidden=16", "train.validate_every=10", "text.valid_tokens=500", "train.steps=30")
    running = process("demo", "--seconds", 20, *words)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert "Learning to write Python" in out
    assert "\ndef " in out
    run = here / "runs" / "demo-1"
    assert (run / "report.html").exists()
    for proposed in re.findall(r"(runs/\S+)", out):
        assert (here / proposed.rstrip(".,")).exists(), proposed
    again = process("demo", "--seconds", 20, *words)
    assert again.wait(timeout=120) == 0
    assert (here / "runs" / "demo-2").exists()
