"""What several processes that train one model leave behind when they part."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = """
import os, sys
from recurra.cli.main import main

code = main(["train", "lm", "text.txt", "train.steps=4", "train.batch=4", "model.hidden=8", "model.embedding=8",
             "train.validate_every=2", "run=run", "train.device=cpu"])
threads = [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")]
gloo = [name for name in threads if "gloo" in name]
sys.exit(code or (f"threads of the group still run: {gloo}" if gloo else 0))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the threads of a process are read from /proc")
def test_no_thread_of_the_group_outlives_the_training(tmp_path: Path):
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question\n" * 60)
    (tmp_path / "train.py").write_text(TRAIN)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "train.py"]
    ended = subprocess.run(
        launch, cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert ended.returncode == 0, ended.stderr
