"""A short soak; the long one is run by hand, see `soak`."""

import torch

from . import soak


def test_random_calls_of_every_kind_agree():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # fast also where the processor is shared
    try:
        soak.soak(150, seed=1, checked=0.3)
    finally:
        torch.set_num_threads(threads)
