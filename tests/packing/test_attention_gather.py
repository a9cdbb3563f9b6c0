"""Rows taken several times: the backward pass against `index_select`'s own, and what that one gets wrong."""

import numpy as np
import pytest
import torch

from palate.packing.attention.gather import Copies, bounds_of, gather_rows

CPU = torch.device("cpu")
INDICES = {
    "one copy each, another order": [3, 1, 2, 0],
    "several copies": [0, 1, 2, 0, 1, 3, 0, 1, 4, 5],
    "rows without a copy": [2, 2, 5, 4],
    "one row, many times": [1] * 9,
}


@pytest.mark.parametrize("name", INDICES)
def test_values_and_gradients_are_those_of_index_select(name: str) -> None:
    index = np.array(INDICES[name])
    states = torch.randn(6 if index.max() > 3 else 4, 2, 3, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(len(index), 2, 3, dtype=torch.float64)
    found = gather_rows(states, Copies.of(index, len(states), CPU))
    expected = states.index_select(0, torch.from_numpy(index))
    assert torch.equal(found, expected)
    grads = [torch.autograd.grad((each * upstream).sum(), states)[0] for each in (found, expected)]
    torch.testing.assert_close(*grads, atol=1e-14, rtol=0)


def test_nothing_is_gathered_where_every_row_is_taken_once_in_order() -> None:
    states = torch.randn(5, 2)
    assert Copies.of(np.arange(5), 5, CPU) is None
    assert Copies.of(np.arange(4), 5, CPU) is not None
    assert gather_rows(states, None) is states


def test_copies_in_bf16_are_added_up_in_float32_and_rounded_once() -> None:
    # 1 + 255 times 2^-8: in bf16, whose next number after 1 is 1 + 2^-7, each of them is rounded away.
    states = torch.zeros(2, 1, dtype=torch.bfloat16, requires_grad=True)
    index = np.array([0] * 256 + [1])
    grad = torch.full((257, 1), 2.0**-8, dtype=torch.bfloat16)
    grad[0] = 1
    gather_rows(states, Copies.of(index, 2, CPU)).backward(grad)
    assert states.grad is not None
    assert states.grad[0].item() == 2.0
    one_by_one = torch.zeros(2, 1, dtype=torch.bfloat16)
    for row, each in zip(index, grad, strict=True):
        one_by_one[row] += each
    assert one_by_one[0].item() == 1.0  # what is avoided


def test_the_backward_pass_gives_the_same_bits_every_time() -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0, 50, 2000)
    copies = Copies.of(index, 50, CPU)
    states = torch.randn(50, 8, requires_grad=True)
    upstream = torch.randn(2000, 8) * 10.0 ** torch.randint(-4, 4, (2000, 1))
    grads = [torch.autograd.grad(gather_rows(states, copies), states, upstream)[0] for _ in range(5)]
    assert all(torch.equal(grads[0], grad) for grad in grads[1:])


def test_bounds_are_what_the_kernel_wants() -> None:
    bounds = bounds_of((3, 1, 2), CPU)
    assert bounds.dtype is torch.int32
    assert bounds.tolist() == [0, 3, 4, 6]
