"""A cell: a function written once in the language, traced into a graph when first asked for."""

from __future__ import annotations

import difflib
import importlib
import inspect
import linecache
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import FrameType
from typing import Any, cast

from recurra.equations import language
from recurra.equations.errors import CellError
from recurra.equations.graph import Graph, Node, Rate, Width, broaden


@dataclass(frozen=True, eq=False)
class Traced:
    """The graph of one step and its ends.

    Attributes:
        inputs: one leaf for each per-step input, in the order of the function's arguments.
        statics: likewise for the inputs given once a sequence.
        memories: likewise for those given once a sequence for each of its sources.
        states: likewise for the states, as they stand before the step.
        output: what the step gives out.
        new_states: the states after the step, in the order of `states`.
        size: how many nodes the step has; what is derived from it is added to the graph behind them.
        names: what the function calls its values, for printing.
    """

    graph: Graph
    inputs: tuple[Node, ...]
    statics: tuple[Node, ...]
    memories: tuple[Node, ...]
    states: tuple[Node, ...]
    output: Node
    new_states: tuple[Node, ...]
    size: int
    names: dict[Node, str]


class Cell:
    """A recurrent cell. Made by the decorator :func:`cell`.

    Attributes:
        function: the function itself.
        name: the function's name.
        doc: its docstring: what the cell is, and the paper.
        states: width of each state, by name.
        inputs: width of each per-step input, by name.
        statics: width of each input given once a sequence, by name.
        memories: width of each input with a row for every source, given once a sequence, by name.
        source_states: the states that have a row for every source.
        initial: what each state starts from where nothing else is given, by name.
        options: keyword-only arguments of the function and their values, settled before the trace.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        states: Mapping[str, Width],
        statics: Sequence[str],
        widths: Mapping[str, Width],
        initial: Mapping[str, float],
        memories: Sequence[str] = (),
    ) -> None:
        self.function = function
        self._widths = dict(widths)
        self.name = function.__name__
        self.doc = inspect.getdoc(function) or ""
        self.states = dict(states)
        parameters = inspect.signature(function).parameters
        keyword_only = {n: p for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
        names = [n for n in parameters if n not in keyword_only]
        for wanted in initial:
            if wanted not in self.states:
                raise CellError(
                    f"cell {self.name}: `{wanted}` starts from {initial[wanted]:g} but is no state"
                    f"{nearest(wanted, self.states)}",
                    f"Its states: {', '.join(self.states)}",
                )
        self.initial = {s: float(initial.get(s, 0.0)) for s in self.states}
        for wanted in (*self.states, *statics, *memories, *widths):
            if wanted not in names:
                raise CellError(
                    f"cell {self.name}: `{wanted}` is declared but no argument of the function{nearest(wanted, names)}",
                    f"The function takes: {', '.join(names)}",
                )
        self.statics = {n: self._widths.get(n, "H") for n in names if n in statics}
        self.memories = {n: self._widths.get(n, "M") for n in names if n in memories and n not in self.states}
        self.source_states = tuple(n for n in self.states if n in memories)
        free = [n for n in names if n not in self.states and n not in statics and n not in memories]
        self.inputs = {n: self._widths.get(n, "I" if k == 0 else "H") for k, n in enumerate(free)}
        self.options = {n: p.default for n, p in keyword_only.items()}

    def __repr__(self) -> str:
        return f"Cell({self.name})"

    def with_options(self, name: str | None = None, **options: Any) -> Cell:
        """The same equations with other options, under a name of its own if one is given."""
        for option in options:
            if option not in self.options:
                raise CellError(
                    f"cell {self.name} has no option `{option}`{nearest(option, self.options)}",
                    f"Its options: {', '.join(self.options) or 'none'}",
                )
        memories = (*self.memories, *self.source_states)
        other = Cell(self.function, self.states, list(self.statics), self._widths, self.initial, memories)
        other.name, other.options = name or self.name, {**self.options, **options}
        return other

    def __deepcopy__(self, _: object) -> Cell:
        """Itself: a cell never changes."""
        return self

    def __reduce__(self) -> tuple[Callable[..., Cell], tuple[Any, ...]]:
        """A cell is pickled by the name of its function, as a function is."""
        return _restored, (self.function.__module__, self.function.__qualname__, self.name, self.options)

    def __call__(self, **values: Any) -> tuple[Any, tuple[Any, ...]]:
        """Run the function itself on the given values, under the interpreter in force."""
        output, new_states = self.function(**values, **self.options)
        return output, tuple(new_states)

    @cached_property
    def traced(self) -> Traced:
        """The graph of one step.

        Raises:
            CellError: the function breaks a rule of the language; the message names the cell, the line and the mend.
        """
        graph = Graph()
        inputs = tuple(graph.leaf("input", n, w, Rate.STEP) for n, w in self.inputs.items())
        statics = tuple(graph.leaf("static", n, w, Rate.SEQUENCE) for n, w in self.statics.items())
        memories = tuple(graph.leaf("memory", n, w, Rate.SEQUENCE, memory=True) for n, w in self.memories.items())
        states = tuple(
            graph.leaf("state", n, w, Rate.LOOP, memory=n in self.source_states) for n, w in self.states.items()
        )
        arguments = (*self.inputs, *self.statics, *self.memories, *self.states)
        values = dict(zip(arguments, (*inputs, *statics, *memories, *states), strict=True))
        names: dict[Node, str] = {}
        try:
            with language.interpreting(language.Tracer(graph)), _recording(self.function, names):
                result = self.function(**values, **self.options)
            output, new_states = self._check_result(graph, result)
        except CellError as error:
            raise CellError(self._locate(error, error.happened), error.mend) from error
        except NameError as error:
            known = [n for n in dir(language) if not n.startswith("_")]
            happened = f"the name `{error.name}` is not known{nearest(str(error.name), known)}"
            raise CellError(self._locate(error, happened), "Import it from recurra.equations") from error
        except (TypeError, AttributeError) as error:
            # Another library's function, an index, an operator that symbols do not have.
            raise CellError(
                self._locate(error, str(error)),
                "Use arithmetic and the functions of recurra.equations on the arguments and what is made of them",
            ) from error
        return Traced(graph, inputs, statics, memories, states, output, new_states, len(graph.nodes), names)

    def _check_result(self, graph: Graph, result: Any) -> tuple[Node, tuple[Node, ...]]:
        if not _is_pair(result):
            raise CellError(
                "the function does not return an output and a tuple of new states", "End with: return h, (h, c)"
            )
        output, new_states = graph.wrap(result[0]), tuple(map(graph.wrap, result[1]))
        if len(new_states) != len(self.states):
            raise CellError(
                f"{len(new_states)} new states are returned, {len(self.states)} are declared",
                f"Return one for each of: {', '.join(self.states)}",
            )
        if output.memory:
            raise CellError(
                "the output has a value for every source of a memory",
                "Return what is gathered over the sources: weighted_sum(weights, memory)",
            )
        widened: list[Node] = []
        for (name, width), node in zip(self.states.items(), new_states, strict=True):
            if node.width == 1:
                node = broaden(node, width)
            if node.memory != (name in self.source_states):
                kinds = ("one value", "a value for every source")
                raise CellError(
                    f"the new value of state {name} is {kinds[node.memory]}, the state is {kinds[not node.memory]}",
                    "Gather over the sources with weighted_sum(weights, memory), or name the state in memory=(…)",
                )
            if node.width != width:
                raise CellError(
                    f"the new value of state {name} has width {node.width}, the state has width {width}",
                    f"Bring it to {width} with affine(name, value, width={width!r}), or declare the state so",
                )
            widened.append(node)
        return output, tuple(widened)

    def _locate(self, error: BaseException, happened: str) -> str:
        """`happened` with the cell and the line of its function that was running."""
        code, line, trace = inspect.unwrap(self.function).__code__, None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code is code:
                line = trace.tb_lineno
            trace = trace.tb_next
        if line is None:
            return f"cell {self.name} ({code.co_filename}:{code.co_firstlineno}): {happened}"
        source = linecache.getline(code.co_filename, line).strip()
        return f"cell {self.name}, {code.co_filename}:{line}, `{source}`: {happened}"


def cell(
    *,
    state: Sequence[str] | Mapping[str, Width],
    static: Sequence[str] = (),
    memory: Sequence[str] = (),
    width: Mapping[str, Width] | None = None,
    initial: Mapping[str, float] | None = None,
) -> Callable[[Callable[..., Any]], Cell]:
    """Make a function written in the cell language a :class:`Cell`.

    Args:
        state: the arguments that are states; a mapping gives each its width (``{"h": "P", "c": "H"}``), a plain
            sequence gives them all ``"H"``.
        static: the arguments given once a sequence.
        memory: the arguments with a row for every source: what is attended to, given once a sequence; or a state among
            `state` that has a value for every source (a coverage).
        width: widths of inputs, statics and memories other than the usual: the first input has ``"I"``, memories
            ``"M"``, all others ``"H"``.
        initial: what a state starts from, if not zeros (``{"m": -math.inf}`` for a running maximum).

    Example::

        @cell(state=("h",))
        def elman(x, h):
            h = tanh(affine("h", x, h))
            return h, (h,)
    """
    states = dict(state) if isinstance(state, Mapping) else dict.fromkeys(state, "H")

    def make(function: Callable[..., Any]) -> Cell:
        return Cell(function, states, static, width or {}, initial or {}, memory)

    return make


def _restored(module: str, function: str, name: str, options: dict[str, Any]) -> Cell:
    """The cell of that function, from where it was defined."""
    found = getattr(importlib.import_module(module), function, None)
    if not isinstance(found, Cell):
        raise CellError(f"cell {name} is not found as {module}.{function}", "Define it at the top level of its module")
    return found.with_options(name, **options)


def _is_pair(result: Any) -> bool:
    """Whether a function returned an output and a tuple of states."""
    return (
        isinstance(result, tuple) and len(cast(tuple[Any, ...], result)) == 2 and isinstance(result[1], (tuple, list))
    )


@contextmanager
def _recording(function: Callable[..., Any], names: dict[Node, str]) -> Generator[None]:
    """Note what `function` calls the symbols among its local variables when it returns."""
    previous = sys.getprofile()
    if previous is not None and not callable(previous):
        # cProfile is at work, and cannot be put back once it is taken off: the equations do without these names.
        yield
        return

    code = inspect.unwrap(function).__code__

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code is code:
            names.update({v: k for k, v in frame.f_locals.items() if isinstance(v, Node)})

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(previous)


def nearest(word: str, known: Any) -> str:
    """The words `; did you mean '…'?` with the nearest known word, or nothing where none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
