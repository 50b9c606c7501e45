"""Normalisation of sequences whose rows may end early: what lies behind an end never counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.equations import nearest

KINDS = ("layer", "group", "instance", "batch")
PLACES = ("between", "projection", "recurrent")


@dataclass(frozen=True)
class Normalisation:
    """x̂ = (x − μ) / √(σ² + ε), then y = γ x̂ + β: over what the mean μ and the variance σ² are taken, and where.

    ========  ============================  ==============================================
    kind      of one step                   over_time: of all steps
    ========  ============================  ==============================================
    layer     all columns of a row          (is a group over time with one group)
    group     the columns of a group        a group's columns of all the row's steps
    instance  (a single number)             a column at all the row's steps
    batch     a column in all rows          a column in all rows at all their steps
    ========  ============================  ==============================================

    Statistics over time look into the future; those of a batch tie its rows together while training (in evaluation
    running means stand in for them).

    Attributes:
        kind: "layer" (Ba et al. 2016), "group" (Wu & He 2018), "instance" (Ulyanov et al. 2016) or "batch" (Ioffe &
            Szegedy 2015).
        place: "between" layers: what a layer but the first reads. "projection": the products W x of every layer,
            outside the loop (Laurent et al. 2016); a layer's matrices count as one, so that four groups normalise an
            LSTM's four gates apart. "recurrent": the cell's own layer norms, their statistics taken over the batch
            at every step instead (Cooijmans et al. 2017); runs on the eager engine alone.
        over_time: whether statistics are taken over the steps of a row too.
        groups: number of groups, of which "group" normalises each alone.
        steps: with "recurrent", the steps that have running means of their own; all later ones share the last's.
        momentum: weight of a batch in the running means.
        epsilon: ε.
    """

    kind: str
    place: str = "between"
    over_time: bool = False
    groups: int = 1
    steps: int = 100
    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        for what, given, known in (("kind", self.kind, KINDS), ("place", self.place, PLACES)):
            if given not in known:
                raise ValueError(
                    f"there is no {what} of normalisation `{given}`{nearest(given, known)}; expected {', '.join(known)}"
                )
        if self.groups < 1 or (self.groups > 1 and self.kind != "group"):
            raise ValueError(f"groups is {self.groups} with kind={self.kind!r}; expected at least 1, with kind='group'")
        if self.kind == "instance" and not self.over_time:
            raise ValueError(
                "instance normalisation of one step is that of a single number, which leaves nothing; say "
                "over_time=True (it then looks into the future), or take kind='layer' or 'group'"
            )
        if self.kind == "layer" and self.over_time:
            raise ValueError("layer normalisation is of one step; over time it is kind='group' with groups=1")
        for what, given, fits in (
            ("steps", self.steps, self.steps >= 1),
            ("momentum", self.momentum, 0.0 <= self.momentum <= 1.0),
            ("epsilon", self.epsilon, self.epsilon > 0.0),
        ):
            if not fits:
                expected = {"steps": "at least 1", "momentum": "0 to 1", "epsilon": "a number above 0"}[what]
                raise ValueError(f"{what} of normalisation is {given}; expected {expected}")
        if self.place == "recurrent" and (self.kind != "batch" or self.over_time):
            raise ValueError(
                "place='recurrent' is for kind='batch', step by step; a cell with a layer norm has it in its equations"
            )


class Norm(nn.Module):
    """One normalisation of ``[T, B, W]``.

    Args:
        options: what is normalised together.
        width: W.

    Raises:
        ValueError: W columns cannot be parted into the groups.
    """

    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(self, options: Normalisation, width: int) -> None:
        super().__init__()
        if width % options.groups:
            raise ValueError(f"{width} columns cannot be parted into {options.groups} groups; choose a divisor")
        self.options = options
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        batch = options.kind == "batch"
        self.register_buffer("running_mean", torch.zeros(width) if batch else None)
        self.register_buffer("running_var", torch.ones(width) if batch else None)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, {self.options}"

    def reset_parameters(self) -> None:
        """γ = 1 and β = 0, and forget the running means."""
        with torch.no_grad():
            self.weight.fill_(1.0)
            self.bias.zero_()
            if self.running_mean is not None and self.running_var is not None:
                self.running_mean.zero_()
                self.running_var.fill_(1.0)

    def forward(self, x: Tensor, alive: Tensor | None) -> Tensor:
        """Normalise.

        Args:
            x: ``[T, B, W]``.
            alive: which steps count, bool ``[T, B, 1]``; None is all.

        Returns:
            ``[T, B, W]``; what stands behind a row's end means nothing.

        Raises:
            ValueError: a batch of one number for each column, while training.
        """
        options = self.options
        if options.kind == "layer":
            return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, options.epsilon)
        if self.running_mean is not None and self.running_var is not None:
            mean, variance = self._of_batch(x, alive, self.running_mean, self.running_var)
            scaled = (x - mean) / torch.sqrt(variance + options.epsilon)
        else:
            groups = x.shape[-1] if options.kind == "instance" else options.groups
            parts = x.unflatten(-1, (groups, -1))
            mask = None if alive is None else alive[..., None]
            mean, variance, _ = moments(parts, mask, (0, 3) if options.over_time else (3,))
            scaled = ((parts - mean) / torch.sqrt(variance + options.epsilon)).flatten(-2)
        return scaled * self.weight + self.bias

    def _of_batch(
        self, x: Tensor, alive: Tensor | None, running_mean: Tensor, running_var: Tensor
    ) -> tuple[Tensor, Tensor]:
        if not self.training:
            return running_mean, running_var
        mean, variance, count = moments(x, alive, (0, 1))
        if not torch.compiler.is_compiling() and count.max() < 2:
            raise ValueError(
                f"batch normalisation of an input of shape [T, B, W] = {list(x.shape)} while training: it has one "
                "number for each column; give more rows or steps, or call eval()"
            )
        before = running_mean.clone(), running_var.clone()
        update_running(running_mean, running_var, (mean, variance, count), self.options.momentum)
        if self.options.over_time:
            return mean, variance
        mean, variance, count = moments(x, alive, (1,))
        # A step that a single row reaches has no variance: it is judged by the running means, as they were, for this
        # batch's know its later steps.
        return torch.where(count > 1, mean, before[0]), torch.where(count > 1, variance, before[1])


def moments(x: Tensor, alive: Tensor | None, dims: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance (divided by the count) over some dimensions, which are kept as 1, and the count.

    Args:
        x: any shape.
        alive: what counts, bool, of a shape that broadcasts to that of x; None is all. What does not count may be
            anything, NaN too.
    """
    if alive is None:
        variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
        count = x.new_tensor(float(math.prod([x.shape[d] for d in dims])))
        return mean, variance, count.expand_as(mean)
    alive = alive.expand(x.shape)
    count = alive.sum(dims, keepdim=True).to(x.dtype)
    safe = count.clamp(min=1.0)
    mean = torch.where(alive, x, 0.0).sum(dims, keepdim=True) / safe
    variance = torch.where(alive, x - mean, 0.0).square().sum(dims, keepdim=True) / safe
    return mean, variance, count


def update_running(
    running_mean: Tensor, running_var: Tensor, found: tuple[Tensor, Tensor, Tensor], momentum: float
) -> None:
    """Move running means by a batch's mean, variance and count, the variance unbiased as in torch."""
    with torch.no_grad():
        mean, variance, count = (f.flatten() for f in found)
        unbiased = variance * count / (count - 1.0).clamp(min=1.0)
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
