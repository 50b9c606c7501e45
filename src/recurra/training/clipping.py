"""Clipping a gradient that has grown too large, by one of three methods that are often confused.

| method      | what is limited to τ                              | rule                                        |
|-------------|---------------------------------------------------|---------------------------------------------|
| `norm`      | ‖g‖ = √Σg² over all parameters together           | if ‖g‖ > τ: g ← g·τ/‖g‖                     |
| `parameter` | each parameter's own ‖gₚ‖                         | if ‖gₚ‖ > τ: gₚ ← gₚ·τ/‖gₚ‖                 |
| `value`     | each number                                       | g ← max(−τ, min(τ, g))                      |

Only `norm` keeps the direction of the whole gradient.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from recurra.tasks.config import CLIPPINGS, require_choice


def clip_gradients(parameters: Iterable[Tensor], limit: float, method: str = "norm") -> Tensor:
    """Clip the `.grad` of `parameters` in place and return the global norm ‖g‖ they had before, a scalar tensor.

    `limit` is τ; 0 leaves the gradients as they are. Parameters without a gradient are passed over. The norm is not
    finite where a gradient is not. Raises ConfigError for an unknown `method`.
    """
    require_choice("method", method, CLIPPINGS)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(())
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    total = torch.linalg.vector_norm(torch.stack(norms))
    if limit == 0:
        return total
    if method == "norm":
        # On a CPU the comparison spares a pass over all gradients; on a GPU it would wait for the device.
        if total.device.type != "cpu" or total > limit:
            _scale(gradients, [(limit / total).clamp(max=1.0)] * len(gradients))
    elif method == "parameter":
        _scale(gradients, [(limit / norm).clamp(max=1.0) for norm in norms])
    else:
        for gradient in gradients:
            gradient.clamp_(-limit, limit)
    return total


def _scale(gradients: list[Tensor], factors: list[Tensor]) -> None:
    for gradient, factor in zip(gradients, factors, strict=True):
        gradient.mul_(factor)
