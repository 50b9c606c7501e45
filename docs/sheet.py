"""What the pictures of networks are drawn with: nodes, units with a state that comes back, and arrows between them."""

from collections.abc import Sequence
from html import escape

from pictures import svg

STYLE = """
.note { fill: #d9541e; } .output { fill: #fdeee7; stroke: #d9541e; } .memory { fill: #eaf6ee; stroke: #2c8a57; }
.looks { stroke: #d9541e; } .looksarrow { fill: #d9541e; } .fed { stroke: #98a1a9; stroke-dasharray: 4 4; }
.panel { stroke: #e6e3dd; } .longsub { font-size: 10px; }
@media (prefers-color-scheme: dark) {
.note { fill: #ff9160; } .output { fill: #3a241b; stroke: #ff9160; } .memory { fill: #1a2e23; stroke: #5cc08a; }
.looks { stroke: #ff9160; } .looksarrow { fill: #ff9160; } .fed { stroke: #6d7780; } .panel { stroke: #2a3037; } }
"""

UNIT = 44  # side of the square that stands for recurrent layers
RADIUS = 19  # of the circles that stand for what enters and what comes out
GAP = 104  # from one step to the next
FOLDED, UNFOLDED = 78, 250  # middle of the folded network, and of the first step of the unfolded one
RISE = 78  # from what enters to the layers, and from there to what comes out

Node = tuple[float, float]  # the middle of a node


class Sheet:
    """A picture that grows part by part: nodes with a name and an index, and arrows between them."""

    def __init__(self, label: str, width: int, height: int) -> None:
        self.label, self.width, self.height = label, width, height
        self.parts = [f"<style>{STYLE}</style>"]

    def text(self, x: float, y: float, words: str, kind: str = "small soft", anchor: str = "middle") -> None:
        self.parts.append(f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>')

    def symbol(self, at: Node, name: str, index: str = "", kind: str = "ink") -> None:
        """A letter with an index, in the middle of `at`; a longer name is a word."""
        x, y = at
        if len(name) > 1:
            self.text(x, y + 4, name, f"small {kind}")
            return
        size = "sub" if len(index) < 2 else "longsub"
        below = f'<tspan class="{size}" dy="4">{escape(index)}</tspan>' if index else ""
        self.parts.append(
            f'<text class="math {kind}" x="{x:g}" y="{y + 5:g}" text-anchor="middle">{escape(name)}{below}</text>'
        )

    def unit(self, at: Node, name: str, index: str = "", kind: str = "unit") -> Node:
        """Recurrent layers at one step."""
        x, y = at[0] - UNIT / 2, at[1] - UNIT / 2
        self.parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{UNIT}" height="{UNIT}" rx="9"/>')
        self.symbol(at, name, index)
        return at

    def node(self, at: Node, name: str, index: str = "", kind: str = "input") -> Node:
        """Something that enters or comes out."""
        self.parts.append(f'<circle class="{kind}" cx="{at[0]:g}" cy="{at[1]:g}" r="{RADIUS}"/>')
        self.symbol(at, name, index)
        return at

    def keys(self, at: Node, sounding: Sequence[int], kind: str) -> None:
        """The keys at one moment, of which some sound."""
        for key in range(8):
            y = at[1] - 40 + 10 * key
            filled = ' fill-opacity="1"' if key in sounding else ' fill-opacity="0.25"'
            ink = "note" if key in sounding else kind
            self.parts.append(
                f'<rect class="{ink}"{filled} x="{at[0] - 12:g}" y="{y:g}" width="24" height="8.5" rx="2"/>'
            )

    def arrow(self, a: Node, b: Node, kind: str = "rule", cut: tuple[float, float] = (26, 28), fade: float = 1) -> None:
        """From the node `a` to the node `b`, beginning and ending `cut` before their middles."""
        length = ((b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2) ** 0.5
        dx, dy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
        x0, y0, x1, y1 = a[0] + dx * cut[0], a[1] + dy * cut[0], b[0] - dx * cut[1], b[1] - dy * cut[1]
        seen = f' opacity="{fade:g}"' if fade < 1 else ""
        self.parts.append(
            f'<g{seen}><path class="way {kind}" d="M{x0:.1f} {y0:.1f}L{x1 - 7 * dx:.1f} {y1 - 7 * dy:.1f}"/>'
            f"{_head(x1, y1, dx, dy, kind)}</g>"
        )

    def way(self, points: list[Node], kind: str = "fed") -> None:
        """An arrow along straight pieces, the last of which is at least as long as its head."""
        (xa, ya), (xb, yb) = points[-2:]
        length = ((xb - xa) ** 2 + (yb - ya) ** 2) ** 0.5
        dx, dy = (xb - xa) / length, (yb - ya) / length
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in [*points[:-1], (xb - 7 * dx, yb - 7 * dy)])
        self.parts.append(f'<path class="way {kind}" d="M{path}"/>{_head(xb, yb, dx, dy, kind)}')

    def loop(self, at: Node, side: int = 1) -> None:
        """The state that comes back a step later, on the right (1) or the left (-1) of a unit."""
        x, y = at[0] + side * (UNIT / 2 + 3), at[1]
        far = x + side * 34
        self.parts.append(
            f'<path class="way time" d="M{x:g} {y - 12:g}C{far:g} {y - 26:g} {far:g} {y + 26:g} {x + side * 7:g} '
            f'{y + 13:g}"/>{_head(x, y + 11, -side * 0.96, -0.28, "time")}'
        )
        x += side * 20
        self.parts.append(f'<path class="way time" d="M{x:g} {y - 3:g}h{side * 10}M{x:g} {y + 2:g}h{side * 10}"/>')

    def attend(self, memory: list[Node], weights: Sequence[float], at: Node, name: tuple[str, str]) -> Node:
        """The mean of a memory's states, each as plain as its weight."""
        for state, weight in zip(memory, weights, strict=True):
            self.arrow(state, at, "looks", (UNIT / 2 + 8, RADIUS + 4), weight)
        return self.node(at, *name, "output")

    def feed(self, out: Node, into: Node) -> None:
        """What came out of one step enters the next."""
        middle = (out[0] + into[0]) / 2
        cut = RADIUS + 4
        self.way([(out[0] + cut, out[1]), (middle, out[1]), (middle, into[1]), (into[0] - cut, into[1])])

    def heads(self, y: float, folded: str = "folded", unfolded: str = "unfolded over time") -> None:
        """What the two halves show."""
        self.text(FOLDED, y, folded, "head ink")
        self.text(UNFOLDED - UNIT / 2, y, unfolded, "head ink", "start")

    def parting(self, y0: float, y1: float, x: float = 172) -> None:
        """A line between the two halves."""
        self.parts.append(f'<path class="panel" d="M{x:g} {y0:g}V{y1:g}"/>')

    def rule(self, y: float) -> None:
        """A line between two networks, one below the other."""
        self.parts.append(f'<path class="panel" d="M18 {y:g}H{self.width - 18}"/>')

    def picture(self) -> str:
        return svg(self.width, self.height, self.label, self.parts)


def _head(x: float, y: float, dx: float, dy: float, kind: str) -> str:
    """The head of an arrow that ends at (x, y) and points along the unit vector (dx, dy)."""
    ink = {"time": "timearrow", "looks": "looksarrow"}.get(kind, "arrow")
    points = ((x, y), (x - 9 * dx - 4.5 * dy, y - 9 * dy + 4.5 * dx), (x - 9 * dx + 4.5 * dy, y - 9 * dy - 4.5 * dx))
    return f'<polygon class="{ink}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'
