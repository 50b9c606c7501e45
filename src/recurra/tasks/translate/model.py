"""The model that the settings of translation describe."""

import torch
from torch import nn

from recurra.data import DataError
from recurra.layers import Attention
from recurra.models import Dropouts, EncoderDecoder
from recurra.tasks.config import ConfigError
from recurra.tasks.recurrence import cell_options
from recurra.tasks.sampling import build_sampling
from recurra.tasks.translate.config import ModelConfig, TranslateConfig
from recurra.tasks.translate.sides import FILE, Sides

# Name of the buffer that says for which symbols a model was made.
_FINGERPRINT = "fingerprint"


def build(config: TranslateConfig, sides: Sides) -> EncoderDecoder:
    """A new encoder–decoder.

    Raises:
        ValueError: the cell or the engine is unknown, or options exclude each other.
    """
    settings = config.model
    if settings.shared and not sides.joint:
        raise ConfigError("model.shared=true: source and target have symbols of their own; set text.joint=true")
    model = EncoderDecoder(
        len(sides.source),
        len(sides.target),
        cell=settings.cell,
        embedding=settings.embedding,
        hidden=settings.hidden,
        decoder_hidden=_decoder_hidden(config),
        layers=settings.layers,
        bidirectional=settings.bidirectional,
        attention=_attention(config),
        bridge=settings.bridge,
        context=settings.context,
        shared=settings.shared,
        tied=settings.tied,
        readout=settings.readout,
        dropouts=_dropouts(settings),
        normalise=settings.normalise,
        sampling=build_sampling(config.sampling),
        init=settings.init,
        engine=config.engine,
        **cell_options(settings.cell, settings.widths, config.recurrent),
    )
    model.register_buffer(_FINGERPRINT, torch.tensor(sides.fingerprint()))
    return model


def require_own(model: nn.Module, sides: Sides) -> EncoderDecoder:
    """The model itself.

    Raises:
        DataError: its parameters were learnt for other symbols.
        TypeError: it is of another kind.
    """
    if not isinstance(model, EncoderDecoder):
        raise TypeError(f"a {type(model).__name__} is no encoder–decoder: expected what `model` gives")
    if int(model.get_buffer(_FINGERPRINT)) != sides.fingerprint():
        raise DataError(
            f"{FILE} belongs to another run than model.safetensors: their symbols differ. Put back the one that was "
            "written with it, or train anew"
        )
    return model


def _decoder_hidden(config: TranslateConfig) -> int | None:
    model = config.model
    if model.decoder_hidden is None and config.attention.score in ("dot", "scaled"):
        return model.hidden * (2 if model.bidirectional else 1)
    return model.decoder_hidden


def _dropouts(settings: ModelConfig) -> Dropouts:
    def chance(own: float | None) -> float:
        return settings.dropout if own is None else own

    return Dropouts(
        embedding=chance(settings.dropout_embedding),
        layers=chance(settings.dropout_layers),
        memory=chance(settings.dropout_memory),
        output=chance(settings.dropout_output),
    )


def _attention(config: TranslateConfig) -> Attention | None:
    settings = config.attention
    if settings.score == "none":
        return None
    return Attention(
        score=settings.score,
        place=settings.place,
        feeding=settings.feeding,
        width=settings.width,
        window=settings.window,
        coverage=settings.coverage,
    )
