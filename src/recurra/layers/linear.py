"""A linear layer."""

from __future__ import annotations

from torch import Tensor, nn

from recurra.engines.linear import linear


class Linear(nn.Linear):
    """`torch.nn.Linear` by the native library: ``y = x Wᵀ + b``.

    Constructor, parameters, `state_dict` and results (within rounding) are those of `torch.nn.Linear`. The native
    library serves float32 on the CPU where it is faster, that is for 32 rows or more on processors other than Intel's;
    torch everything else. Which one it is goes to the log ``recurra.engines``.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            input: ``[..., I]``.

        Returns:
            ``[..., O]``.

        Raises:
            ValueError: the last dimension is not I.
        """
        return linear(input, self.weight, self.bias)
