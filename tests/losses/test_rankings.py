import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from palate.losses import bradley_terry, group_mean_weights, plackett_luce, plackett_luce_groups

reward = st.floats(-8, 8, allow_nan=False)
quick = settings(max_examples=60, deadline=None, derandomize=True)


def one(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def brute_force_plackett_luce(rewards: list[float]) -> float:
    return -sum(math.log(math.exp(r) / sum(map(math.exp, rewards[k:]))) for k, r in enumerate(rewards))


@quick
@given(st.lists(reward, min_size=1, max_size=6))
def test_plackett_luce_agrees_with_brute_force(rewards: list[float]) -> None:
    found = plackett_luce(torch.tensor(rewards, dtype=torch.float64))
    assert found.shape == ()
    assert found.item() == pytest.approx(brute_force_plackett_luce(rewards), abs=1e-9)


@quick
@given(winner=reward, loser=reward)
def test_plackett_luce_of_two_is_bradley_terry(winner: float, loser: float) -> None:
    pair = torch.cat([one(winner), one(loser)])
    torch.testing.assert_close(plackett_luce(pair)[None], bradley_terry(one(winner), one(loser)))


@quick
@given(st.lists(st.lists(reward, max_size=5), min_size=1, max_size=6))
def test_plackett_luce_in_a_batch_equals_one_ranking_at_a_time(groups: list[list[float]]) -> None:
    reward_N = torch.tensor([r for group in groups for r in group], dtype=torch.float64, requires_grad=True)
    bounds_G1 = torch.tensor([0, *map(len, groups)]).cumsum(0)
    loss_G = plackett_luce_groups(reward_N, bounds_G1)
    expected = [brute_force_plackett_luce(group) for group in groups]
    assert loss_G.tolist() == pytest.approx(expected, abs=1e-9)
    assert torch.autograd.gradcheck(lambda r: plackett_luce_groups(r, bounds_G1), reward_N) or not len(reward_N)


def orders(rewards: list[float]) -> dict[tuple[int, ...], float]:
    """Probability of every order of the responses, best first."""
    values = torch.tensor(rewards, dtype=torch.float64)
    return {order: math.exp(-plackett_luce(values[list(order)])) for order in permutations(range(len(rewards)))}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_summed_over_all_orders_plackett_luce_is_bradley_terry_for_every_pair_and_softmax_for_the_best(
    size: int,
) -> None:
    # Luce's axiom, which nothing in the formula says outright: the other responses do not matter to a pair.
    rewards = [0.3, -1.2, 2.0, 0.9, -0.4][:size]
    found = orders(rewards)
    assert sum(found.values()) == pytest.approx(1)
    for i in range(size):
        best = sum(share for order, share in found.items() if order[0] == i)
        assert best == pytest.approx(math.exp(rewards[i]) / sum(map(math.exp, rewards)))
        for j in set(range(size)) - {i}:
            before = sum(share for order, share in found.items() if order.index(i) < order.index(j))
            assert before == pytest.approx(1 / (1 + math.exp(rewards[j] - rewards[i])))


def test_the_gradient_of_plackett_luce_vanishes_on_average_over_the_orders() -> None:
    # Of any log likelihood; weights come from the definition by hand, gradients from autograd.
    rewards = [0.3, -1.2, 2.0, 0.9]
    mean_K = torch.zeros(4, dtype=torch.float64)
    for order in permutations(range(4)):
        reward_K = torch.tensor(rewards, dtype=torch.float64, requires_grad=True)
        (grad_K,) = torch.autograd.grad(plackett_luce(reward_K[list(order)]), reward_K)
        assert float(grad_K.norm()) > 0.1
        mean_K += math.exp(-brute_force_plackett_luce([rewards[i] for i in order])) * grad_K
    torch.testing.assert_close(mean_K, torch.zeros_like(mean_K), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("rewards", "value", "gradient"),
    [
        ([1e4, 0.0, -1e4], 0.0, [0.0, 0.0, 0.0]),
        ([-1e4, 0.0, 1e4], 3e4, [-1.0, -1.0, 2.0]),
        ([1e4, 1e4, 1e4], math.log(6), [1 / 3 - 1, 1 / 3 + 1 / 2 - 1, 1 / 3 + 1 / 2]),
    ],
)
def test_plackett_luce_is_right_at_huge_rewards_in_float32(
    rewards: list[float], value: float, gradient: list[float]
) -> None:
    reward_K = torch.tensor(rewards, requires_grad=True)
    loss = plackett_luce(reward_K)
    (grad_K,) = torch.autograd.grad(loss, reward_K)
    assert loss.item() == pytest.approx(value, rel=1e-6)
    assert grad_K.tolist() == pytest.approx(gradient, abs=1e-6)


def test_a_level_common_to_all_rewards_costs_plackett_luce_no_digits_in_float32() -> None:
    reward_K = torch.tensor([0.5, 0.25, -0.75])
    torch.testing.assert_close(plackett_luce(reward_K + 1024), plackett_luce(reward_K), atol=1e-7, rtol=0)


def test_the_group_weights_give_the_mean_over_each_prompts_comparisons() -> None:
    group_C = torch.tensor([2, 0, 2, 2, 0, 3])
    loss_C = torch.tensor([1.0, 2.0, 3.0, 5.0, 4.0, 7.0])
    weighted_G = torch.zeros(4).index_add(0, group_C, group_mean_weights(group_C, num_groups=4) * loss_C)
    torch.testing.assert_close(weighted_G, torch.tensor([3.0, 0.0, 3.0, 7.0]))


def test_instruct_gpts_loss_is_the_mean_over_prompts_of_the_mean_over_their_pairs() -> None:
    # Equation 1 of 2203.02155 as it is written: -1 / C(K, 2) E[log sigmoid(r_w - r_l)], for K = 2, 4 and 3.
    prompts = [[-1.3, 1.2], [1.0, 0.4, -0.5, 0.1], [0.2, 0.9, -1.0]]
    pairs = [(g, a, b) for g, own in enumerate(prompts) for i, a in enumerate(own) for b in own[i + 1 :]]
    group_C = torch.tensor([g for g, _, _ in pairs])
    winner_C, loser_C = torch.tensor([w for _, w, _ in pairs]), torch.tensor([r for _, _, r in pairs])
    found = (group_mean_weights(group_C, 3) * bradley_terry(winner_C, loser_C)).sum() / 3
    expected = 0.0
    for own in prompts:
        total = sum(math.log1p(math.exp(b - a)) for i, a in enumerate(own) for b in own[i + 1 :])
        expected += total / math.comb(len(own), 2) / len(prompts)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    assert found.item() != pytest.approx(float(bradley_terry(winner_C, loser_C).mean()), rel=1e-2)
