"""Cells made from cells: what happens around a step, written into its graph so that every engine derives and runs it.

Each takes a cell and gives a new one with further inputs. They may be combined; the outer one acts on what the inner
one gives: ``lengths(resets(zoneout(lstm)))``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from recurra.equations import language
from recurra.equations.adjoint import affine_names, leaf_name
from recurra.equations.around import Additions, Passing, Stepped, around
from recurra.equations.cell import Cell, nearest
from recurra.equations.errors import CellError
from recurra.equations.graph import Graph, Node, Width, ancestors
from recurra.equations.language import Interpreter, Projected, Value, select


def zoneout(cell: Cell, states: Sequence[str] | None = None) -> Cell:
    """Each unit of a state keeps its old value where the mask says so (Krueger et al. 2017).

    Adds a per-step input ``zone_s`` ``[T, B, W]`` for each of the states s (None: all of them): 1 keeps the old value,
    0 takes the new one. An output that is a state's new value is the kept one too.
    """
    zoned = [s for s in cell.states if s not in cell.source_states] if states is None else list(states)
    masks = {f"zone_{s}": cell.states[s] for s in zoned}

    def step(values: dict[str, Value]) -> Stepped:
        kept = {s: values.pop(f"zone_{s}") for s in zoned}
        old = {s: values[s] for s in zoned}
        return _mixed(cell, values, {s: lambda new, s=s: select(kept[s], old[s], new) for s in zoned})

    return around(cell, "zoneout", step, Additions(inputs=masks))


def zoneout_mean(cell: Cell, rates: Mapping[str, float]) -> Cell:
    """Zoneout as it is on average, for evaluation: p · old + (1 − p) · new; each state it acts on, and its rate p."""

    def step(values: dict[str, Value]) -> Stepped:
        old = {s: values[s] for s in rates}
        return _mixed(cell, values, {s: lambda new, s=s, p=p: p * old[s] + (1.0 - p) * new for s, p in rates.items()})

    return around(cell, "zoneout_mean", step)


def _mixed(cell: Cell, values: dict[str, Value], mix: Mapping[str, Callable[[Value], Value]]) -> Stepped:
    """The cell's step with some of its new states changed; an output that is one of them is changed with it."""
    output, new = cell(**values)
    mixed = tuple(mix[s](n) if s in mix else n for s, n in zip(cell.states, new, strict=True))
    return next((m for m, n in zip(mixed, new, strict=True) if n is output), output), mixed


def variational_dropout(cell: Cell, state: str = "h") -> Cell:
    """One mask for the whole sequence on a state wherever a product reads it (Gal & Ghahramani 2016).

    Adds a per-sequence input ``drop_s`` ``[B, W]`` for the state s: 0 drops a unit, 1 / (1 − p) keeps it. It acts on
    the operand of each of :func:`matrices_reading`.
    """
    mask, matrices = f"drop_{state}", matrices_reading(cell, state)

    def step(values: dict[str, Value]) -> Stepped:
        drop = values.pop(mask)
        with language.interpreting(_Dropping(language.interpreter(), cell.traced.graph, matrices, drop)):
            return cell(**values)

    return around(cell, "variational_dropout", step, Additions(statics={mask: cell.states[state]}))


def matrices_reading(cell: Cell, state: str) -> list[str]:
    """The matrices that multiply a state as it was before the step: itself, gated (r ⊙ h), or through a nonlinearity.

    Raises:
        CellError: the cell has no such state.
    """
    _check_state(cell, state)
    traced = cell.traced
    held = {leaf for leaf in traced.states if leaf_name(leaf) == state}
    found: dict[str, None] = {}
    for node in traced.graph.nodes[: traced.size]:
        if node.op == "affine":
            found |= {m: None for m, a in zip(affine_names(node)[0], node.args, strict=True) if a in held}
        elif (node.op == "mul" or len(node.args) == 1) and node.width == cell.states[state]:
            held |= {node} if held & set(node.args) else set()
    return list(found)


def with_static(cell: Cell) -> Cell:
    """A vector given once a sequence is fed at every step, beside the input.

    Adds a per-sequence input ``static`` ``[B, S]`` and, to every affine that multiplies a per-step input, a matrix of
    its own for it (``W_i2`` beside ``W_i``), whose product is made once a sequence.

    Raises:
        CellError: no affine reads the input, or the cell has a `static` already.
    """
    named = input_affines(cell)
    if not named or "static" in (*cell.inputs, *cell.statics, *cell.states):
        raise CellError(
            f"cell {cell.name} cannot be given a static input: "
            + ("it has an argument `static`" if named else "no affine of it reads its input"),
            "Declare it in the cell: @cell(state=…, static=('s',)), and use it there",
        )

    def step(values: dict[str, Value]) -> Stepped:
        return with_operands(cell, named, values, values.pop("static"))

    return around(cell, "with_static", step, Additions(statics={"static": "S"}))


