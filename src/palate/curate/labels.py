"""From many votes to one label: what every method gives, and the two that only count.

A tie is half-way between the two responses. So a vote is fully for its own verdict, half for the neighbouring ones (a
tie for each response, each response for a tie), and not at all for the opposite one.

Shape legend: C comparisons, K = 3 verdicts, see `palate.curate.tally`.
"""

from dataclasses import dataclass

import numpy as np

from palate.curate.tally import HIGH, LOW, TIE, Floats, Ints, Tally


@dataclass(frozen=True, slots=True)
class Labels:
    """One label for each comparison.

    Attributes:
        verdict: [C], `LOW`, `HIGH` or `TIE`.
        probability: [C], of the preferred response; 0.5 for a tie.
        weight: [C], in [0, 1]: how sure the method is of the verdict; 1 where `probability` says so already.
        coins: comparisons whose responses were put in order by a coin, see `palate.curate.crowd`.
    """

    verdict: Ints
    probability: Floats
    weight: Floats
    coins: int = 0


def majority(tally: Tally) -> Labels:
    """The response with more votes than the other; a tie where both have as many.

    Votes for a tie take no side: with one vote for a response and four for a tie, that response is preferred, at a
    weight of 0.6. The weight is the mean over votes of how far each is for the verdict: from above 0.5 for a bare lead
    to 1 where all agree.
    """
    verdict = _leading(tally.counts)
    return Labels(verdict, certain(verdict), (tally.counts * _CREDIT[verdict]).sum(axis=1) / tally.counts.sum(axis=1))


def soft(tally: Tally) -> Labels:
    """The preferred response's share of the votes as `probability`, ties counting half for each; weight 1.

    Disagreement is left in the label instead of in its weight.
    """
    verdict = _leading(tally.counts)
    share = (tally.counts * _CREDIT[LOW]).sum(axis=1) / tally.counts.sum(axis=1)
    return Labels(verdict, np.maximum(share, 1 - share), np.ones(len(share)))


def most_likely(posterior: Floats, coins: int = 0) -> Labels:
    """From probabilities [C, K] of the verdicts: the likeliest one, its probability for weight.

    Where both responses are equally likely, and a tie is not likelier than they, it is a tie nevertheless.
    """
    best = posterior.max(axis=1)
    even = np.isclose(posterior[:, LOW], posterior[:, HIGH], rtol=0, atol=1e-9)
    verdict = np.where(even, TIE, posterior.argmax(axis=1))
    return Labels(verdict, certain(verdict), best, coins)


def certain(verdict: Ints) -> Floats:
    """[C], 1 where a response is preferred, 0.5 for a tie."""
    return np.where(verdict == TIE, 0.5, 1.0)


_CREDIT = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
"""[K, K], how far a vote (column) is for a verdict (row)."""


def _leading(counts: Ints) -> Ints:
    """[C], the response with more votes, `TIE` where both have as many."""
    return np.where(counts[:, LOW] == counts[:, HIGH], TIE, np.where(counts[:, LOW] > counts[:, HIGH], LOW, HIGH))
