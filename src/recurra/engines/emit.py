"""Writing a pass into the tables: products packed side by side, tapes, states, sums."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

from recurra.engines.fusion import SUMS, fusions, operands
from recurra.engines.homes import ALIASES, LOCAL, Homes, is_saved, real, result_slot, source_step
from recurra.engines.sums import write_sums
from recurra.engines.tables import Kind, Place, Tables, padded
from recurra.equations.graph import Node
from recurra.equations.schedule import Region, Stage, by_source


class Op(IntEnum):
    """The operations of a tape, as csrc/kernels.h numbers them."""

    COPY = 0
    ADD = 1
    SUB = 2
    MUL = 3
    DIV = 4
    FMA = 5
    FNMA = 6
    SIGMOID = 7
    TANH = 8
    RELU = 9
    EXP = 10
    LOG = 11
    SQRT = 12
    SOFTPLUS = 13
    ABS = 14
    MAXIMUM = 15
    MINIMUM = 16
    GREATER = 17
    SELECT = 18
    DSIGMOID = 19
    DTANH = 20
    ROW_SUM = 21
    ROW_DOT = 22
    SOURCE_MAX = 23
    SOURCE_SUM = 24
    SOURCE_DOT = 25


_REGIONS = (
    Region.ONCE, Region.SEQUENCE, Region.BEFORE, Region.LOOP, Region.AFTER, Region.SEQUENCE_AFTER, Region.ONCE_AFTER,
)  # fmt: skip
"""Regions that hold stages, as csrc/engine.h numbers them."""


_Weight = tuple[str, int, int]
"""A parameter, and which of how many blocks of it."""

_Size = tuple[int, bool, int]
"""What tells local places apart, see `_size`."""

_Block = tuple[_Weight, bool, int, int, int, int]
"""A block of a packed matrix: weight, transposed, k0, n0, k, n."""


@dataclass
class _Product:
    """One packed product: target = start + operand · matrix."""

    operand: Place
    start: Place | None
    biases: list[Place]  # in place of a start: the caller's arrays to gather into one
    target: Place
    blocks: list[_Block]

    @property
    def k(self) -> int:
        return max(k0 + k for _, _, k0, _, k, _ in self.blocks)

    @property
    def n(self) -> int:
        return max(n0 + n for _, _, _, n0, _, n in self.blocks)


@dataclass
class _Tape:
    """The instructions of one stage, and the values they name."""

    tables: Tables
    pass_: int
    free: dict[_Size, list[int]]
    code: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    operands: dict[tuple[int, ...], int] = field(default_factory=dict[tuple[int, ...], int])

    def operand(self, place: Place, width: int, *, scalar: bool = False, exact: bool = False) -> int:
        """The number of an operand in this tape; a value of width 1 broadcasts over a wider operation."""
        scalar = scalar or (place.width == 1 and (width != 1 or self.tables.kind(place) is Kind.CONSTANT))
        exact = exact or self.tables.kind(place) is Kind.EXTERNAL
        return self.operands.setdefault((self.tables.value(place), int(scalar), int(exact)), len(self.operands))

    def write(self, op: Op, width: int, target: Place, *args: Place, exact: bool = False, over: bool = False) -> None:
        """Add an instruction.

        Args:
            exact: keep it from writing behind the target, where other values may be.
            over: do it for every source of a row.
        """
        reduces = op in (Op.ROW_SUM, Op.ROW_DOT)
        # Right behind a number may stand another: that of the next row or source, or another value.
        number = width == 1
        numbers = [self.operand(target, width, scalar=reduces or number, exact=exact)]
        numbers += [self.operand(a, width, scalar=number) for a in args]
        self.code.append((op, width, *numbers, *[-1] * (4 - len(numbers)), int(over)))

    def local(self, width: int, step: int = 0) -> Place:
        """A place that lasts until it is given back, with a row every `step` floats for each source."""
        free = self.free.setdefault(_size(width, step), [])
        array = free.pop() if free else self.tables.array(Kind.LOCAL, padded(width), self.pass_, source_step=step)
        return Place(array, 0, width)

    def give_back(self, places: list[Place]) -> None:
        for place in places:
            self.free.setdefault(_size(place.width, self.tables.source_step(place)), []).append(place.array)


class Emitter:
    """Writes one pass."""

    def __init__(self, homes: Homes) -> None:
        self.homes = homes
        self.tables = homes.tables
        self.schedule = homes.schedule
        self.pass_ = homes.frame.number
        self.biases: dict[tuple[Place, ...], Place] = {}
        self.matrices: dict[tuple[_Block, ...], int] = {}
        self.free: dict[_Size, list[int]] = {}
        self.bias_copies: list[tuple[Place, Place]] = []
        self.locals: set[Node] = set()
        self.copies = self._copies()

    def run(self) -> None:
        """Write stages, states and sums."""
        stages = {r: self.schedule.stages.get(r, []) for r in _REGIONS}
        needed = {Region.LOOP, *(where for _, _, where in self.copies)}
        products = {r: [self._products(s) for s in stages[r]] for r in _REGIONS}
        if self.bias_copies:
            needed.add(Region.ONCE)
        for region in _REGIONS:
            if not stages[region] and region in needed:
                stages[region], products[region] = [Stage()], [[]]
            last = len(stages[region]) - 1
            for k, stage in enumerate(stages[region]):
                self._stage(region, stage, products[region][k], first=k == 0, last=k == last)
        self._carried()
        write_sums(self.homes)

    def _copies(self) -> list[tuple[Node, Place, Region]]:
        """Results that do not live in the caller's array: node, that array, and the region that copies them there."""
        copies: list[tuple[Node, Place, Region]] = []
        for key, result in self.schedule.results.items():
            n = real(result)
            if is_saved(key) or n.op in ("weight_gradient", "bias_gradient"):
                continue
            target = self.tables.external(result_slot(key), self.homes.width(n), memory=result.memory)
            if self.homes.at(n) != target:
                copies.append((n, target, self._copy_region(str(key[0]), n)))
        return copies

    def _copy_region(self, kind: str, n: Node) -> Region:
        region = self.schedule.region[n]
        if kind == "parameter":
            return Region.ONCE_AFTER if region >= Region.SUMS else Region.ONCE
        if kind in ("static", "memory"):
            late = n.op == "sum_time" or region is Region.SEQUENCE_AFTER
            return Region.SEQUENCE_AFTER if late else Region.SEQUENCE
        return region if region in (Region.BEFORE, Region.LOOP, Region.AFTER) else Region.LOOP

    def _stage(self, region: Region, stage: Stage, products: list[_Product], *, first: bool, last: bool) -> None:
        tape = _Tape(self.tables, self.pass_, self.free)
        if region is Region.ONCE and first:
            for target, source in self.bias_copies:
                tape.write(Op.COPY, source.width, target, source)
        mine = {*stage.products, *stage.tape}
        for n, target, where in self.copies:
            # What was there before is copied ahead of the tape, which may overwrite a state.
            if where is region and first and (self.schedule.region[n] is not region or n.op == "sum_time"):
                tape.write(Op.COPY, target.width, target, self.homes.at(n), over=self.tables.source_step(target) > 0)
        self._tape(tape, stage.tape)
        for n, target, where in self.copies:
            if where is region and n in mine and n.op != "sum_time":
                tape.write(Op.COPY, target.width, target, self.homes.at(n), over=self.tables.source_step(target) > 0)
        if region is Region.LOOP and last:
            self._advance(tape)
        tables = self.tables
        starts = len(tables.products), len(tables.instructions), len(tables.operands)
        tables.products.extend(self._product_row(p) for p in products)
        tables.instructions.extend(tape.code)
        tables.operands.extend(tape.operands)
        ends = len(tables.products), len(tables.instructions), len(tables.operands)
        bounds = [bound for pair in zip(starts, ends, strict=True) for bound in pair]
        tables.stages.append((self.pass_, _REGIONS.index(region), *bounds))

    def _advance(self, tape: _Tape) -> None:
        """Copy the next states that do not yet live where the next step looks for them."""
        moves = [(c.next, self.homes.at(c.new)) for c in self.homes.carries if self.homes.at(c.new) != c.next]
        cells = {c.now for c in self.homes.carries}
        held: list[Place] = []
        for k, (target, source) in enumerate(moves):
            if source in cells:
                # Another state's old value: taken aside before that state is overwritten.
                step = self.tables.source_step(source)
                place = tape.local(source.width, step)
                tape.write(Op.COPY, source.width, place, source, over=step > 0)
                held.append(place)
                moves[k] = (target, place)
        for target, source in moves:
            tape.write(Op.COPY, target.width, target, source, over=self.tables.source_step(target) > 0)
        tape.give_back(held)

    def _tape(self, tape: _Tape, nodes: list[Node]) -> None:
        homes = self.homes
        fused = fusions(nodes, homes)
        work = [n for n in nodes if n.op not in ALIASES and n not in fused.values()]
        reads = {n: operands(n, fused) for n in work}
        last_use: dict[Node, Node] = {}
        for n in work:
            for a in reads[n]:
                last_use[a] = n
        for n in work:
            args = [homes.at(a) for a in reads[n]]
            done = [homes.at(a) for a in dict.fromkeys(reads[n]) if last_use[a] is n and a in self.locals]
            if n.op != "broaden":  # it reads column after column, of which it must not write over the next
                tape.give_back(done)
                done = []
            if homes.at(n).array == LOCAL:
                homes.place[n] = tape.local(homes.width(n), source_step(n, homes.width(n)))
                self.locals.add(n)
                if n not in last_use:
                    done.append(homes.place[n])
            self._instruction(tape, n, args, fused)
            tape.give_back(done)

    def _instruction(self, tape: _Tape, n: Node, args: list[Place], fused: dict[Node, Node]) -> None:
        width, target, over = self.homes.width(n), self.homes.at(n), by_source(n)
        if n in fused and n.op in SUMS:
            total = [target] if n.op == "sum_time" else []
            tape.write(Op.FNMA if n.op == "sub" else Op.FMA, width, target, *args, *total, over=over)
        elif n.op in ("row_sum", "row_dot"):
            for column, *parts in zip(target.parts(width), *[a.parts(width) for a in args], strict=True):
                tape.write(Op[n.op.upper()], parts[0].width, column, *parts, over=over)
        elif n.op == "sum_time":
            tape.write(Op.ADD, width, target, target, *args, over=over)
        elif n.op == "broaden":
            (source,) = args
            for part, column in zip(target.parts(source.width), source.parts(source.width), strict=True):
                tape.write(Op.COPY, part.width, part, column, exact=part.width < width, over=over)
        else:
            tape.write(Op[n.op.upper()], width, target, *args, over=over)

    def _products(self, stage: Stage) -> list[_Product]:
        """The stage's products, with chains over neighbouring operands and targets side by side made one."""
        depth: dict[Node, int] = {}
        lines: list[tuple[int, _Product]] = []
        here = set(stage.products)
        ends: dict[Node, int] = {}
        for n in stage.products:
            start_node = n.args[1] if len(n.args) == 2 else None
            depth[n] = 0 if start_node is None or start_node not in here else depth[start_node] + 1
            if n.attr[0] in self.tables.diagonal:
                lines += [(depth[n], product) for product in self._diagonal(n, start_node)]
                continue
            product = self._one(n, start_node)
            previous = ends.get(start_node) if start_node is not None else None
            if previous is not None and self._extends(lines[previous][1], product):
                longer, k = lines[previous][1], lines[previous][1].k
                longer.operand = replace(longer.operand, width=longer.operand.width + product.operand.width)
                longer.blocks += [(w, tr, k0 + k, n0, kk, nn) for w, tr, k0, n0, kk, nn in product.blocks]
                ends[n] = previous
            else:
                ends[n] = len(lines)
                lines.append((depth[n], product))
        lines.sort(key=lambda line: (line[0], line[1].operand.array, line[1].operand.column, line[1].target.column))
        merged: list[tuple[int, _Product]] = []
        for d, p in lines:
            if merged and merged[-1][0] == d and self._beside(merged[-1][1], p):
                wide = merged[-1][1]
                offset = padded(wide.target.width)
                wide.blocks += [(w, tr, k0, n0 + offset, k, n) for w, tr, k0, n0, k, n in p.blocks]
                wide.target = replace(wide.target, width=offset + p.target.width)
                if wide.start is not None and p.start is not None:
                    wide.start = replace(wide.start, width=offset + p.start.width)
                wide.biases += p.biases
            else:
                merged.append((d, p))
        products = [p for _, p in merged]
        for p in products:
            if p.biases:
                self._gather(p)
        return products

    def _one(self, n: Node, start_node: Node | None) -> _Product:
        homes = self.homes
        weight, transposed = n.attr
        operand, target = homes.at(n.args[0]), homes.at(n)
        block: _Block = ((str(weight), 0, 1), bool(transposed), 0, 0, operand.width, target.width)
        if start_node is not None and start_node.op == "leaf":
            return _Product(operand, None, [homes.at(start_node)], target, [block])
        return _Product(operand, None if start_node is None else homes.at(start_node), [], target, [block])

    def _diagonal(self, n: Node, start_node: Node | None) -> list[_Product]:
        """A product for each block of a block-diagonal matrix, from a part of the operand to a part of the target."""
        whole, count = self._one(n, start_node), self.tables.diagonal[n.attr[0]]
        operands, targets = whole.operand.parts(count), whole.target.parts(count)
        starts = [None] * count if whole.start is None else whole.start.parts(count)
        biases = [bias.parts(count) for bias in whole.biases]
        (((weight, _, _), transposed, *_),) = whole.blocks
        products: list[_Product] = []
        for k, (operand, target) in enumerate(zip(operands, targets, strict=True)):
            block: _Block = ((weight, k, count), transposed, 0, 0, operand.width, target.width)
            products.append(_Product(operand, starts[k], [bias[k] for bias in biases], target, [block]))
        return products

    def _extends(self, chain: _Product, link: _Product) -> bool:
        """Whether a link's operand lies right behind the chain's, so that one longer product does both."""
        a, b = chain.operand, link.operand
        joined = (a.array, a.shift, a.column + a.width) == (b.array, b.shift, b.column)
        return joined and link.start == link.target == chain.target

    def _beside(self, left: _Product, right: _Product) -> bool:
        """Whether two products of one operand reach neighbouring targets from neighbouring starts."""
        if left.operand != right.operand or not _adjacent(left.target, right.target):
            return False
        if left.start is None or right.start is None:
            return left.start is right.start and bool(left.biases) == bool(right.biases)
        return _adjacent(left.start, right.start)

    def _gather(self, p: _Product) -> None:
        """Copy a product's biases side by side, once a call: they are separate arrays of the caller."""
        key = tuple(p.biases)
        if key not in self.biases:
            array, column = self.tables.array(Kind.ONCE, p.n, self.pass_), 0
            for place in p.biases:
                self.bias_copies.append((Place(array, column, place.width), place))
                column += padded(place.width)
            self.biases[key] = Place(array, 0, p.n)
        p.start = self.biases[key]

    def _product_row(self, p: _Product) -> tuple[int, ...]:
        key = tuple(p.blocks)
        if key not in self.matrices:
            self.matrices[key] = len(self.tables.matrices)
            self.tables.matrices.append((self.pass_, p.k, p.n))
            for (weight, block, count), transposed, k0, n0, k, n in p.blocks:
                height = k if transposed else n
                slot, row = self.tables.rows(("parameter", weight), count * height)
                row += block * height
                self.tables.blocks.append((self.matrices[key], slot, row, int(transposed), k0, n0, k, n))
        start = -1 if p.start is None else self.tables.value(p.start)
        return (self.tables.value(p.operand), start, self.tables.value(p.target), self.matrices[key])

    def _carried(self) -> None:
        kind_in, kind_out = ("state", "final") if self.pass_ == 0 else ("carry", "initial")
        for c in self.homes.carries:
            name = str(c.leaf.attr[1])
            given = self.tables.external((kind_in, name), c.now.width, memory=c.leaf.memory)
            out = self.tables.external((kind_out, name), c.now.width, memory=c.leaf.memory)
            value = self.tables.value
            self.tables.carried.append((self.pass_, value(given), value(c.now), value(c.next), value(out)))


def _adjacent(left: Place, right: Place) -> bool:
    return (left.array, left.shift) == (right.array, right.shift) and left.end == right.column


def _size(width: int, step: int) -> _Size:
    """What tells local places apart: a value of width 1 never shares memory with one it is broadcast over."""
    return padded(width), width == 1, step
