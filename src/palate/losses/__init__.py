"""What a reward model minimises: pure functions from rewards to losses.

A comparison says that one response beats another, and the Bradley-Terry model gives it the probability
sigmoid(r_w - r_l). Everything here is a reading of that one gap: of single comparisons in `pairs`, of whole
rankings in `rankings`, and with the length of the responses held out in `length`. The functions return the loss of
every comparison, never a mean: micro-batches hold different numbers of comparisons, so only the training loop,
which knows the count of the whole optimiser step, can weight, sum and divide without computing a mean of
means.

No function reads a value back from the device or checks one there: a NaN in a label comes out as a NaN in
that comparison's loss, for the loop to name. Shapes and dtypes are checked.

Shape legend:
    N sequences of the batch    C comparisons    K responses of one ranking    G groups    G1 = G + 1 bounds
    M the four length moments of a set of comparisons
"""

from palate.losses.length import decorrelation, length_correlation, length_moments, with_length_effect
from palate.losses.pairs import LOSSES, PairLoss, bradley_terry, centering, hinge
from palate.losses.rankings import group_mean_weights, plackett_luce, plackett_luce_groups

__all__ = [
    "LOSSES",
    "PairLoss",
    "bradley_terry",
    "centering",
    "decorrelation",
    "group_mean_weights",
    "hinge",
    "length_correlation",
    "length_moments",
    "plackett_luce",
    "plackett_luce_groups",
    "with_length_effect",
]
