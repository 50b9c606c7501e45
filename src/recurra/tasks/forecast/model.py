"""The model that the settings of forecasting describe."""

from recurra.data import Layout
from recurra.layers import Attention, Decoder, Recurrent
from recurra.models import DelayMemory, EncodedMemory, Forecaster, Lags, Outlook, RecurrentMemory, SegmentMemory, Way
from recurra.tasks.forecast.config import ForecastConfig
from recurra.tasks.recurrence import cell_options, layer_options, require_no_recurrence
from recurra.tasks.sampling import build_sampling


def build(config: ForecastConfig, layout: Layout) -> Forecaster:
    """A new forecaster of rows that `layout` describes.

    Raises:
        ValueError: the cell or the engine is unknown, or nothing would be read.
    """
    model, forecast = config.model, config.forecast
    way = Way(
        forecast.mode,
        config.feedback,
        forecast.horizon,
        layout.targets,
        layout.past,
        layout.ahead,
        relative=model.relative,
        centred=model.centred,
        linear=model.linear,
        shared=model.shared,
        noise=model.noise,
        dropout=model.dropout,
        calibrated=forecast.calibration != "none",
    )
    own = way.inputs - layout.past - layout.ahead  # columns that are the series' own past
    body: RecurrentMemory | EncodedMemory | Lags | DelayMemory
    if model.kind not in ("recurrent", "encoder_decoder"):
        require_no_recurrence(model.kind, model.widths, config.recurrent)
    if model.kind in ("recurrent", "encoder_decoder"):
        recurrent = Recurrent(
            model.cell,
            model.hidden if model.segment else way.inputs,
            model.hidden,
            num_layers=model.layers,
            dropout=model.dropout,
            causal=True,
            engine=config.engine,
            **layer_options(model.cell, model.widths, config.recurrent),
        )
        if model.segment:
            rows = layout.targets if model.shared else 1
            body = SegmentMemory(recurrent, way.inputs, model.segment, rows)
        elif model.kind == "recurrent":
            body = RecurrentMemory(recurrent)
        else:
            body = EncodedMemory(recurrent, _decoder(config, way.inputs, recurrent), forecast.window)
    elif model.kind == "tdnn":
        body = DelayMemory(way.inputs, model.hidden, model.delays, model.layers, model.dropout)
    elif model.kind == "window":
        body = Lags([forecast.window] * way.inputs, model.hidden, model.layers, model.dropout)
    else:
        order = forecast.window if model.order is None else model.order
        orders = [order] * own + [model.order_inputs] * (way.inputs - own)
        body = Lags(orders, model.hidden, 0 if model.kind == "ar" else model.layers, model.dropout)
    steps = forecast.horizon if forecast.mode == "direct" else 1
    outlook = Outlook(config.loss.kind, body.output_size + way.features, steps, way.series, delta=config.loss.delta)
    return Forecaster(body, outlook, way, build_sampling(config.sampling))


def _decoder(config: ForecastConfig, inputs: int, encoder: Recurrent) -> Decoder:
    """What runs over the steps ahead."""
    model, attention = config.model, None
    if model.attention != "none":
        attention = Attention(model.attention, "before" if model.attention == "additive" else "after")
    return Decoder(
        model.cell,
        inputs,
        model.hidden,
        memory_size=encoder.output_size if attention is not None else 0,
        attention=attention,
        num_layers=model.layers,
        dropout=model.dropout,
        engine=config.engine,
        **cell_options(model.cell, model.widths, config.recurrent),
    )
