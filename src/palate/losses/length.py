"""Length held out of the reward: as a covariate of the likelihood, or by a penalty on the correlation with it.

Annotators prefer longer responses, and a reward model learns that as if it were quality. Here x is the length term of
a response (in training the logarithm of its tokens), g = r_w - r_l the reward gap of a comparison and
d = x_w - x_l its difference in length.

    covariate        the likelihood sees g + beta d; beta is learned beside the reward and dropped with training
    decorrelation    coefficient * rho^2 is added to the loss of the step, rho the correlation of g and d

The covariate needs no coefficient, leaves the size of the gaps alone, and its beta says what length is worth to the
annotators. A body can express length too, though, and the likelihood knows only the sum of both shares: training has
to settle them (`palate.training.length`). The penalty asks for nothing and shrinks the gaps with its coefficient.
Either way a reward ends up uncorrelated with length, so that what longer responses do deserve is taken from them too.

A correlation is no sum over comparisons, so packs cannot each compute their own. It is a function of sums, though:
`length_moments` are additive over packs and ranks, `decorrelation` maps their total to the penalty, and by the chain
rule each pack's share of the gradient is that of

    slope_M . length_moments(pack)    with    slope_M = d decorrelation / d moments at the total, held constant

(the rewards of all packs first and without gradients, as in GradCache, Gao et al. 2101.06983, section 3).
"""

import torch
from torch import Tensor

from palate.losses.admission import check


def with_length_effect(reward_N: Tensor, length_N: Tensor, effect: Tensor) -> Tensor:
    """What the likelihood sees in place of the reward while beta is learned: r + beta x.

    For pairs the gap becomes g + beta d; for rankings the same shift goes into every place of the Plackett-Luce
    likelihood. At inference the reward is r alone, as if all responses had one length.

    Source: length-controlled AlpacaEval (Dubois et al., 2404.04475, section 3), which fits a logistic regression of
    preferences with a length term and then predicts with that term left out; here it happens within training.

    Args:
        reward_N: float32 (or float64) [N].
        length_N: the length term x of each response, [N].
        effect: beta, a scalar, in reward units per unit of x.

    Returns:
        [N].

    Raises:
        ValueError: the shapes differ.
        TypeError: the rewards are in 16 bits.

    >>> with_length_effect(torch.tensor([0.5, 0.5]), torch.tensor([3.0, 1.0]), torch.tensor(0.25))
    tensor([1.2500, 0.7500])
    """
    check(reward_N, length_N)
    return reward_N + effect * length_N


def length_moments(gap_C: Tensor, length_difference_C: Tensor, weight_C: Tensor) -> Tensor:
    """Sums of w g d, w g^2, w d^2 and w: all that `decorrelation` needs, additive over packs and ranks.

    In float64, since the square of a gap of 1e4 leaves float32 no digits for the others.

    Args:
        gap_C: float32 (or float64) [C], reward of the winner minus the loser.
        length_difference_C: [C], length term of the winner minus the loser.
        weight_C: [C], >= 0.

    Returns:
        float64 [M = 4].

    Raises:
        ValueError: the shapes differ.
        TypeError: the gaps are in 16 bits.

    >>> length_moments(torch.tensor([1.0, -2.0]), torch.tensor([1.0, 3.0]), torch.ones(2)).tolist()
    [-5.0, 5.0, 10.0, 2.0]
    """
    check(gap_C, length_difference_C, weight_C)
    g_C, d_C, w_C = gap_C.double(), length_difference_C.double(), weight_C.double()
    return torch.stack(((w_C * g_C * d_C).sum(), (w_C * g_C**2).sum(), (w_C * d_C**2).sum(), w_C.sum()))


def length_correlation(moments_M: Tensor) -> Tensor:
    """Correlation rho = sum(w g d) / sqrt(sum(w g^2) sum(w d^2)); NaN where all gaps or all differences are 0.

    Uncentred: naming the other response the winner turns both g and d around and must change nothing, which a mean
    subtracted from either would break.

    >>> length_correlation(length_moments(torch.tensor([2.0, -4.0]), torch.tensor([1.0, -2.0]), torch.ones(2)))
    tensor(1., dtype=torch.float64)
    """
    product, gaps, differences, _ = moments_M.unbind()
    return product / (gaps * differences).sqrt()


def decorrelation(moments_M: Tensor) -> Tensor:
    """sum(w g d)^2 / [(sum(w g^2) + sum(w)) sum(w d^2)]: rho^2, shrunk where gaps are smaller than 1.

    rho itself knows no scale: it is undefined at the zero gaps of a fresh head, and just beside them its gradient
    grows like one over the gap. The sum of the weights in the denominator stands for a variance of one unit (one nat
    for a likelihood), under which a reward has no opinion worth correcting. With it the penalty and its gradient
    are 0 at zero gaps, the gradient's norm is at most 1 / sqrt(sum(w)) everywhere (the likelihood's own is
    0.5 / sqrt(C) at zero gaps), and at gaps of a few units the penalty is rho^2.

    Source: ODIN (Chen et al., 2402.07319, section 3) penalises the Pearson correlation of reward and length
    over a batch; ours works on gaps, where what is common to a prompt's responses has gone, and is squared.

    Args:
        moments_M: float64 [4], `length_moments` of all comparisons of the step.

    Returns:
        A scalar in [0, 1); 0 where all responses are equally long.

    >>> decorrelation(length_moments(torch.tensor([1e4, -1e4]), torch.tensor([1.0, -1.0]), torch.ones(2)))
    tensor(1.0000, dtype=torch.float64)
    >>> decorrelation(length_moments(torch.zeros(2), torch.tensor([1.0, -1.0]), torch.ones(2)))
    tensor(0., dtype=torch.float64)
    """
    product, gaps, differences, weights = moments_M.unbind()
    tiny = torch.finfo(moments_M.dtype).tiny
    return product / (gaps + weights).clamp_min(tiny) * (product / differences.clamp_min(tiny))
