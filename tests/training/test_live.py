"""Live bytes against arithmetic, and against what autograd is seen to hold."""

import torch
from torch import nn

from palate.training.live import LiveBytes


def test_a_forward_and_backward_pass_by_hand() -> None:
    first, second = nn.Linear(50, 100, bias=False), nn.Linear(100, 1, bias=False)
    inputs = torch.randn(200, 50)
    with LiveBytes() as live:
        hidden = first(inputs).relu()
        assert live.now == 4 * 200 * 100  # the sum before relu is gone: relu keeps its result alone
        second(hidden).sum().backward()
    assert live.now == 4 * (200 * 100 + 50 * 100 + 100)  # `hidden`, and two gradients
    # At most: hidden, its gradient and the one before relu, and the head's gradient, with the few values of the sums.
    assert 0 <= live.peak - 4 * (3 * 200 * 100 + 100) < 4 * 500


def test_what_was_there_before_is_not_counted() -> None:
    outside = torch.zeros(1000)
    with LiveBytes() as live:
        view = outside[10:20].reshape(5, 2).T
        view.add_(1)
    assert (live.now, live.peak) == (0, 0)


def test_a_freed_tensor_makes_room_even_for_one_at_its_address() -> None:
    with LiveBytes() as live:
        for _ in range(20):
            torch.zeros(1000) + 1
    assert live.now == 0
    assert live.peak <= 2 * 4000 + 4
