"""Votes as checks of annotators count them: who chose which side of which comparison.

Shape legend: V votes, I items (comparisons that have votes), A annotators; the three choices are *one*, *other* and
*tie*. Which response of a comparison is *one* is decided by a hash of its text: files list the chosen response first,
or the one that was shown first, or neither, and coefficients that compare with chance must not depend on it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.tables import Floats, Ints
from palate.metrics import vote_counts

ONE, OTHER, TIE = range(3)


@dataclass(frozen=True, slots=True)
class Ballots:
    """The votes on the data that is checked, without the data that it is compared with.

    Attributes:
        comparison: [I], row of each item in the corpus.
        item: [V], of each vote.
        annotator: [V], index into `names`.
        choice: [V], `ONE`, `OTHER` or `TIE`.
        first: [V], the side that was shown first, -1 where that is not known.
        seconds: [V], NaN where they are not known.
        counts: [I, 3], votes by choice.
        names: of the annotators.
    """

    comparison: Ints
    item: Ints
    annotator: Ints
    choice: Ints
    first: Ints
    seconds: Floats
    counts: Ints
    names: tuple[str, ...]

    @property
    def per_item(self) -> Ints:
        """[I], how many votes each item has."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def per_annotator(self) -> Ints:
        """[A], how many votes each annotator cast."""
        return np.bincount(self.annotator, minlength=len(self.names))

    @property
    def anonymous(self) -> bool:
        """Whether nobody voted twice: the names then number votes, not people."""
        return len(self.names) == len(self.item)


def ballots_of(corpus: Corpus) -> Ballots:
    """The votes of all comparisons that are not there to be compared with."""
    votes, comparisons = corpus.votes, corpus.comparisons
    kept_V = ~corpus.groups.against[comparisons.group[votes.comparison]]
    row_V, preferred_V, first_V = votes.comparison[kept_V], votes.preferred[kept_V], votes.first[kept_V]
    comparison, item_V = np.unique(row_V, return_inverse=True)
    people, annotator_V = np.unique(votes.annotator[kept_V], return_inverse=True)
    one_V = _one(corpus, comparison)[item_V]
    choice_V = np.where(preferred_V < 0, TIE, np.where(preferred_V == one_V, ONE, OTHER))
    return Ballots(
        comparison=comparison,
        item=item_V,
        annotator=annotator_V,
        choice=choice_V,
        first=np.where(first_V < 0, -1, np.where(first_V == one_V, ONE, OTHER)),
        seconds=votes.seconds[kept_V].astype(np.float64),
        counts=vote_counts(item_V, choice_V, len(comparison), 3),
        names=tuple(corpus.annotators[person] for person in people),
    )


def _one(corpus: Corpus, comparison: Ints) -> NDArray[np.int64]:
    """[I], the row of the response that is called *one*."""
    winner, loser = corpus.comparisons.winner[comparison], corpus.comparisons.loser[comparison]
    key = corpus.responses.key
    smaller = np.where(key[winner] < key[loser], winner, loser)
    # equal texts have equal keys, and their row is then as good a hash as any
    return np.where(key[winner] == key[loser], np.minimum(winner, loser), smaller)
