"""The likeliest ways to go on from what a language model has read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recurra.decoding import BeamSettings, beam_search
from recurra.layers import State
from recurra.models import LanguageModel
from recurra.models.evaluation import evaluating


@dataclass(frozen=True)
class Completion:
    """A way to go on from a prompt."""

    text: str  # what comes after the prompt, without the end of the line or document
    log_probability: float  # nats, the end's included
    score: float  # what it is ranked by


@torch.no_grad()
def completions(
    model: LanguageModel,
    context: tuple[np.ndarray, State | None],
    search: BeamSettings,
    write: Callable[[Iterator[Tensor]], Iterable[str]],
) -> list[Completion]:
    """The likeliest ways to go on, the best first.

    Args:
        model: the model.
        context: what is read first, ids [tokens], at least one, and the state before it; None: the initial one.
        search: how they are searched for.
        write: the text of ids, in pieces.
    """
    ids, state = context
    read = torch.from_numpy(ids).to(model.output_bias.device)[None]
    with evaluating(model):
        for tokens in read[:, :-1].unbind(1):
            _, state, _ = model.step(tokens, state)
        (found,) = beam_search(model.step, model.select, state, read[:, -1], search)
    return [Completion("".join(write(iter(torch.tensor(h.tokens)))), h.log_probability, h.score) for h in found]
