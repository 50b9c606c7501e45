import pytest
import torch

from recurra.tasks.config import OPTIMIZERS, ConfigError, OptimizerConfig
from recurra.training.optimizer import build_optimizer

PLAIN = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.7, eps=1e-6, momentum=0.5, weight_decay=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_settings_reach_torch(name: str):
    config = OptimizerConfig(
        name=name, lr=0.1, momentum=0.5, weight_decay=0.01, beta1=0.8, beta2=0.9, alpha=0.7, epsilon=1e-6
    )
    ours = torch.nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64))
    theirs = torch.nn.Parameter(ours.detach().clone())
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    built, plain = build_optimizer(config, [ours, frozen]), PLAIN[name]([theirs])
    for _ in range(4):
        for parameter, optimizer in ((ours, built), (theirs, plain)):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'adam'"):
        OptimizerConfig(name="adaam")
