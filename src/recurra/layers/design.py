"""What all layers of a stack have in common: the cell, its widths, and the options that act inside its loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from recurra import cells
from recurra.equations import Cell
from recurra.equations.graph import columns
from recurra.equations.program import Program
from recurra.equations.rewrite import projected, projections, resets, with_static
from recurra.layers import feedback
from recurra.layers.initialisation import Initialisation
from recurra.layers.normalisation import Normalisation
from recurra.layers.regularisation import Regularisation


def check_stack(sizes: Mapping[str, int], static_size: int, dropout: float) -> None:
    """Raise ValueError where a size of a stack is below 1, that of its static input below 0, or dropout no chance."""
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{name} is {size!r}; expected at least 1, a whole number")
    if not isinstance(static_size, int) or static_size < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"static_size is {static_size!r}; expected the columns of a static input, or 0")
    if isinstance(dropout, str) or not 0.0 <= dropout < 1.0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"dropout is {dropout!r}; expected a probability from 0 up to, not including, 1")


def cell_of(cell: str | Cell) -> Cell:
    """The cell itself, or the one of this name. Raises ValueError where there is none, TypeError."""
    if isinstance(cell, str):
        return cells.get(cell)
    if not isinstance(cell, Cell):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"cell is {cell!r}, a {type(cell).__name__}; expected a cell, or the name of one")
    return cell


def check_kind(name: str, value: object, kind: type) -> None:
    """Raise TypeError where an option is neither of its `kind` nor None."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}, a {type(value).__name__}; expected {kind.__name__}(…), or None")


@dataclass(frozen=True)
class Variant:
    """How a cell is rewritten for a call.

    Attributes:
        static: a static input is fed beside the input.
        projected: the products W x are given.
        regularisation: what is dropped in the loop.
        training: whether it is dropped, or stands at its mean.
        feedback: what feeds back in place of the predicted output (see :meth:`Feedback.kinds`).
        resets: the state may start anew inside a sequence.
    """

    static: bool = False
    projected: bool = False
    regularisation: Regularisation | None = None
    training: bool = False
    feedback: tuple[str, ...] = ()
    resets: bool = False


@lru_cache(maxsize=512)  # bounded: the engines' plans live with the programs, and a script may make cells without end
def rewritten(cell: Cell, variant: Variant) -> Program:
    """The program of a cell so rewritten, the same one for all layers that ask for it.

    Raises:
        CellError: the cell cannot be rewritten so.
    """
    if variant.static:
        cell = with_static(cell)
    if variant.projected:
        cell = projected(cell)
    if variant.regularisation is not None:
        cell = variant.regularisation.rewrite(cell, training=variant.training)
    cell = feedback.rewrite(cell, variant.feedback)
    return Program(resets(cell) if variant.resets else cell)


@dataclass(frozen=True)
class Design:
    """See the module.

    Attributes:
        cell: the cell.
        widths: columns of every named width but I.
        regularisation: what is dropped in the loop.
        normalisation: what is normalised; "between" layers does not concern the layers themselves.
        initialisation: what parameters start from.

    Raises:
        ValueError: the cell takes other inputs than a layer feeds, or has no place for an option (a CellError, where it
            cannot be rewritten for it).
        TypeError: an option is of another type.
    """

    cell: Cell
    widths: Mapping[str, int]
    regularisation: Regularisation | None
    normalisation: Normalisation | None
    initialisation: Initialisation

    def __post_init__(self) -> None:
        check_kind("regularisation", self.regularisation, Regularisation)
        check_kind("normalisation", self.normalisation, Normalisation)
        check_kind("initialisation", self.initialisation, Initialisation)
        cell, norm = self.cell, self.normalisation
        for name, size in self.widths.items():
            if not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(
                    f"the width {name} of cell {cell.name} is {size!r}; expected at least 1, a whole number"
                )
        if len(cell.inputs) != 1 or len(cell.statics) > 1:
            raise ValueError(
                f"cell {cell.name} takes {', '.join((*cell.inputs, *cell.statics))}; a layer feeds one input, and one "
                "static input"
            )
        self._check_static()
        if self.regularisation is not None:
            self.regularisation.check(cell)
        if norm is not None and norm.place == "projection":
            self.running(training=False, resets=False)  # for its error, here and not at the first call
            parameters = self.program.parameters
            blocked = [m for m in projections(self.program.cell) if parameters[m].blocks > 1]
            if blocked:
                raise ValueError(f"place='projection': {blocked[0]} of cell {cell.name} is block-diagonal")

    def _check_static(self) -> None:
        size = self.widths.get("S", 0)
        for name, width in self.cell.statics.items():
            if not size:
                raise ValueError(f"cell {self.cell.name} takes a static input {name}; give its columns: static_size=…")
            if size != self.width(width):
                raise ValueError(
                    f"static_size is {size}; the static input {name} of cell {self.cell.name} has width {width} = "
                    f"{self.width(width)}"
                )

    @property
    def program(self) -> Program:
        """The program whose parameters a layer has: the cell's, with the static input it is given beside its own."""
        return rewritten(self.cell, self._plain)

    @property
    def _plain(self) -> Variant:
        return Variant(static="S" in self.widths and not self.cell.statics)

    @property
    def projects(self) -> bool:
        """Whether a layer makes the products W x itself."""
        return self.normalisation is not None and self.normalisation.place == "projection"

    def running(self, *, training: bool, resets: bool, fed: tuple[str, ...] = ()) -> Program:
        """The program that a call runs; `fed` is what feeds back in place of the predicted output."""
        options = self.regularisation
        # One program serves both where nothing is dropped.
        variant = replace(self._plain, projected=self.projects, regularisation=options, feedback=fed, resets=resets)
        return rewritten(self.cell, variant if options is None else replace(variant, training=training))

    def width(self, width: str | int, inputs: int | None = None) -> int:
        """A width as a number, I being `inputs`.

        Raises:
            ValueError: it has a name that nobody gave a number, or is a part of one that does not divide it.
        """
        try:
            return columns(width, self.sizes(inputs))
        except KeyError:
            raise ValueError(
                f"cell {self.cell.name} has a width {width}, which this layer cannot know; give it: "
                f"widths={{{str(width)!r}: …}}"
            ) from None

    def sizes(self, inputs: int | None) -> dict[str, int]:
        """Columns of every named width, I being `inputs`."""
        return {**self.widths, **({} if inputs is None else {"I": inputs})}

    def state_sizes(self, inputs: int) -> dict[str, int]:
        """Columns of each state."""
        return {name: self.width(w, inputs) for name, w in self.cell.states.items()}
