"""Drawing a sequence token by token."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra.decoding.step import Step, not_finite


@dataclass(frozen=True)
class Sampler:
    """How a token is drawn from logits.

    Attributes:
        temperature: the logits are divided by it: below 1 bolder, above 1 more varied; 0: always the likeliest token.
        top_k: draw among the k likeliest tokens only, and those as likely as the last of them; None: among all.
        top_p: draw among the fewest tokens whose probability together reaches this, at least one; None: among all.

    Raises:
        ValueError: a setting is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(
                f"temperature={self.temperature}: expected 0 (always the likeliest token) or above, such as 0.8"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k}: expected at least 1 token to draw from")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p}: expected a probability above 0, at most 1")

    def probabilities(self, logits: Tensor) -> Tensor:
        """The probabilities [B, V] tokens are drawn with, from logits [B, V]; for a temperature above 0."""
        # The largest logit becomes 0 first, so that a very small temperature overflows to -inf only.
        logits = (logits - logits.amax(-1, keepdim=True)) / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            last = logits.topk(self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < last, float("-inf"))
        if self.top_p is not None and self.top_p < 1:
            ordered, places = logits.sort(dim=-1, descending=True, stable=True)
            chances = ordered.softmax(-1)
            # A token is dropped where those before it already reach top_p.
            dropped = chances.cumsum(-1) - chances >= self.top_p
            logits = logits.masked_fill(dropped.scatter(-1, places, dropped), float("-inf"))
        return logits.softmax(-1)

    def draw(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One token for each row, int64 [B].

        Args:
            logits: [B, V].
            generator: source of the random numbers, on the device of the logits; None: torch's global one.

        Raises:
            ValueError: a logit is NaN or ∞, or all of a row are -∞.
        """
        if not torch.isfinite(logits.amax(-1)).all():
            raise not_finite()
        if self.temperature == 0:
            return logits.argmax(-1)
        return torch.multinomial(self.probabilities(logits), 1, generator=generator).squeeze(-1)


def sample(
    step: Step,
    state: Any,
    prompt: Tensor,
    *,
    length: int | None,
    sampler: Sampler | None = None,
    generator: torch.Generator | None = None,
    forbidden: Sequence[int] = (),
) -> Iterator[Tensor]:
    """Draw the tokens that follow `prompt`, one after another, as they are asked for.

    Args:
        step: one step of the model.
        state: the state before the prompt, in whatever form `step` takes it.
        prompt: int64 [B, P], at least one token in each row; it is read first and not given back.
        length: tokens to draw; None: without end.
        sampler: how to draw; None: from the model's own probabilities.
        generator: source of the random numbers, on the device of the logits; None: torch's global one.
        forbidden: tokens that are never drawn.

    Yields:
        int64 [B], the next token of each row.

    Raises:
        ValueError: the prompt is empty or the length negative (at once), or the logits are not finite (when met).
    """
    if prompt.dim() != 2 or prompt.shape[1] < 1:
        raise ValueError(f"the prompt must be [B, P] with at least one token, but its shape is {list(prompt.shape)}")
    if length is not None and length < 0:
        raise ValueError(f"length={length}: expected the number of tokens to draw, 0 or more")

    chosen, never = sampler or Sampler(), torch.tensor(forbidden, dtype=torch.int64, device=prompt.device)

    def drawn(logits: Tensor) -> Tensor:
        if forbidden:
            logits = logits.index_fill(-1, never.to(logits.device), float("-inf"))
        return chosen.draw(logits, generator)

    return _tokens(step, state, prompt, length, drawn)


def _tokens(
    step: Step, state: Any, prompt: Tensor, length: int | None, draw: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    # Each call has its own no_grad: held around a yield it would leak into the caller's code.
    with torch.no_grad():
        for tokens in prompt[:, :-1].unbind(1):
            _, state, _ = step(tokens, state)
    tokens, drawn = prompt[:, -1], 0
    while length is None or drawn < length:
        with torch.no_grad():
            logits, state, _ = step(tokens, state)
            tokens = draw(logits)
        drawn += 1
        yield tokens
