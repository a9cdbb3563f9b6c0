"""Two models on the same pairs: is one better, or at least no worse?

What both get right and what both get wrong says nothing about that, so everything here looks at the pairs one by one:
a pair that the candidate gets right and the incumbent wrong is *better*, one the other way round *worse*. Equal rewards
count half, as everywhere, so half a pair can be better too.

Shape legend: C comparisons, M clusters.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from palate.metrics.columns import Floats, finite_column
from palate.metrics.intervals import Estimate, Names, cluster_bootstrap, cluster_sums

DifferenceMethod = Literal["prompt-bootstrap", "tango"]


@dataclass(frozen=True, slots=True)
class AccuracyDifference:
    """Accuracy of the candidate minus that of the incumbent on the same pairs.

    Attributes:
        candidate, incumbent: their accuracies.
        difference: with its interval.
        method: how that was found.
        pairs: how many.
    """

    candidate: float
    incumbent: float
    difference: Estimate
    method: DifferenceMethod
    pairs: int


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a candidate may replace an incumbent.

    Attributes:
        passed: whether `bound` is no lower than -`delta`.
        difference: accuracy of the candidate minus that of the incumbent.
        bound: what the difference is at least, with the confidence that was asked for.
        delta: what was allowed to be lost.
    """

    passed: bool
    difference: float
    bound: float
    delta: float


def paired_gains(candidate: ArrayLike, incumbent: ArrayLike) -> tuple[Floats, tuple[float, float]]:
    """Correctness (1, 1/2 or 0) of the candidate minus that of the incumbent, [C], and their accuracies.

    Args:
        candidate: [C], margins of one model.
        incumbent: [C], those of the other on the same pairs.

    Raises:
        ValueError: unequal lengths, no pairs, or margins that are not finite.
    """
    candidate_C = finite_column(candidate, "candidate")
    incumbent_C = finite_column(incumbent, "incumbent", len(candidate_C))
    right = [(np.sign(column) + 1) / 2 for column in (candidate_C, incumbent_C)]
    return right[0] - right[1], (float(right[0].mean()), float(right[1].mean()))


def accuracy_difference(
    candidate: ArrayLike, incumbent: ArrayLike, cluster: Names, *, confidence: float = 0.95
) -> AccuracyDifference:
    """By how much the candidate is more accurate, with the interval of a paired bootstrap over prompts.

    A resample takes a prompt with the answers of both models, so that what makes a prompt hard for both does not widen
    the interval (Efron and Tibshirani 1993, chapter 13; Koehn 2004 for comparing systems). Where all prompts show the
    same difference, as for equal models, it would have no width, and is Tango's, for independent pairs.

    Args:
        candidate: [C], margins (chosen minus rejected) of one model.
        incumbent: [C], those of the other on the same pairs; only their signs count.
        cluster: [C], names of the prompts.
        confidence: in (0, 1).

    Raises:
        ValueError: unequal lengths, no pairs, or margins that are not finite.
    """
    gain_C, accuracies = paired_gains(candidate, incumbent)
    sums_M2 = cluster_sums(np.column_stack([gain_C, np.ones_like(gain_C)]), cluster)
    method: DifferenceMethod = "prompt-bootstrap"
    if np.ptp(sums_M2[:, 0] / sums_M2[:, 1]) > 0:
        found = cluster_bootstrap(lambda sums: sums[..., 0] / sums[..., 1], sums_M2, confidence=confidence)
    else:
        found, method = tango_interval(*_better_worse(gain_C), len(gain_C), confidence), "tango"
    return AccuracyDifference(*accuracies, found, method, len(gain_C))


def tango_interval(better: float, worse: float, n: int, confidence: float = 0.95) -> Estimate:
    """Difference of two paired proportions, (better - worse) / n, with its score interval for independent pairs.

    The ends are the D with (better - worse - n D)^2 = z^2 n (2 q + D (1 - D)), where q is the likeliest probability of
    *worse* given D (Tango 1998, Statistics in Medicine 17:891). For paired proportions it is what Wilson's interval is
    for one: it has a width also where nothing was discordant, z^2 / (n + z^2) to either side. Halves are allowed.

    Args:
        better: pairs that speak for the candidate.
        worse: pairs that speak for the incumbent.
        n: all pairs.
        confidence: in (0, 1).

    Raises:
        ValueError: n is 0, a count is negative, both are more than n, or confidence is not in (0, 1).

    >>> found = tango_interval(0, 0, 100)
    >>> f"{found.low:.3f} {found.high:.3f}"
    '-0.037 0.037'
    """
    # not at the top: evaluation needs no SciPy, which takes 0.3 s to import
    from scipy.optimize import brentq

    if not (n >= 1 and better >= 0 and worse >= 0 and better + worse <= n and 0 < confidence < 1):
        raise ValueError(f"{better} better and {worse} worse of {n} pairs, confidence {confidence}: impossible")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    found = (better - worse) / n

    def excess(difference: float) -> float:
        b = (2 * n - better + worse) * difference - better - worse
        root = math.sqrt(max(0.0, b * b + 8 * n * worse * difference * (1 - difference)))
        likeliest = (root - b) / (4 * n)
        variance = n * (2 * likeliest + difference * (1 - difference))
        return (better - worse - n * difference) ** 2 - z * z * max(0.0, variance)

    # at -1 and 1 all terms vanish where all pairs are worse, or better: that root is the value, not an end
    low, high = (
        end if end * (found + end * 1e-9) >= 1 else float(brentq(excess, found + end * 1e-9, end))
        for end in (-1.0, 1.0)
    )
    return Estimate(found, low, high)


def gate(candidate: ArrayLike, incumbent: ArrayLike, cluster: Names, *, delta: float, confidence: float = 0.95) -> Gate:
    """Whether the candidate is no less accurate than the incumbent by more than `delta`.

    The one-sided bound is the lower of the paired bootstrap's and of Tango's: the first knows that pairs of a prompt
    go together, the second that a discordance which did not happen here may happen elsewhere. Not being able to tell
    is a reason to fail: few pairs need a large `delta`.

    Args:
        candidate: [C], margins of the model that would come.
        incumbent: [C], those of the model that would go, on the same pairs.
        cluster: [C], names of the prompts.
        delta: accuracy that may be lost, such as 0.01.
        confidence: of the bound, one-sided.

    Raises:
        ValueError: unequal lengths, no pairs, margins that are not finite, a negative delta, or a confidence outside
            (0.5, 1).
    """
    if not (delta >= 0 and 0.5 < confidence < 1):
        raise ValueError(f"delta is {delta} and confidence {confidence}: they must lie in [0, 1] and (0.5, 1)")
    gain_C, _ = paired_gains(candidate, incumbent)
    two_sided = 2 * confidence - 1
    found = accuracy_difference(candidate, incumbent, cluster, confidence=two_sided).difference
    alone = tango_interval(*_better_worse(gain_C), len(gain_C), two_sided)
    bound = min(found.low, alone.low)
    return Gate(bound >= -delta, found.value, bound, delta)


def _better_worse(gain_C: Floats) -> tuple[float, float]:
    return float(np.maximum(gain_C, 0).sum()), float(np.maximum(-gain_C, 0).sum())
