"""Held-out votes that took a side between two responses with rewards.

Shape legend: V such votes.
"""

from dataclasses import dataclass

import numpy as np

from palate.auditing.scorer import Floats, Scored
from palate.health.tables import Ints, Keys


@dataclass(frozen=True, slots=True)
class SidedVotes:
    """Columns [V].

    Attributes:
        comparison: row of the comparison in the corpus.
        prompt: equal for votes on the same prompt.
        annotator: index into `names`.
        preferred, other: rows of responses: what the vote was for, and against.
        agrees: 1 where the reward ranks as the vote does, 0 where it does not, 0.5 for equal rewards.
        names: of the annotators who cast them.
        left_out: votes for a tie, or on responses without a reward.
    """

    comparison: Ints
    prompt: Keys
    annotator: Ints
    preferred: Ints
    other: Ints
    agrees: Floats
    names: tuple[str, ...]
    left_out: int

    @property
    def anonymous(self) -> bool:
        """Whether nobody voted twice: the names then number votes, not people."""
        return len(self.names) == len(self.annotator)


def sided_votes(scored: Scored) -> SidedVotes:
    """Those of the held-out data."""
    votes, labels = scored.corpus.votes, scored.corpus.comparisons
    winner, loser = labels.winner[votes.comparison], labels.loser[votes.comparison]
    other = np.where(votes.preferred == winner, loser, winner)
    margin = scored.reward_R[votes.preferred] - scored.reward_R[other]
    kept = (votes.preferred >= 0) & np.isfinite(margin)
    people, annotator = np.unique(votes.annotator[kept], return_inverse=True)
    comparison = votes.comparison[kept]
    return SidedVotes(
        comparison=comparison,
        prompt=scored.corpus.groups.prompt_key[labels.group[comparison]],
        annotator=annotator.astype(np.int64),
        preferred=votes.preferred[kept],
        other=other[kept],
        agrees=(np.sign(margin[kept]) + 1) / 2,
        names=tuple(scored.corpus.annotators[person] for person in people),
        left_out=int((~kept).sum()),
    )
