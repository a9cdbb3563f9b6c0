import math

import pytest
import torch

from palate.losses import bradley_terry
from palate.model.head import RewardHead


def pooled(num: int = 4, size: int = 32) -> torch.Tensor:
    return torch.randn(num, size, generator=torch.Generator().manual_seed(0))


def test_a_new_head_gives_reward_zero_everywhere_and_a_first_loss_of_ln_2() -> None:
    reward_N = RewardHead(32)(pooled())
    assert reward_N.tolist() == [0.0] * 4
    torch.testing.assert_close(bradley_terry(reward_N[:2], reward_N[2:]), torch.full((2,), math.log(2)))


def test_a_zero_head_learns_at_the_first_step() -> None:
    head, states = RewardHead(32), pooled()
    reward_N = head(states)
    bradley_terry(reward_N[:1], reward_N[1:2]).sum().backward()
    torch.testing.assert_close(head.score.weight.grad, -0.5 * (states[:1] - states[1:2]))


def test_a_normal_head_has_the_variance_that_keeps_rewards_at_the_states_size() -> None:
    torch.manual_seed(0)
    weight = RewardHead(4096, init="normal").score.weight
    assert weight.std().item() == pytest.approx(1 / 64, rel=0.05)
    assert abs(weight.mean().item()) < 3 / 64**2


def test_one_reward_a_sequence_without_a_bias() -> None:
    head = RewardHead(32)
    assert head(pooled(5)).shape == (5,)
    assert [name for name, _ in head.named_parameters()] == ["score.weight"]


def test_a_foreign_bias_is_added_and_gets_no_gradient_from_a_difference() -> None:
    head = RewardHead(32, init="normal", bias=True)
    bare = head(pooled())
    with torch.no_grad():
        head.score.bias.fill_(1.5)
    reward_N = head(pooled())
    torch.testing.assert_close(reward_N, bare + 1.5)
    bradley_terry(reward_N[:2], reward_N[2:]).sum().backward()
    assert head.score.bias.grad.abs().item() < 1e-7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("mixed", [False, True])
def test_rewards_are_float32_whatever_the_bodys_precision(dtype: torch.dtype, mixed: bool) -> None:
    head = RewardHead(32, init="normal")
    states = pooled().to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        reward_N = head(states)
    assert reward_N.dtype is torch.float32
    torch.testing.assert_close(reward_N, states.float() @ head.score.weight[0], atol=1e-6, rtol=1e-6)


def test_near_8_rewards_a_thousandth_apart_are_no_tie() -> None:
    head = RewardHead(2)
    with torch.no_grad():
        head.score.weight.copy_(torch.tensor([[8.0, 1e-3]]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lower, higher = head(torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.bfloat16)).tolist()
    assert higher - lower == pytest.approx(1e-3, rel=1e-2)
    assert torch.tensor(lower).bfloat16() == torch.tensor(higher).bfloat16()  # what bf16 would have made of it
