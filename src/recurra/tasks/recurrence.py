"""What the settings say of the recurrence itself: the cell's widths, the noise inside it, its normalisation."""

from collections.abc import Mapping
from typing import TypedDict

from recurra.layers import Normalisation, Regularisation
from recurra.tasks.config import ConfigError, RecurrentConfig, require_widths


class CellOptions(TypedDict):
    """Arguments of recurrent layers and of a decoder."""

    widths: Mapping[str, int]
    regularisation: Regularisation | None


class LayerOptions(CellOptions):
    """Arguments of recurrent layers."""

    normalisation: Normalisation | None


def layer_options(cell: str, widths: Mapping[str, int], asked: RecurrentConfig) -> LayerOptions:
    """The options of layers of this cell.

    Raises:
        ConfigError: a width of the cell is missing, or one is given that it does not have.
        CellError: the cell is unknown.
    """
    require_widths(cell, widths)
    noise = (asked.dropout, asked.zoneout, asked.weight_drop)
    norm = Normalisation(asked.normalisation, asked.normalised, asked.over_time) if _normalises(asked) else None
    return {"widths": widths, "regularisation": Regularisation(*noise) if any(noise) else None, "normalisation": norm}


def cell_options(cell: str, widths: Mapping[str, int], asked: RecurrentConfig) -> CellOptions:
    """The options of a decoder of this cell, and of the encoder that it comes with.

    Raises:
        ConfigError: as :func:`layer_options`; or a normalisation is asked for.
        CellError: the cell is unknown.
    """
    if _normalises(asked):
        raise ConfigError(
            f"recurrent.normalisation={asked.normalisation}: a decoder has none outside its cell; leave it out, or "
            "take a cell with a layer norm in its equations, such as model.cell=layer_norm_lstm"
        )
    options = layer_options(cell, widths, asked)
    return {"widths": options["widths"], "regularisation": options["regularisation"]}


def _normalises(asked: RecurrentConfig) -> bool:
    return asked.normalisation != "none"


def require_no_recurrence(kind: str, widths: Mapping[str, int], asked: RecurrentConfig) -> None:
    """Raise a ConfigError where something is set that a model of this kind, which has no recurrence, cannot heed."""
    usual = vars(RecurrentConfig())
    changed = [f"recurrent.{n}" for n, value in vars(asked).items() if value != usual[n]]
    given = [*(f"model.widths.{name}" for name in widths), *changed]
    if given:
        raise ConfigError(f"{given[0]}: a model of the kind {kind} has no recurrent layers; leave it out")
