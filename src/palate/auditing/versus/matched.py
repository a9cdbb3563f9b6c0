"""Two reward models on the same pairs.

Shape legend: R responses, C comparisons.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.auditing.ranking import margin_scale
from palate.auditing.scorer import Floats, Scored
from palate.health.corpus import Corpus

SIDES = ("incumbent", "candidate")
"""In the order of every table."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Rewards of two models for the responses that have one from both.

    Rewards of different models have different units, so none is ever subtracted from one of the other: a margin is
    divided by its model's median absolute margin first.

    Attributes:
        incumbent: the model that is in use; its reward is NaN also where only the candidate has none.
        candidate: the model that would replace it, likewise.
        decided: labelled pairs.
        only_incumbent, only_candidate, neither: those of them that have rewards from one model alone, or from none.
    """

    incumbent: Scored
    candidate: Scored
    decided: int
    only_incumbent: int
    only_candidate: int
    neither: int

    @property
    def corpus(self) -> Corpus:
        """The data of both."""
        return self.incumbent.corpus

    @property
    def sides(self) -> tuple[Scored, Scored]:
        """Incumbent and candidate."""
        return self.incumbent, self.candidate

    @property
    def usable_C(self) -> NDArray[np.bool_]:
        """Labelled pairs with rewards from both."""
        return self.incumbent.usable_C

    @property
    def prompt_C(self) -> NDArray[np.uint64]:
        """What dependent pairs have in common."""
        return self.corpus.groups.prompt_key[self.corpus.comparisons.group]

    @property
    def scales(self) -> tuple[float, float]:
        """Median absolute margin of each model over the usable pairs, its unit of a clear difference."""
        return margin_scale(self.incumbent), margin_scale(self.candidate)

    @property
    def has_scales(self) -> bool:
        """Whether both are numbers to divide by; a model that gives most pairs equal rewards has none."""
        return all(scale > 0 for scale in self.scales)

    def standardised(self, member_C: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Margins of both over some pairs, each in units of its model's scale."""
        incumbent, candidate = (
            side.margin_C[member_C] / scale for side, scale in zip(self.sides, self.scales, strict=True)
        )
        return incumbent, candidate


def match(corpus: Corpus, incumbent_R: Floats, candidate_R: Floats) -> Matched:
    """Both models on what both gave a finite reward.

    Args:
        corpus: the held-out data.
        incumbent_R: [R], rewards of one model, NaN or infinite where there is none.
        candidate_R: [R], those of the other.
    """
    both_R = np.isfinite(incumbent_R) & np.isfinite(candidate_R)
    labels = corpus.comparisons
    scored = [
        np.isfinite(reward_R)[labels.winner] & np.isfinite(reward_R)[labels.loser]
        for reward_R in (incumbent_R, candidate_R)
    ]
    incumbent_C, candidate_C = (labels.decided & side_C for side_C in scored)
    return Matched(
        Scored(corpus, np.where(both_R, incumbent_R, np.nan)),
        Scored(corpus, np.where(both_R, candidate_R, np.nan)),
        decided=int(labels.decided.sum()),
        only_incumbent=int((incumbent_C & ~candidate_C).sum()),
        only_candidate=int((candidate_C & ~incumbent_C).sum()),
        neither=int((labels.decided & ~incumbent_C & ~candidate_C).sum()),
    )