def input_affines(cell: Cell) -> set[str]:
    """The affines that multiply a per-step input."""
    affines, readers = cell.traced.graph.affines, projections(cell)
    return {name for name, (matrices, _) in affines.items() if not readers.keys().isdisjoint(matrices)}


def with_operands(cell: Cell, affines: set[str], values: dict[str, Value], *further: Value) -> Stepped:
    """The cell's step with further operands of some affines, a matrix of their own each."""
    with language.interpreting(_Feeding(language.interpreter(), affines, further)):
        return cell(**values)


def resets(cell: Cell) -> Cell:
    """The state returns to its start inside a sequence, before the step at which the mark stands.

    Adds a per-step input ``reset`` ``[T, B, 1]``, 1 where a new episode or document begins, and a per-sequence input
    ``start_s`` ``[B, W]`` for each state s. A reset selects, it never multiplies: what was infinite before it is gone.
    """
    starts = {f"start_{s}": w for s, w in cell.states.items()}
    if cell.source_states:
        raise CellError(
            f"cell {cell.name} cannot start anew inside a sequence: {cell.source_states[0]} belongs to a memory",
            "Give each episode a row of its own",
        )

    def step(values: dict[str, Value]) -> Stepped:
        reset = values.pop("reset")
        for s in cell.states:
            values[s] = select(reset, values.pop(f"start_{s}"), values[s])
        return cell(**values)

    return around(cell, "resets", step, Additions(inputs={"reset": 1}, statics=starts))


def lengths(cell: Cell) -> Cell:
    """Behind the end of a row the output is zero and the state stays as it was.

    Adds a per-step input ``alive`` ``[T, B, 1]``: 1 up to a row's length, 0 behind it.
    """

    def step(values: dict[str, Value]) -> Stepped:
        alive = values.pop("alive")
        old = [values[s] for s in cell.states]
        output, new = cell(**values)
        return select(alive, output, 0.0), tuple(select(alive, n, o) for n, o in zip(new, old, strict=True))

    return around(cell, "lengths", step, Additions(inputs={"alive": 1}))


def teacher_forcing(cell: Cell, state: str | None = None) -> Cell:
    """The true value feeds back in the place of what the cell made (Williams & Zipser 1989).

    Adds a per-step input ``true_s`` ``[T, B, W]`` for the state s (None: the one that is the output): its value behind
    the step, which the next one reads. The output stays what the cell made.
    """
    return _feeding_back(cell, "teacher_forcing", state, ("true",), lambda new, given: given[0])


def scheduled_sampling(cell: Cell, state: str | None = None) -> Cell:
    """The true value feeds back where a mark says so, and else what the cell made (Bengio et al. 2015).

    Adds per-step inputs ``true_s`` ``[T, B, W]``, as `teacher_forcing` does, and ``teach_s`` ``[T, B, 1]``: 1 feeds the
    true value to the next step, 0 what the cell made.
    """
    return _feeding_back(
        cell, "scheduled_sampling", state, ("true", "teach"), lambda new, given: select(given[1], given[0], new)
    )


def noisy_feedback(cell: Cell, state: str | None = None) -> Cell:
    """What feeds back is a sample around what the cell made: that, and noise that the caller drew.

    Adds a per-step input ``noise_s`` ``[T, B, W]`` for the state s (None: the one that is the output). The output stays
    what the cell made; the state is the sample.
    """
    return _feeding_back(cell, "noisy_feedback", state, ("noise",), lambda new, given: new + given[0])


def fed_back(cell: Cell) -> str:
    """The state that is the output.

    Raises:
        CellError: none is.
    """
    traced = cell.traced
    for leaf, new in zip(traced.states, traced.new_states, strict=True):
        if new is traced.output:
            return leaf_name(leaf)
    raise CellError(
        f"the output of cell {cell.name} is none of its states, so it does not feed back",
        "Take a cell such as jordan or back_projection, or return the output as a state as well",
    )


def _feeding_back(
    cell: Cell, name: str, state: str | None, kinds: Sequence[str], feed: Callable[[Value, list[Value]], Value]
) -> Cell:
    """The cell with a state whose new value is made from its own and from given ones."""
    fed = fed_back(cell) if state is None else state
    _check_state(cell, fed)
    inputs = {f"{kind}_{fed}": 1 if kind == "teach" else cell.states[fed] for kind in kinds}

    def step(values: dict[str, Value]) -> Stepped:
        given = [values.pop(n) for n in inputs]
        output, new = cell(**values)
        return output, tuple(feed(n, given) if s == fed else n for s, n in zip(cell.states, new, strict=True))

    return around(cell, name, step, Additions(inputs=inputs))


