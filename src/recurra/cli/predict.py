"""Commands that use a trained model: measure a text, rank its lines, write on."""

import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from recurra.decoding import Sampler

EVALUATION = "evaluation.json"


def evaluate(
    run: Path, data: Path, /, *, json: Path | None = None, device: str = "auto", cell: str | None = None
) -> None:
    """Measure how well a model predicts a text.

    Prints nats and bits per character, perplexity per word and tokens per second, and writes the same as JSON.

    Parameters
    ----------
    run
        Run folder of the model.
    data
        A text file, or a folder of them.
    json
        Where to write the figures; RUN/evaluation.json if not given.
    device
        cpu, cuda, cuda:1, …; auto: cuda where there is one.
    cell
        Where the model's cell is of your own: the file to run for it, as mycell.py:mycell.
    """
    from recurra.training.files import replace_file, to_json

    task, model = _load(run, device, cell)
    figures = task.evaluate(model, data)
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):24}{_number(value)}")
    record = {"run": str(run), "data": str(data), **figures}
    target = json or run / EVALUATION
    replace_file(target, f"{to_json(record, indent=2)}\n".encode())


def score(run: Path, file: Path, /, *, device: str = "auto", cell: str | None = None) -> None:
    """Print the log-probability of each line of a file: the higher, the more plausible.

    Each line printed is the log-probability in nats, a tab, and the line.

    Parameters
    ----------
    run
        Run folder of the model.
    file
        A text file, scored line by line.
    device
        cpu, cuda, cuda:1, …; auto: cuda where there is one.
    cell
        Where the model's cell is of your own: the file to run for it, as mycell.py:mycell.
    """
    task, model = _load(run, device, cell)
    _end_quietly_when_nobody_reads()
    for line in task.score(model, file):
        print(f"{line.log_probability:.4f}\t{line.text}")


def generate(  # noqa: PLR0913 - the settings of a command, all but the first by keyword
    run: Path,
    /,
    *,
    prompt: str = "",
    length: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    cell: str | None = None,
) -> None:
    """Let a model write, as fast as it comes.

    Parameters
    ----------
    run
        Run folder of the model.
    prompt
        Text to go on from.
    length
        Symbols to write: characters or words.
    temperature
        Below 1 more careful, above 1 more daring; 0: always the likeliest symbol.
    top_k
        Draw only among so many of the likeliest symbols.
    top_p
        Draw only among the likeliest symbols that together have this probability.
    seed
        The same seed writes the same text; another text each time if not given.
    cell
        Where the model's cell is of your own: the file to run for it, as mycell.py:mycell.
    """
    from recurra.decoding import Sampler

    sampler = Sampler(temperature=temperature, top_k=top_k, top_p=top_p)
    _end_quietly_when_nobody_reads()
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    write(run, prompt, sampler, length, seed, cell)


def write(run: Path, prompt: str, sampler: "Sampler", length: int, seed: int, cell: str | None = None) -> None:
    """Print `prompt` and the `length` symbols that the model of `run` writes after it, each as it comes."""
    task, model = _load(run, "auto", cell)
    pieces = task.generate(model, prompt, length=length, sampler=sampler, seed=seed)
    sys.stdout.write(prompt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def _load(run: Path, device: str, cell: str | None) -> tuple[Any, "nn.Module"]:
    from recurra import cells, tasks
    from recurra.training.session import load_model

    if cell is not None:
        cells.load(cell)
    return load_model(run, tasks.get, device, cell=cell)


def _end_quietly_when_nobody_reads() -> None:
    """Let `recurra … | head` end as other programs do."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"
