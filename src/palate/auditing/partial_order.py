"""Orders that are known in part: what follows from comparisons, and how rewards agree with it.

Shape legend: G groups of equal size, K responses of each, E pairs of those, K (K - 1) / 2.
"""

import numpy as np
from numpy.typing import NDArray

from palate.auditing.scorer import Floats

Bools = NDArray[np.bool_]


def preferred(beats: Bools) -> tuple[Bools, Bools]:
    """What follows from comparisons: [G, K, K], whether i is preferred to j; and [G], whether some run in a circle.

    i is preferred to j where a chain of comparisons leads from i to j and none leads back.

    Args:
        beats: [G, K, K], whether i won a comparison with j.

    >>> beats = np.zeros((1, 3, 3), np.bool_)
    >>> beats[0, [0, 1], [1, 2]] = True
    >>> preferred(beats)[0].astype(int).tolist()
    [[[0, 1, 1], [0, 0, 1], [0, 0, 0]]]
    """
    reaches = beats
    for _ in range(max(1, (beats.shape[1] - 1).bit_length())):  # each step doubles the length of the chains
        one = reaches.astype(np.float32)
        reaches = reaches | (one @ one > 0)
    back = np.swapaxes(reaches, 1, 2)
    circular: Bools = np.asarray((reaches & back).any(axis=(1, 2)))
    return reaches & ~back, circular


def partial_kendall(reward: Floats, order: Bools, tied: Bools) -> Floats:
    """Kendall's tau-b [G] of rewards against a partial order; 0 where all rewards are equal, NaN without an order.

    As `palate.metrics.kendall_tau`, over the pairs that are in order or were judged to be equally good. Pairs that
    nobody compared, and that no chain of comparisons connects, are left out: they are not ties.

    Args:
        reward: [G, K].
        order: [G, K, K], whether i is preferred to j, see `preferred`.
        tied: [G, K, K], whether i and j were judged to be equally good, in either place.

    >>> order = np.zeros((1, 3, 3), np.bool_)
    >>> order[0, 0, 1:] = True
    >>> partial_kendall(np.array([[3.0, 1.0, 2.0]]), order, np.zeros_like(order)).tolist()
    [1.0]
    """
    one_E, other_E = np.triu_indices(reward.shape[1], 1)
    forward_GE, back_GE = order[:, one_E, other_E], order[:, other_E, one_E]
    ordered_GE = forward_GE | back_GE
    known_GE = ordered_GE | tied[:, one_E, other_E] | tied[:, other_E, one_E]
    sign_GE = np.sign(reward[:, one_E] - reward[:, other_E])
    right_G = (sign_GE * (forward_GE.astype(np.float64) - back_GE)).sum(axis=1)
    judged_G = ordered_GE.sum(axis=1)
    told_G = (known_GE & (sign_GE != 0)).sum(axis=1)
    tau_G = right_G / np.sqrt(np.maximum(judged_G, 1) * np.maximum(told_G, 1))
    return np.asarray(np.where(judged_G > 0, tau_G, np.nan))
