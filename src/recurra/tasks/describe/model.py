"""The model that the settings of describing name."""

from recurra.layers import Attention
from recurra.models import VectorToSequence
from recurra.models.dropouts import Dropouts
from recurra.tasks.config import ConfigError
from recurra.tasks.describe.config import DescribeConfig
from recurra.tasks.describe.data import Alphabet
from recurra.tasks.recurrence import cell_options
from recurra.tasks.sampling import build_sampling


def build(config: DescribeConfig, alphabet: Alphabet) -> VectorToSequence:
    """A new model.

    Raises:
        ValueError: the cell, a width or the engine is unknown, or options exclude each other.
    """
    model = config.model
    if model.attention != "none" and alphabet.kind != "grid":
        raise ConfigError(
            f"model.attention={model.attention}: there is nothing to look at in a {alphabet.kind}; leave it out"
        )
    # An additive score is Bahdanau's, which looks before it reads; the others are Luong's, which look after it.
    place = "before" if model.attention == "additive" else "after"
    attention = None if model.attention == "none" else Attention(model.attention, place)  # type: ignore[arg-type]
    return VectorToSequence(
        alphabet.kind,
        alphabet.size,
        "tokens" if not alphabet.width else model.frames,
        alphabet.width or len(alphabet.symbols),
        fed=model.fed,
        attention=attention,
        mapped=0 if alphabet.kind == "class" else model.mapped,
        cell=model.cell,
        embedding=model.embedding,
        hidden=model.hidden,
        layers=model.layers,
        tied=model.tied,
        readout=model.readout,
        dropouts=Dropouts(model.dropout, model.dropout, model.dropout, model.dropout),
        sampling=build_sampling(config.sampling),
        engine=config.engine,
        **cell_options(model.cell, model.widths, config.recurrent),
    )
