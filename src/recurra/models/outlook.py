"""What a forecast says of a value: one number, a distribution, or quantiles; and what each costs in training."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

KINDS = ("mse", "mae", "huber", "gaussian", "student", "quantiles")
# Levels at which every forecast that is more than a point gives its quantiles.
LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))
_MEDIAN = LEVELS.index(0.5)


class Outlook(nn.Module):
    """A linear head whose outputs are the parameters of a forecast of S·K values.

    | kind        | parameters of a value                 | loss                                                     |
    |-------------|---------------------------------------|----------------------------------------------------------|
    | `mse`       | the value                             | (y − o)²                                                 |
    | `mae`       | the value                             | |y − o|                                                  |
    | `huber`     | the value                             | ½(y − o)² near 0, δ(|y − o| − ½δ) beyond δ               |
    | `gaussian`  | mean, deviation                       | −log N(y)                                                |
    | `student`   | location, scale; a ν for each target  | −log t_ν(y), whose heavy tails forgive outliers          |
    | `quantiles` | 19 quantiles, at 0.05, 0.10 … 0.95    | pinball: max(q(y − o), (q − 1)(y − o)), averaged         |

    Args:
        kind: one of these.
        width: columns that the head reads, D.
        steps: steps that are forecast at once, S.
        targets: K.
        delta: δ of `huber`.
    """

    def __init__(self, kind: str, width: int, steps: int, targets: int, *, delta: float = 1.0) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"a forecast of the kind {kind!r} is none of {', '.join(KINDS)}")
        self.kind, self.steps, self.targets, self.delta = kind, steps, targets, delta
        self.parameters_each = {"gaussian": 2, "student": 2, "quantiles": len(LEVELS)}.get(kind, 1)
        self.linear = nn.Linear(width, steps * targets * self.parameters_each)
        # Softplus and 2 more: the variance is finite. Starts near 5, where a t has clearly heavier tails than a normal.
        self.freedom = nn.Parameter(torch.full((targets,), 3.0)) if kind == "student" else None

    @property
    def is_point(self) -> bool:
        """Whether it says nothing of how sure it is."""
        return self.parameters_each == 1

    def forward(self, values: Tensor, anchor: Tensor | float = 0.0) -> Tensor:
        """[..., D] to parameters [..., S, K, P]; `anchor` [..., S or 1, K] is added to each value or its location."""
        raw = self.linear(values).unflatten(-1, (self.steps, self.targets, self.parameters_each))
        anchor = torch.as_tensor(anchor, dtype=raw.dtype, device=raw.device)
        if anchor.dim():
            anchor = anchor.unsqueeze(-1)
        if self.kind == "quantiles":
            return raw + anchor
        return torch.cat([raw[..., :1] + anchor, raw[..., 1:]], -1)

    def loss(self, parameters: Tensor, truth: Tensor) -> Tensor:
        """The mean loss of parameters [..., K, P] against values [..., K]."""
        return self.losses(parameters, truth).mean()

    def losses(self, parameters: Tensor, truth: Tensor) -> Tensor:
        """The loss of each value, [..., K], of parameters [..., K, P] against values [..., K]."""
        if self.kind == "mse":
            return F.mse_loss(parameters[..., 0], truth, reduction="none")
        if self.kind == "mae":
            return F.l1_loss(parameters[..., 0], truth, reduction="none")
        if self.kind == "huber":
            return F.huber_loss(parameters[..., 0], truth, delta=self.delta, reduction="none")
        if self.kind == "quantiles":
            return pinball(parameters, truth)
        scale = _scale(parameters)
        z = (truth - parameters[..., 0]) / scale
        if self.kind == "gaussian":
            return 0.5 * z * z + scale.log() + 0.5 * math.log(2 * math.pi)
        nu = self.nu()
        constant = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2) - 0.5 * torch.log(nu * math.pi)
        return scale.log() - constant + (nu + 1) / 2 * torch.log1p(z * z / nu)

    def nu(self) -> Tensor:
        """Degrees of freedom of each target's t-distribution, [K], above 2."""
        if self.freedom is None:
            raise ValueError(f"a forecast of the kind {self.kind} has no degrees of freedom")
        return 2 + F.softplus(self.freedom)

    def point(self, parameters: Tensor) -> Tensor:
        """The one value that is expected, [...] of [..., P]: the mean, or the median of quantiles."""
        return parameters[..., _MEDIAN if self.kind == "quantiles" else 0]

    def quantiles(self, parameters: Tensor) -> Tensor:
        """The quantiles at LEVELS, [..., K, 19]; of a point, the point itself, once: [..., K, 1]."""
        if self.is_point:
            return parameters
        if self.kind == "quantiles":
            return parameters.sort(-1).values  # learned one by one, they may cross
        levels = torch.tensor(LEVELS, dtype=parameters.dtype, device=parameters.device)
        if self.kind == "gaussian":
            standard = torch.special.ndtri(levels)
        else:
            rows = [student_quantiles(LEVELS, float(nu)) for nu in self.nu().detach()]
            standard = torch.as_tensor(np.stack(rows), dtype=parameters.dtype, device=parameters.device)
        return parameters[..., :1] + _scale(parameters).unsqueeze(-1) * standard

    def sample(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A value drawn from each forecast, [...] of [..., P]; of a point, the point itself."""
        if self.is_point:
            return parameters[..., 0]
        kind = {"dtype": parameters.dtype, "device": parameters.device}
        shape = parameters.shape[:-1]
        if self.kind == "quantiles":
            place = torch.rand(shape, generator=generator, **kind) * len(LEVELS) - 0.5
            low = place.floor().clamp(0, len(LEVELS) - 1)
            ends = torch.stack([low, (low + 1).clamp(max=len(LEVELS) - 1)], -1).long()
            a, b = parameters.sort(-1).values.gather(-1, ends).unbind(-1)
            return a + (place - low).clamp(0, 1) * (b - a)
        if self.kind == "gaussian":
            drawn = torch.randn(shape, generator=generator, **kind)
        else:
            rows = [student_quantiles(tuple(_FINE), float(nu)) for nu in self.nu().detach()]
            table = torch.as_tensor(np.stack(rows), **kind)  # [K, 999]
            place = torch.randint(0, len(_FINE), shape, generator=generator, device=parameters.device)
            drawn = table[torch.arange(self.targets, device=parameters.device), place]
        return parameters[..., 0] + _scale(parameters) * drawn


_FINE = [k / 1000 for k in range(1, 1000)]


def _scale(parameters: Tensor) -> Tensor:
    """The positive scale of [..., 2], never so small that the likelihood explodes."""
    return F.softplus(parameters[..., 1]) + 1e-4


def pinball(quantiles: Tensor, truth: Tensor) -> Tensor:
    """The pinball loss of each value, [...], of quantiles at LEVELS [..., 19]: the mean over the levels."""
    levels = torch.tensor(LEVELS, dtype=quantiles.dtype, device=quantiles.device)
    error = truth.unsqueeze(-1) - quantiles
    return torch.maximum(levels * error, (levels - 1) * error).mean(-1)


def student_quantiles(levels: Sequence[float], nu: float) -> np.ndarray:
    """Quantiles of Student's t-distribution with `nu` degrees of freedom, by integrating its density."""
    # The tails are long: an even grid in asinh(t) is fine near 0 and reaches far out.
    grid = np.linspace(-12, 12, 20001)
    t = np.sinh(grid)
    density = np.exp(-(nu + 1) / 2 * np.log1p(t * t / nu)) * np.cosh(grid)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp(levels, mass / mass[-1], t)
