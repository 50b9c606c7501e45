"""How a layer holds its cell's parameters: those of one kind one below the other in one array."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from recurra.engines.widths import Names
from recurra.equations import nearest
from recurra.equations.program import Program


def stacks(program: Program) -> dict[str, Names]:
    """The arrays that hold a cell's parameters, and the parameters in each from top to bottom.

    Matrices of one shape that meet the same side lie in one array, as the gates of torch.nn do: ``W_i``, ``W_f``,
    ``W_g``, ``W_o`` in ``W`` ``[4H, I]``, in the order in which the equations first use them. So it is one product
    that reads them, and an optimiser updates few arrays. The array is named by what its parameters' names begin with;
    where that would name several arrays, their ends follow (``b_r_z`` beside ``b_nh``). A parameter with no like keeps
    its name.
    """
    groups: dict[object, list[str]] = {}
    for name, p in program.parameters.items():
        groups.setdefault((_prefix(name), p.role, p.shape, p.initial, p.blocks), []).append(name)
    prefixes = [_prefix(names[0]) for names in groups.values()]
    found: dict[str, Names] = {}
    for names in groups.values():
        prefix = _prefix(names[0])
        if len(names) == 1:
            found[names[0]] = (names[0],)
        elif prefixes.count(prefix) == 1:
            found[prefix] = tuple(names)
        else:
            found["_".join([prefix, *(n.partition("_")[2] for n in names)])] = tuple(names)
    return found


def _prefix(name: str) -> str:
    return name.partition("_")[0]


def find(arrays: Mapping[str, Tensor], layout: Mapping[str, Names], name: str) -> Tensor:
    """The rows of one parameter of the equations, a view of the array that holds it.

    Raises:
        ValueError: the cell has no such parameter; the message gives the nearest.
    """
    for array, names in layout.items():
        if name in names:
            return arrays[array].chunk(len(names))[names.index(name)]
    known = [n for names in layout.values() for n in names]
    raise ValueError(f"there is no parameter `{name}`{nearest(name, known)}; the cell has: {', '.join(known)}")