def projected(cell: Cell) -> Cell:
    """Every product of a per-step input is given: the layer makes W x itself, and may normalise it on the way.

    Each matrix that multiplies an input becomes a per-step input of its name, ``W_i`` ``[T, B, W]``, in the place of
    the parameter (see :func:`projections`). An input that nothing else reads is no longer one. Biases stay in the cell.

    Raises:
        CellError: a matrix that multiplies an input also multiplies something else, or two inputs; or none does.
    """
    matrices = projections(cell)
    if not matrices:
        raise CellError(
            f"cell {cell.name}: no matrix multiplies an input, so there is no product to give", "Run the cell as it is"
        )
    traced = cell.traced
    given = {m: traced.graph.parameters[m].shape[0] for m in matrices}
    reached = ancestors((traced.output, *traced.new_states))
    read = {a for n in reached if n.op != "affine" for a in n.args} | {traced.output, *traced.new_states}
    unread = [leaf_name(leaf) for leaf in traced.inputs if leaf not in read]

    def step(values: dict[str, Value]) -> Stepped:
        products = {m: values.pop(m) for m in matrices}
        values.update(dict.fromkeys(unread, 0.0))
        with language.interpreting(_Projecting(language.interpreter(), traced.graph, products)):
            return cell(**values)

    return around(cell, "projected", step, Additions(inputs=given, without=unread))


def projections(cell: Cell) -> dict[str, str]:
    """The matrices that multiply a per-step input, each with the name of that input.

    Raises:
        CellError: such a matrix also multiplies something else (tied weights).
    """
    traced = cell.traced
    operands: dict[str, set[Node]] = {}
    for node in traced.graph.nodes[: traced.size]:
        if node.op == "affine":
            for matrix, operand in zip(affine_names(node)[0], node.args, strict=True):
                operands.setdefault(matrix, set()).add(operand)
    found: dict[str, str] = {}
    for matrix, nodes in operands.items():
        inputs = [leaf_name(n) for n in traced.inputs if n in nodes]
        if inputs and len(nodes) > 1:
            raise CellError(
                f"cell {cell.name}: {matrix} multiplies the input {inputs[0]} and something else",
                "Give the other affine a name of its own",
            )
        if inputs:
            found[matrix] = inputs[0]
    return found


class _Dropping(Passing):
    """Multiplies what some matrices read by a mask."""

    def __init__(self, inner: Interpreter, graph: Graph, matrices: Sequence[str], mask: Value) -> None:
        super().__init__(inner)
        self._affines, self._matrices, self._mask = graph.affines, matrices, mask

    def affine(self, name: str, operands: tuple[Value, ...], width: Width, bias: bool, blocks: int) -> Value:
        pairs = zip(self._affines[name][0], operands, strict=True)
        masked = tuple(o * self._mask if m in self._matrices else o for m, o in pairs)
        return self.inner.affine(name, masked, width, bias, blocks)


class _Feeding(Passing):
    """Gives some affines further operands."""

    def __init__(self, inner: Interpreter, affines: set[str], operands: tuple[Value, ...]) -> None:
        super().__init__(inner)
        self._affines, self._operands = affines, operands

    def affine(self, name: str, operands: tuple[Value, ...], width: Width, bias: bool, blocks: int) -> Value:
        further = self._operands if name in self._affines else ()
        return self.inner.affine(name, (*operands, *further), width, bias, blocks)


class _Projecting(Passing):
    """Takes the products of some matrices as they are given."""

    def __init__(self, inner: Interpreter, graph: Graph, products: Mapping[str, Value]) -> None:
        super().__init__(inner)
        self._affines, self._products = graph.affines, products

    def affine(self, name: str, operands: tuple[Value, ...], width: Width, bias: bool, blocks: int) -> Value:
        matrices = self._affines[name][0]
        pairs = zip(matrices, operands, strict=True)
        given = tuple(Projected(self._products[m]) if m in self._products else o for m, o in pairs)
        return self.inner.affine(name, given, width, bias, blocks)


def _check_state(cell: Cell, state: str) -> None:
    if state not in cell.states:
        raise CellError(
            f"cell {cell.name} has no state `{state}`{nearest(state, cell.states)}",
            f"Its states: {', '.join(cell.states)}",
        )
