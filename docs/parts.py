"""Parts that the pictures of networks share: steps side by side, what enters them and what comes out."""

from itertools import pairwise

from sheet import GAP, RADIUS, RISE, UNFOLDED, UNIT, Node, Sheet


def steps(count: int, y: float, start: float = UNFOLDED, gap: float = GAP) -> list[Node]:
    """The middles of `count` steps side by side."""
    return [(start + k * gap, y) for k in range(count)]


def chain(
    sheet: Sheet, nodes: list[Node], name: str, *, back: bool = False, both: bool = False, kind: str = "unit"
) -> None:
    """Recurrent layers step by step, with the state that goes from one to the next, to the one before, or both."""
    for k, node in enumerate(nodes, 1):
        sheet.unit(node, name, str(k), kind)
    apart = 6 if both else 0
    for (xa, y), (xb, _) in pairwise(nodes):
        if both or not back:
            sheet.arrow((xa, y - apart), (xb, y - apart), "time")
        if both or back:
            sheet.arrow((xb, y + apart), (xa, y + apart), "time")


def enter(sheet: Sheet, nodes: list[Node], names: list[tuple[str, str]], drop: float = RISE) -> list[Node]:
    """What enters at each step, and its arrow."""
    entered = []
    for (x, y), name in zip(nodes, names, strict=True):
        entered.append(sheet.node((x, y + drop), *name))
        sheet.arrow(entered[-1], (x, y), cut=(RADIUS + 4, UNIT / 2 + 4))
    return entered


def give(sheet: Sheet, nodes: list[Node], names: list[tuple[str, str]], rise: float = RISE) -> list[Node]:
    """What comes out at each step, and its arrow."""
    given = []
    for (x, y), name in zip(nodes, names, strict=True):
        given.append(sheet.node((x, y - rise), *name, "output"))
        sheet.arrow((x, y), given[-1], cut=(UNIT / 2 + 4, RADIUS + 4))
    return given


def indexed(name: str, count: int) -> list[tuple[str, str]]:
    return [(name, str(k)) for k in range(1, count + 1)]


def folded(
    sheet: Sheet, at: Node, below: tuple[str, str], above: tuple[str, str], name: tuple[str, str] = ("h", "t")
) -> None:
    """One network with its loop, what enters and what comes out."""
    sheet.unit(at, *name)
    sheet.loop(at)
    enter(sheet, [at], [below])
    give(sheet, [at], [above])


def words(*words: str) -> list[tuple[str, str]]:
    return [(word, "") for word in words]


def spread(sheet: Sheet, start: Node, nodes: list[Node]) -> None:
    """One thing that enters at every step: a way below what else enters, and up to each unit's corner."""
    lane = nodes[0][1] + RISE + 38
    for x, y in nodes:
        corner = [(x - 34, lane), (x - 34, y + 42), (x - UNIT / 2, y + UNIT / 2 + 4)]
        sheet.way([start, (start[0], lane), *corner], "looks")
