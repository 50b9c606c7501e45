import re
from pathlib import Path


def test_the_demo_trains_writes_and_says_what_to_try(command, here: Path):
    words = ("model.hidden=16", "train.validate_every=10", "text.valid_tokens=500", "train.steps=30")
    status, out, err = command("demo", "--seconds", 20, *words)
    assert status == 0, err
    assert "Learning to write Python" in out
    assert "│" in out  # a sample on the way
    assert "\ndef " in out
    assert (here / "runs" / "demo-1" / "report.html").exists()
    for proposed in re.findall(r"runs/\S+", out):
        assert (here / proposed).exists(), proposed
