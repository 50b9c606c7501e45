"""Commands that use a trained model: measure it, let it answer, rank lines, write on."""

import itertools
import random
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from torch import nn

    from recurra.decoding import BeamSettings

EVALUATION = "evaluation.json"
# A setting among words: a dotted key, which no path is that holds a = behind a folder or an ending.
_SETTING = re.compile(r"[a-z_]+(\.[a-z_]+)*=")


def evaluate(
    run: Path, /, *words: str, json: Path | None = None, device: str = "auto", cell: str | None = None
) -> None:
    """Measure how well a model does on data it has not learnt from.

    Prints the measures of its task (a language model: nats and bits per character, perplexity; a classifier: accuracy,
    F1, confusion matrix; …) and writes the same as JSON.

    Parameters
    ----------
    run
        Run folder of the model.
    words
        A file or folder as the task reads it; what the run's settings keep for testing if not given. And settings of
        use as key=value, such as decode.beam=1.
    json
        Where to write the figures; RUN/evaluation.json, and into the report, if not given.
    device
        cpu, cuda, cuda:1, …; auto: cuda where there is one.
    cell
        Where the model's cell is of your own: the file to run for it, as mycell.py:mycell.
    """
    from recurra.cli.findings import show
    from recurra.inspect.report import write_report
    from recurra.tasks.findings import plain
    from recurra.training.files import replace_file, to_json

    places, values = _parted(words)
    data = places[0] if places else None
    task, model = _load(run, device, cell, words=values)
    figures = task.evaluate(model, data)
    show(figures)
    record = {"run": str(run), "data": data, **plain(figures)}
    replace_file(json or run / EVALUATION, f"{to_json(record, indent=2)}\n".encode())
    if json is None:
        write_report(run)


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The data, if it is given, and the settings of use. Raises ConfigError where there are two of the former."""
    from recurra.tasks.config import ConfigError

    values = [word for word in words if _SETTING.match(word)]
    places = [word for word in words if not _SETTING.match(word)]
    if len(places) > 1:
        raise ConfigError(f"{places[1]!r} is not understood: after the run folder comes one file, and options")
    return places, values


def predict(
    run: Path,
    /,
    *words: Annotated[str, Parameter(allow_leading_hyphen=True)],
    out: Path | None = None,
    device: str = "auto",
    cell: str | None = None,
) -> None:
    """Print a model's answer to each line of a file or of what is typed, in order.

    recurra predict RUN FILE: the lines of a file, of any size, or the examples of one the task reads

    recurra predict RUN: lines from the standard input, each answered as it comes

    recurra predict RUN FILE --explain: a classifier: also how much each symbol moved the decision

    recurra predict RUN FILE --attention --out alignment.svg: a translator: what was looked at, as a picture

    Parameters
    ----------
    run
        Run folder of the model.
    words
        The file, or - for the standard input; options of the model's task, such as --explain; settings of use as
        key=value, such as decode.beam=1.
    out
        File to write the answers to, such as answers.txt, or pictures of them, such as alignment.svg or alignment.html;
        the terminal if not given.
    device
        cpu, cuda, cuda:1, …; auto: cuda where there is one.
    cell
        Where the model's cell is of your own: the file to run for it, as mycell.py:mycell.
    """
    from recurra.data import line_blocks, read_stream
    from recurra.inspect import ENDINGS, picture_file
    from recurra.tasks.config import ConfigError
    from recurra.training.files import replace_file, require_folder

    if out is not None:
        require_folder(out)
    options = [word.removeprefix("--") for word in words if word.startswith("--")]
    files, values = _parted([word for word in words if not word.startswith("--")])
    if out is not None and files and out.exists() and Path(files[0]).exists() and out.samefile(files[0]):
        raise ConfigError(f"--out {out} is the file that is read, and would be lost: give another name")
    task, model = _load(run, device, cell, words=values)
    task.require_options(options)
    _end_quietly_when_nobody_reads()
    typed = not files or files[0] == "-"
    source = line_blocks(read_stream(sys.stdin.buffer, "the standard input")) if typed else Path(files[0])
    if out is None:
        for answer in task.predict(model, source, options):
            print(answer, flush=typed)
    elif out.suffix in ENDINGS:
        replace_file(out, picture_file(task.pictures(model, source, options), out))
    else:
        replace_file(out, task.predicted(model, source, options, out))


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
    task, model = _load(run, device, cell, "score")
    _end_quietly_when_nobody_reads()
    for line in task.score(model, file):
        print(f"{line.log_probability:.4f}\t{line.text}")


def generate(  # noqa: PLR0913 - the settings of a command, all but the first by keyword
    run: Path,
    /,
    *,
    prompt: str = "",
    length: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    beam: int | None = None,
    nbest: int | None = None,
    length_penalty: float | None = None,
    out: Path | None = None,
    cell: str | None = None,
    **wishes: str,
) -> None:
    """Let a model write, as fast as it comes; or search for the likeliest way to end a line.

    Parameters
    ----------
    run
        Run folder of the model.
    prompt
        Text to go on from; of music, a file.
    length
        Symbols to write: characters or words, 500 if not given; or frames of music, 128.
    temperature
        Below 1 more careful, above 1 more daring, 0.8 if not given; 0: always the likeliest symbol.
    top_k
        Draw only among so many of the likeliest symbols.
    top_p
        Draw only among the likeliest symbols that together have this probability.
    seed
        The same seed writes the same text; another text each time if not given.
    beam
        Draw nothing: follow so many texts side by side, and write the likeliest to the end of the line or document.
    nbest
        With --beam: so many of the likeliest, each with its score in front; 1 alone if not given.
    length_penalty
        With --beam: divide log-probabilities by ((5 + symbols) / 6) to this power; above 0 longer texts gain; 0 if not
        given.
    out
        File to write it to, such as song.mid of a model of music; the terminal if not given.
    cell
        Where the model's cell is of your own: the file to run for it, as mycell.py:mycell.
    wishes
        What the model's task can be told, such as --style.
    """
    from recurra.decoding import BeamSettings, Constraints, Sampler
    from recurra.tasks.config import ConfigError

    _end_quietly_when_nobody_reads()
    drawing = {"--temperature": temperature, "--top-k": top_k, "--top-p": top_p, "--seed": seed, "--out": out}
    searching = {"--nbest": nbest, "--length-penalty": length_penalty}
    for name, value in (searching if beam is None else drawing).items():
        if value is not None:
            alone, beside = "searching: give --beam as well", "drawing, --beam for searching: leave out one of them"
            raise ConfigError(f"{name} is for {alone if beam is None else beside}")
    if beam is not None:
        # An empty text, the likeliest of all in many a model, is not what was asked for.
        search = BeamSettings(
            end=None,
            maximum=500 if length is None else length,
            size=beam,
            nbest=1 if nbest is None else nbest,
            length_penalty=length_penalty or 0.0,
            constraints=Constraints(minimum=int(length != 0)),
        )
        complete(run, prompt, search, wishes, cell)
        return
    settings: dict[str, Any] = {
        "sampler": Sampler(temperature=0.8 if temperature is None else temperature, top_k=top_k, top_p=top_p),
        "seed": random.SystemRandom().randrange(2**31) if seed is None else seed,
    }
    if length is not None:
        settings["length"] = length
    if wishes:
        settings["wishes"] = wishes
    write(run, prompt, settings, out, cell)


def complete(run: Path, prompt: str, search: "BeamSettings", wishes: Mapping[str, str], cell: str | None) -> None:
    """Print `prompt` with the likeliest ways to end its line that the model of `run` knows, the best first.

    Where several are asked for, a line each: score, tab, text, whose line ends are shown as " / ".
    """
    from recurra.tasks.config import ConfigError

    task, model = _load(run, "auto", cell, "generate")
    if not hasattr(task, "complete"):
        raise ConfigError(f"what a model of the task {task.name} writes is drawn: leave out --beam")
    task.require_wishes(wishes)
    found = task.complete(model, prompt, search, wishes)
    for one in found:
        text = task.opening(prompt) + one.text
        print(text if search.nbest == 1 else "\t".join([f"{one.score:.4f}", text.replace("\n", " / ")]))


def write(
    run: Path, prompt: str, settings: Mapping[str, Any], out: Path | None = None, cell: str | None = None
) -> None:
    """Print `prompt` and what the model of `run` writes after it, each piece as it comes; or write it to a file.

    `settings` are those of the task's `generate`.
    """
    from recurra.training.files import replace_file, require_folder

    if out is not None:
        require_folder(out)
    task, model = _load(run, "auto", cell, "generate")
    task.require_wishes(settings.get("wishes", ()))
    pieces = itertools.chain([task.opening(prompt)], task.generate(model, prompt, **settings))
    if out is not None:
        replace_file(out, task.content(pieces, out))
        return
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def _load(
    run: Path, device: str, cell: str | None, method: str | None = None, words: Sequence[str] = ()
) -> tuple[Any, "nn.Module"]:
    """The task and the model of a run, which must have the task's own `method`, with the settings `words` changed."""
    from recurra import cells, tasks
    from recurra.tasks.base import Trained
    from recurra.tasks.config import ConfigError
    from recurra.training.session import load_model

    if cell is not None:
        cells.load(cell)
    task, model = load_model(run, tasks.get, device, words, cell=cell)
    if method is not None and not hasattr(task, method):
        known = "; ".join(use.command for use in task.uses(Trained(str(run))))
        raise ConfigError(f"{run} holds a model of the task {task.name}, which has no `recurra {method}`; try: {known}")
    return task, model


def _end_quietly_when_nobody_reads() -> None:
    """Let `recurra … | head` end as other programs do."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
