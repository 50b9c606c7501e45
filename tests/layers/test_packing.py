"""From packed rows to padded ones and back."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.layers.packing import Packing


@pytest.mark.parametrize("lengths", [[5, 4, 4, 1], [3, 3, 3], [1], [4, 1]])
def test_it_pads_and_packs_as_torch_does(lengths: list[int]):
    padded = torch.randn(max(lengths), len(lengths), 3, dtype=torch.float64, requires_grad=True)
    packed = pack_padded_sequence(padded, torch.tensor(lengths))
    packing = Packing(packed.batch_sizes, packed.data, None)
    assert packing.rows == len(lengths)
    assert packing.lengths is None if len(set(lengths)) == 1 else packing.lengths.tolist() == lengths
    assert torch.equal(packing.pad(packed.data), pad_packed_sequence(packed)[0])
    assert torch.equal(packing.pack(padded), packed.data)
    assert torch.autograd.gradcheck(packing.pack, (padded,)) and torch.autograd.gradgradcheck(packing.pack, (padded,))
    assert torch.autograd.gradcheck(packing.pad, (packed.data.detach().requires_grad_(),))
