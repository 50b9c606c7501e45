"""What the settings say of the recurrence itself: the cell's widths and the noise inside it."""

from collections.abc import Mapping
from typing import TypedDict

from recurra.layers import Regularisation
from recurra.tasks.config import ConfigError, RecurrentConfig, require_widths


class CellOptions(TypedDict):
    """Arguments of a recurrent layer."""

    widths: Mapping[str, int]
    regularisation: Regularisation | None


def cell_options(cell: str, widths: Mapping[str, int], noise: RecurrentConfig) -> CellOptions:
    """The options of layers of this cell.

    Raises:
        ConfigError: a width of the cell is missing, or one is given that it does not have.
        CellError: the cell is unknown.
    """
    require_widths(cell, widths)
    if not any(vars(noise).values()):
        return {"widths": widths, "regularisation": None}
    return {"widths": widths, "regularisation": Regularisation(noise.dropout, noise.zoneout, noise.weight_drop)}


def require_no_recurrence(kind: str, widths: Mapping[str, int], noise: RecurrentConfig) -> None:
    """Raise a ConfigError where something is set that a model of this kind, which has no recurrence, cannot heed."""
    given = [*(f"model.widths.{name}" for name in widths), *(f"recurrent.{n}" for n, v in vars(noise).items() if v)]
    if given:
        raise ConfigError(f"{given[0]}: a model of the kind {kind} has no recurrent layers; leave it out")
