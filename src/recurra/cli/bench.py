"""The command that measures speed beside other libraries."""

import sys
from pathlib import Path


def bench(
    *,
    what: str = "training,inference,ragged,step,output,memory",
    cells: str | None = None,
    shapes: str | None = None,
    peers: str | None = None,
    seconds: float = 1.0,
    busy: bool = False,
    json: Path | None = None,
) -> None:
    """Measure speed on this machine, side by side with torch and, where installed, JAX and ONNX Runtime.

    Prints tables in Markdown: our time, its share of the machine's multiply-add peak, and for each peer how many times
    as long it takes (in brackets its own share of the peak); of a step, which is bound by reading the matrices, at what
    share of the rate of plain reading it runs. All contenders compute the same, which is checked first,
    and take turns. Run it on a quiet machine. Everything takes about a quarter of an hour for each second.

    Parameters
    ----------
    what
        Kinds of work: training and inference of whole batches, ragged (training, 60 % of the steps real), step (one
        step of one row), output (linear and cross-entropy), memory (peak of a training step).
    cells
        Cells of the zoo, or FILE.py:NAME, which is run, with commas between; those of the tables in the documentation
        if not given.
    shapes
        Shapes as T,B,I,H with a space between two shapes; the standard ones if not given.
    peers
        Who takes part: nn, cell, loop, compile, jax, onnx, packed; all that are installed if not given.
    seconds
        Time for each contender of a comparison.
    busy
        Let another program hold one core meanwhile.
    json
        A file to write all figures to.
    """
    from recurra.cells import is_file, load
    from recurra.deploy import bench as room
    from recurra.training.files import replace_file

    for name in _words(cells or ""):
        if is_file(name):
            load(name)
    options = room.Options(
        kinds=_words(what),
        cells=None if cells is None else _words(cells),
        shapes=None if shapes is None else [_shape(s) for s in shapes.split()],
        peers=tuple(room.PEERS) if peers is None else _words(peers),
        seconds=seconds,
        busy=busy,
    )
    report = room.measure(options, lambda text: print(f"measuring {text}", file=sys.stderr, flush=True))
    print(room.as_text(report))
    if json is not None:
        replace_file(json, f"{room.as_json(report)}\n".encode())


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _shape(text: str):
    from recurra.deploy.bench import Shape

    numbers = text.split(",")
    if len(numbers) != 4 or not all(n.strip().isdigit() and int(n) > 0 for n in numbers):
        raise ValueError(f"the shape `{text}` is not one; expected T,B,I,H, such as 100,32,128,128")
    return Shape(*map(int, numbers))
