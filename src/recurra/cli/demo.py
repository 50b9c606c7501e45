"""A minute that shows the whole way: from text to a model that writes."""

import platform
import shlex
import sysconfig
from pathlib import Path

from recurra.cli.predict import write
from recurra.cli.progress import follow
from recurra.cli.train import INTERRUPTED, conclude, own_cell

_CHARACTERS = 1_500_000  # of source to learn from: more than a minute can read, and opened in no time
_PROMPT = "def "
_SHOWN = 400  # characters written at the end

_SETTINGS = (
    "model.hidden=256",
    "model.embedding=64",
    "train.batch=32",
    "train.bptt=64",
    "train.validate_every=100",
    "train.checkpoint_every=0",
    "text.valid=0.05",
    "text.valid_tokens=20000",
    "optimizer.name=adamw",
    "optimizer.lr=0.004",
    "optimizer.schedule=cosine",
    "optimizer.minimum=0.0004",
    "optimizer.warmup=20",
)


def demo(*words: str, seconds: float = 55.0) -> int:
    """Train a character model on Python's own library for a minute, and let it write code. Needs no data.

    Parameters
    ----------
    words
        Settings as key=value, such as model.cell=gru.
    seconds
        Time to train.
    """
    from recurra import cells, tasks
    from recurra.decoding import Sampler
    from recurra.training import session
    from recurra.training.config import build_config
    from recurra.training.files import replace_file

    text, files = _library()
    data = Path("runs") / f"python-{platform.python_version()}-library.txt"
    data.parent.mkdir(exist_ok=True)
    replace_file(data, text.encode())
    print(f"Learning to write Python from {len(text):,} characters of {files} files of this machine's library, {data}")

    own = own_cell(list(words))
    if own is not None:
        cells.load(own)
    task_class = tasks.get("lm")
    defaults = [f"data={data}", f"train.seconds={seconds}", *_SETTINGS]
    config = build_config(task_class.Config, None, [*defaults, *words])
    observer = follow(samples=True)
    try:
        ended = session.begin(task_class, config, observer, label="demo")
    finally:
        observer.close()
    if ended.interrupted:
        conclude(ended, own)
        return INTERRUPTED
    print(f"\nWhat it writes now, after {_PROMPT!r}:\n")
    write(ended.folder, _PROMPT, {"sampler": Sampler(temperature=0.6), "length": _SHOWN, "seed": config.seed})
    print()
    conclude(ended, own)
    _propose(ended.folder, data)
    return 0


def _library() -> tuple[str, int]:
    """The start of Python's own library, and of how many files it is: the same for the same Python."""
    texts, size = [], 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        source = path.read_bytes()
        # Pure ASCII keeps the alphabet as small as that of code is.
        if source.isascii() and b"\0" not in source:
            texts.append(source.decode("ascii"))
            size += len(source)
        if size >= _CHARACTERS:
            break
    return "".join(texts), len(texts)


def _propose(folder: Path, data: Path) -> None:
    run, text = shlex.quote(str(folder)), shlex.quote(str(data))
    print(f"""
What to try next:
  more of its code:         recurra generate {run} --prompt "class " --temperature 0.5
  another cell:             recurra demo model.cell=gru
  go on, for a better one:  recurra train --resume {run} train.seconds=600
  a text of your own:       recurra train lm FILE
  what an LSTM computes:    recurra cells lstm
  how this one does:        recurra evaluate {run} {text}""")
