"""The model that the settings of classification describe."""

from recurra.layers import Recurrent
from recurra.models import (
    Bag,
    Classifier,
    Positions,
    RecurrentBody,
    Summary,
    SymbolInput,
    TimeDelay,
    VectorInput,
    Window,
)
from recurra.tasks.classify.config import ClassifyConfig
from recurra.tasks.recurrence import layer_options, require_no_recurrence


def build(config: ClassifyConfig, symbols: int | None, width: int, classes: int) -> Classifier:
    """A new classifier.

    Args:
        config: its settings.
        symbols: number of symbols that it reads; None: it reads vectors.
        width: columns of the vectors, or of those that stand for a symbol.
        classes: number of classes.

    Raises:
        ValueError: the cell or the engine is unknown, or options do not fit it.
    """
    model = config.model
    if symbols is None:
        inputs = VectorInput(width)
    else:
        inputs = SymbolInput(symbols, None if model.symbols == "onehot" else width)
    body: RecurrentBody | Bag | Positions | Window | TimeDelay
    backwards = 0
    if model.kind != "recurrent":
        require_no_recurrence(model.kind, model.widths, config.recurrent)
    if model.kind == "recurrent":
        recurrent = Recurrent(
            model.cell,
            inputs.width,
            model.hidden,
            num_layers=model.layers,
            bidirectional=model.bidirectional,
            dropout=model.dropout,
            engine=config.engine,
            **layer_options(model.cell, model.widths, config.recurrent),
        )
        body = RecurrentBody(recurrent)
        backwards = recurrent.output_size // 2 if model.bidirectional else 0
    elif model.kind == "bag":
        body = Bag(inputs.width, model.hidden)
    elif model.kind == "positions":
        body = Positions(inputs.width, model.hidden, model.span)
    elif model.kind == "window":
        body = Window(inputs.width, model.hidden, model.span, model.layers, model.dropout)
    else:
        body = TimeDelay(inputs.width, model.hidden, model.delays, model.layers, model.dropout)
    kind = model.summary
    if kind == "auto":
        kind = "last" if model.kind in ("recurrent", "window") else "mean"
    summary = Summary(kind, body.output_size, backwards=backwards, step=model.step)
    return Classifier(inputs, body, summary, classes, head=model.head, dropout=model.dropout)
