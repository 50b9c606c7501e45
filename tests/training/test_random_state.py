import io
import random

import numpy as np
import torch

from recurra.training.random_state import random_state, restore_random_state, seed_everything


def draws() -> list[float]:
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]


def test_every_generator_goes_on_where_it_was_after_a_file():
    seed_everything(4)
    draws()
    file = io.BytesIO()
    torch.save(random_state(), file)
    expected = [draws() for _ in range(3)]
    seed_everything(5)
    restore_random_state(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert [draws() for _ in range(3)] == expected


def test_a_seed_fixes_every_generator():
    seed_everything(2**40 + 1)
    first = draws()
    seed_everything(2**40 + 1)
    assert draws() == first
