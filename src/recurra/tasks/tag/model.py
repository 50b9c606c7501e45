"""The model that the settings of tagging describe."""

import torch
from torch import nn

from recurra.layers import LinearChainCRF, Recurrent
from recurra.models import Bag, RecurrentBody, Spelling, SymbolInput, Tagger, TimeDelay, TokenInput, VectorInput
from recurra.tasks.config import require_widths
from recurra.tasks.recurrence import layer_options, require_no_recurrence
from recurra.tasks.tag.alphabet import CHARACTERS, PAIRS, Alphabet
from recurra.tasks.tag.config import TagConfig


def build(config: TagConfig, alphabet: Alphabet) -> Tagger:
    """A new tagger.

    Raises:
        ValueError: the cell or the engine is unknown, or options exclude each other.
    """
    model = config.model
    inputs = _input(config, alphabet)
    width = inputs.width + (len(alphabet.tags) if model.feedback else 0)
    body: nn.Module
    if model.kind != "recurrent":
        # Spellings are read by the cell whatever reads the sequence.
        widths = model.widths if alphabet.characters is None else {}
        require_no_recurrence(model.kind, widths, config.recurrent)
    if model.kind == "recurrent":
        body = RecurrentBody(
            Recurrent(
                model.cell,
                width,
                model.hidden,
                num_layers=model.layers,
                bidirectional=model.bidirectional,
                dropout=model.dropout,
                engine=config.engine,
                **layer_options(model.cell, model.widths, config.recurrent),
            )
        )
    elif model.kind == "feedforward":
        body = Bag(width, model.hidden)
    else:
        body = TimeDelay(width, model.hidden, model.delays, model.layers, model.dropout)
    field = _field(alphabet) if chooses_together(config, alphabet) else None
    return Tagger(inputs, body, len(alphabet.tags), field=field, feedback=model.feedback, dropout=model.dropout)


def chooses_together(config: TagConfig, alphabet: Alphabet) -> bool:
    """Whether the tags of a sentence are chosen together, by a random field."""
    auto = alphabet.scheme is not None and not config.model.feedback
    return config.model.output == "crf" or (config.model.output == "auto" and auto)


def _input(config: TagConfig, alphabet: Alphabet) -> TokenInput:
    model = config.model
    if alphabet.tokens is None:
        return TokenInput(VectorInput(alphabet.width))
    width = None if model.symbols == "onehot" else alphabet.vectors or model.embedding
    symbol = SymbolInput(len(alphabet.tokens), width)
    pairs = spelling = None
    if alphabet.pairs is not None:
        pairs = nn.Embedding(len(alphabet.pairs), model.pairs or PAIRS)
    if alphabet.characters is not None:
        count, hidden = len(alphabet.characters), model.characters or CHARACTERS
        require_widths(model.cell, model.widths)
        spelling = Spelling(model.cell, count, model.character_embedding, hidden, model.widths, config.engine)
    return TokenInput(symbol, pairs, spelling)


def _field(alphabet: Alphabet) -> LinearChainCRF:
    """A random field that the scheme of the tags constrains."""
    tags, scheme = alphabet.tags, alphabet.scheme
    if scheme is None:
        return LinearChainCRF(len(tags))
    return LinearChainCRF(
        len(tags),
        torch.tensor([[scheme.may_follow(before, after) for after in tags] for before in tags]),
        torch.tensor([scheme.may_begin(tag) for tag in tags]),
        torch.tensor([scheme.may_end(tag) for tag in tags]),
    )
