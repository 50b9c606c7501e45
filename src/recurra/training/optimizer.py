"""torch's optimizers, by the names and numbers of OptimizerConfig."""

from collections.abc import Iterable

import torch
from torch.nn import Parameter

from recurra.tasks.config import OPTIMIZERS, OptimizerConfig, require_choice

# Devices for which torch has one kernel that updates all parameters of sgd, adam and adamw.
_FUSED_DEVICES = ("cpu", "cuda")


def build_optimizer(config: OptimizerConfig, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over the `parameters` that want a gradient, fused where torch has it so.

    Its learning rate is a starting value only: the loop sets it from the schedule before each update.
    Raises ConfigError for an unknown name.
    """
    require_choice("optimizer.name", config.name, OPTIMIZERS)
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    fused = all(p.device.type in _FUSED_DEVICES and p.dtype.is_floating_point for p in trained)
    lr, decay, betas = config.lr, config.weight_decay, (config.beta1, config.beta2)
    if config.name == "sgd":
        return torch.optim.SGD(trained, lr=lr, momentum=config.momentum, weight_decay=decay, fused=fused)
    if config.name == "adam":
        return torch.optim.Adam(trained, lr=lr, betas=betas, eps=config.epsilon, weight_decay=decay, fused=fused)
    if config.name == "adamw":
        return torch.optim.AdamW(trained, lr=lr, betas=betas, eps=config.epsilon, weight_decay=decay, fused=fused)
    return torch.optim.RMSprop(
        trained, lr=lr, alpha=config.alpha, eps=config.epsilon, momentum=config.momentum, weight_decay=decay
    )
