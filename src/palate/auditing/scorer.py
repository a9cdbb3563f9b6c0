"""Whatever gives rewards: a checkpoint in this process, a foreign one, a server; and what was scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.records import PreferenceGroup

Floats = NDArray[np.float64]


class Scorer(Protocol):
    """Something that rewards responses. Scores of one call may be computed in any batches."""

    @property
    def name(self) -> str:
        """Directory, id or address, for people."""

    def score(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
        """Rewards [K] of each group's responses, in order.

        NaN stands for what was not scored, such as over-long text; a reward that came out as not-a-number is infinity.

        Raises:
            PalateError: the model or server cannot be used at all.
        """


@dataclass(frozen=True, slots=True)
class Scored:
    """Held-out data with the rewards of one model.

    Attributes:
        corpus: the data as columns, see `palate.health.corpus`.
        reward_R: of each response, NaN where it could not be scored.
    """

    corpus: Corpus
    reward_R: Floats

    @property
    def margin_C(self) -> Floats:
        """Reward of the winner minus that of the loser; NaN where either has none."""
        margin: Floats = self.reward_R[self.corpus.comparisons.winner] - self.reward_R[self.corpus.comparisons.loser]
        return margin

    @property
    def usable_C(self) -> NDArray[np.bool_]:
        """Comparisons whose label has a right answer and whose responses both have a reward."""
        usable: NDArray[np.bool_] = self.corpus.comparisons.decided & np.isfinite(self.margin_C)
        return usable
