"""The comparisons that checks of style, length and noise look at: those of the data itself, with a right answer.

Shape legend: A decided comparisons, M prompts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.tables import Codes, Floats, Ints
from palate.metrics import Interval, accuracy_interval
from palate.report.findings import Fact


@dataclass(frozen=True, slots=True)
class DecidedPairs:
    """Columns [A].

    Attributes:
        comparison: row of the comparison.
        winner, loser: rows of the responses.
        prompt: code of the prompt, equal where prompts are the same: pairs of a prompt are not independent.
        source: code into `Corpus.sources`.
        undecided: how many comparisons were left out because their label is a tie.
    """

    comparison: Ints
    winner: Ints
    loser: Ints
    prompt: Ints
    source: Codes
    undecided: int

    def __len__(self) -> int:
        return len(self.comparison)

    def at(self, rows: Ints) -> "DecidedPairs":
        """Some of them."""
        return DecidedPairs(
            self.comparison[rows],
            self.winner[rows],
            self.loser[rows],
            self.prompt[rows],
            self.source[rows],
            self.undecided,
        )


@dataclass(frozen=True, slots=True)
class Share:
    """How often something holds, with its 95 % interval from resampled prompts.

    Attributes:
        value: the share; a half counts as half.
        low, high: the interval.
        count: of how many.
    """

    value: float
    low: float
    high: float
    count: int

    def to_fact(self) -> dict[str, Fact]:
        """For the JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "count": self.count}

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


def decided_pairs(corpus: Corpus) -> DecidedPairs:
    """The decided comparisons of the data that is checked, in its order; those of `against` are left out."""
    comparisons = corpus.comparisons
    own_C = ~corpus.groups.against[comparisons.group]
    rows = np.flatnonzero(own_C & comparisons.decided)
    group = comparisons.group[rows]
    _, prompt = np.unique(corpus.groups.prompt_key[group], return_inverse=True)
    return DecidedPairs(
        comparison=rows,
        winner=comparisons.winner[rows],
        loser=comparisons.loser[rows],
        prompt=prompt.astype(np.int64),
        source=corpus.groups.source[group],
        undecided=int(np.count_nonzero(own_C & ~comparisons.decided)),
    )


def thinned(pairs: DecidedPairs, most: int) -> DecidedPairs:
    """At most so many pairs, evenly spaced over the data."""
    if len(pairs) <= most:
        return pairs
    return pairs.at(np.linspace(0, len(pairs), most, endpoint=False).astype(np.int64))


def share_of(holds_A: NDArray[np.generic], prompt_A: Ints) -> Share:
    """Mean of values in [0, 1] over pairs, with `palate.metrics.accuracy_interval` over prompts.

    Raises:
        ValueError: there are no pairs.
    """
    values = holds_A.astype(np.float64)
    found: Interval = accuracy_interval(values, prompt_A.tolist())
    return Share(float(values.mean()), found.low, found.high, len(values))


def half_for_ties(difference_A: NDArray[np.generic]) -> Floats:
    """1 where the difference is positive, 0 where it is negative, 0.5 where there is none."""
    return (np.sign(difference_A.astype(np.float64)) + 1) / 2
