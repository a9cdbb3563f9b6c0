"""Losses of groups of responses: the likelihood of a whole ranking, and the weights that let each prompt count once."""

import torch
from torch import Tensor

from palate.losses.admission import check


def plackett_luce(reward_K: Tensor) -> Tensor:
    """Negative log likelihood of one ranking, given its rewards from best to worst.

    sum over k of logsumexp(r_k, ..., r_K) - r_k: the best is chosen among all, the second among the rest,
    and so on. For K = 2 this is Bradley-Terry. Sources: Luce (1959), Plackett (1975); as a loss ListMLE, Xia
    et al. (2008), after Cao et al. (2007).

    Returns:
        A scalar, in nats; 0 for a ranking of one.

    >>> plackett_luce(torch.zeros(3)), torch.tensor(6.0).log()
    (tensor(1.7918), tensor(1.7918))
    """
    bounds_G1 = torch.tensor([0, len(reward_K)], device=reward_K.device)
    return plackett_luce_groups(reward_K, bounds_G1)[0]


def plackett_luce_groups(reward_N: Tensor, group_bounds_G1: Tensor) -> Tensor:
    """`plackett_luce` of every group of a batch at once.

    One masked [N, N] logsumexp over the differences of rewards: a level common to all of them costs no
    digits, and the square is small beside a forward pass, since N counts sequences and not tokens.

    Args:
        reward_N: float32 (or float64) [N], from best to worst within each group.
        group_bounds_G1: int64 [G + 1], rising from 0 to N; group g owns reward_N[bounds[g] : bounds[g + 1]].

    Returns:
        [G], in nats: a sum over the places of each ranking, so longer rankings weigh more.
        Groups of one response, or of none, give 0.

    Raises:
        TypeError: the rewards are in 16 bits.
    """
    check(reward_N)
    num_groups = len(group_bounds_G1) - 1
    index_N = torch.arange(len(reward_N), device=reward_N.device)
    group_N = torch.searchsorted(group_bounds_G1, index_N, right=True) - 1
    remaining_NN = (group_N[:, None] == group_N) & (index_N[:, None] <= index_N)
    lead_NN = (reward_N - reward_N[:, None]).masked_fill(~remaining_NN, -torch.inf)
    return reward_N.new_zeros(num_groups).index_add(0, group_N, lead_NN.logsumexp(dim=1))


def group_mean_weights(group_C: Tensor, num_groups: int) -> Tensor:
    """Weights that sum to 1 within each group, so that a prompt with many comparisons counts as one prompt.

    Multiplied onto the losses they give the mean over the C(K, 2) comparisons of a prompt of InstructGPT
    (2203.02155, equation 1).

    Args:
        group_C: int64 [C], the group of each comparison, in [0, num_groups).
        num_groups: G; groups without comparisons are allowed.

    Returns:
        float32 [C].

    >>> group_mean_weights(torch.tensor([0, 2, 2, 2, 2]), num_groups=3)
    tensor([1.0000, 0.2500, 0.2500, 0.2500, 0.2500])
    """
    one_C = torch.ones(len(group_C), device=group_C.device)
    count_G = one_C.new_zeros(num_groups).index_add(0, group_C, one_C)
    return 1 / count_G[group_C]
