"""What votes are worth: how right they can be, given how far they agree, and among how many people they are spread.

Shape legend: A annotators, N any number.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def accuracy_of_votes(agreement: float) -> float:
    """How often one vote agrees with the majority of infinitely many, given how often two votes agree.

    Two labels, annotators who are alike and err independently, with probability 1 - a each: two of them agree with
    probability a^2 + (1 - a)^2, so that a = (1 + sqrt(2 p - 1)) / 2 for an agreement of p. Where items differ in how
    clear they are, a differs between them, and this is more than its mean (the root is concave): an upper bound.
    An agreement below chance gives 1/2.

    >>> accuracy_of_votes(0.82), accuracy_of_votes(0.4)
    (0.9, 0.5)
    """
    return round((1 + math.sqrt(max(0.0, 2 * agreement - 1))) / 2, 12)


def accuracy_of_majorities(accuracy: float, votes: ArrayLike) -> Floats:
    """How often the majority of n votes is right where it is not split, each being right with `accuracy`; [N].

    With X ~ Binomial(n, accuracy), P(X > n/2) / P(X != n/2).

    Args:
        accuracy: of one vote, in [0.5, 1].
        votes: [N], n >= 1 for each.

    >>> accuracy_of_majorities(0.9, [1, 2, 3]).round(4).tolist()
    [0.9, 0.9878, 0.972]
    """
    # not at the top: evaluation needs no SciPy, which takes 0.3 s to import
    from scipy.special import bdtr, bdtrc

    votes_N = np.asarray(votes, dtype=np.int64)
    right_N = bdtrc(votes_N // 2, votes_N, accuracy)
    wrong_N = bdtr((votes_N + 1) // 2 - 1, votes_N, accuracy)
    return np.asarray(right_N / (right_N + wrong_N))


def gini(amounts: ArrayLike) -> float:
    """Gini coefficient of how unevenly something is spread: 0 where all have the same, near 1 where one has all.

    sum_i (2 i - A - 1) x_i / (A sum_i x_i) over the amounts in ascending order.
    Source: Sen (1973), On Economic Inequality, section 2.8.

    Args:
        amounts: [A], not negative and not all 0.

    >>> gini([5, 5, 5]), gini([0, 0, 0, 1])
    (0.0, 0.75)
    """
    ordered_A = np.sort(np.asarray(amounts, dtype=np.float64))
    number = len(ordered_A)
    return float((2 * np.arange(1, number + 1) - number - 1) @ ordered_A / (number * ordered_A.sum()))


def effective_number(amounts: ArrayLike) -> float:
    """How many equally busy people would be as concentrated: (sum x)^2 / sum x^2, the inverse of Simpson's index.

    Source: Hill (1973), Diversity and evenness, order 2.

    Args:
        amounts: [A], not negative and not all 0.

    >>> effective_number([5, 5, 5]), effective_number([1, 0, 0])
    (3.0, 1.0)
    """
    amounts_A = np.asarray(amounts, dtype=np.float64)
    return float(amounts_A.sum() ** 2 / (amounts_A**2).sum())
