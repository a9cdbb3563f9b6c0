"""Votes as methods of aggregation count them: columns of numbers, whatever the texts.

Shape legend: C comparisons with enough votes, V their votes, K = 3 verdicts on a comparison: its response of lower
index, its response of higher index, or a tie.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.metrics import vote_counts
from palate.records import PreferenceGroup, prompt_hash

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOW, HIGH, TIE = range(3)


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes on all comparisons that have enough of them.

    Attributes:
        comparison: [V], index of the comparison.
        annotator: [V], index of who voted.
        verdict: [V], `LOW`, `HIGH` or `TIE`.
        first: [V], `LOW` or `HIGH`: which response was shown first; -1 where that is not known.
        counts: [C, 3], votes by verdict.
        low, high: [C], identity of the responses, 0, 1 and so on: the same text to the same prompt is the same one,
            in whatever row it stands.
        annotators: how many there are.
    """

    comparison: Ints
    annotator: Ints
    verdict: Ints
    first: Ints
    counts: Ints
    low: Ints
    high: Ints
    annotators: int

    @property
    def responses(self) -> int:
        """How many responses there are."""
        return int(max(self.low.max(), self.high.max())) + 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What a first look at the data came to.

    Attributes:
        tally: of the comparisons with enough votes.
        comparisons: all of them.
        most_votes: on any comparison.
    """

    tally: Tally
    comparisons: int
    most_votes: int


def tally(groups: Iterable[PreferenceGroup], min_votes: int) -> Seen:
    """Count the votes of a stream, holding none of its groups: about 40 bytes a vote, and 16 a comparison."""
    comparison, annotator, verdict, first = (array("q") for _ in range(4))
    low, high = array("Q"), array("Q")
    people: dict[str, int] = {}
    comparisons = most_votes = 0
    for group in groups:
        for one in group.comparisons:
            comparisons += 1
            most_votes = max(most_votes, len(one.votes))
            if len(one.votes) < min_votes:
                continue
            lower = min(one.winner, one.loser)
            for vote in one.votes:
                comparison.append(len(low))
                annotator.append(people.setdefault(vote.annotator, len(people)))
                verdict.append(_verdict(vote.preferred, lower))
                first.append(-1 if vote.first is None else _verdict(vote.first, lower))
            low.append(_identity(group, lower))
            high.append(_identity(group, max(one.winner, one.loser)))
    comparison_V, verdict_V = (np.array(column, np.int64) for column in (comparison, verdict))
    _, response_C2 = np.unique(np.stack([np.array(low, np.uint64), np.array(high, np.uint64)]), return_inverse=True)
    found = Tally(
        comparison=comparison_V,
        annotator=np.array(annotator, np.int64),
        verdict=verdict_V,
        first=np.array(first, np.int64),
        counts=vote_counts(comparison_V, verdict_V, len(low), 3),
        low=response_C2.reshape(2, -1)[0],
        high=response_C2.reshape(2, -1)[1],
        annotators=len(people),
    )
    return Seen(found, comparisons, most_votes)


def _verdict(preferred: int | None, lower: int) -> int:
    return TIE if preferred is None else LOW if preferred == lower else HIGH


def _identity(group: PreferenceGroup, response: int) -> int:
    return int(prompt_hash(group.prompt + group.responses[response]), 16)
