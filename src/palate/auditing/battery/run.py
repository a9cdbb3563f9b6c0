"""The battery put to a reward model: by how much each pair is won.

Shape legend: P pairs.
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from palate.auditing.battery.load import BatteryPair, adversarial, battery, quick
from palate.auditing.scorer import Floats, Scorer
from palate.metrics import Interval, wilson_interval
from palate.report.findings import Fact

WANTED = 1.0
"""The margin, in the model's own units, that a working reward model gives a trivial pair: odds of 2.7 to 1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Pairs and their margins.

    Attributes:
        pairs: P of them, families one after the other.
        margin_P: reward of the chosen response minus that of the rejected one; not finite where the model gave either
            of them no finite reward.
    """

    pairs: tuple[BatteryPair, ...]
    margin_P: Floats

    @property
    def scored_P(self) -> NDArray[np.bool_]:
        """Pairs that have a margin; the shares below are of these."""
        return np.isfinite(self.margin_P)

    @property
    def scored(self) -> int:
        """How many pairs have a margin."""
        return int(self.scored_P.sum())

    @property
    def accuracy(self) -> float | None:
        """Share won, equal rewards counting half: 0.5 for a constant model. None where nothing is scored."""
        return (np.sign(self._margins()).mean().item() + 1) / 2 if self.scored else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's 95 % interval of the accuracy; no two pairs have the same prompt."""
        return wilson_interval((self.accuracy or 0.0) * self.scored, self.scored) if self.scored else None

    @property
    def median(self) -> float | None:
        """Median margin."""
        return float(np.median(self._margins())) if self.scored else None

    def reaching(self, margin: float) -> float | None:
        """Share with at least this margin."""
        return float((self._margins() >= margin).mean()) if self.scored else None

    def lost(self) -> tuple[tuple[BatteryPair, float], ...]:
        """Pairs that are not won, ties included, with their margins: the worst first."""
        rows = [row for row in np.flatnonzero(self.scored_P) if self.margin_P[row] <= 0]
        rows.sort(key=lambda row: float(self.margin_P[row]))
        return tuple((self.pairs[row], float(self.margin_P[row])) for row in rows)

    def families(self) -> dict[str, "Outcome"]:
        """The same by family."""
        runs = groupby(range(len(self.pairs)), key=lambda row: self.pairs[row].family)
        return {family: self.take(np.array(list(rows))) for family, rows in runs}

    def take(self, rows: NDArray[np.generic]) -> "Outcome":
        """Some of the pairs: row numbers, or a mask [P]."""
        kept = np.arange(len(self.pairs))[rows]
        return Outcome(tuple(self.pairs[row] for row in kept), self.margin_P[kept])

    def by_length(self) -> tuple["Outcome", "Outcome"]:
        """Pairs whose chosen response is the longer one, and those whose chosen response is the shorter one."""
        longer_P = np.array([pair.longer for pair in self.pairs])
        return self.take(longer_P > 0), self.take(longer_P < 0)

    def _margins(self) -> Floats:
        return self.margin_P[self.scored_P]


@dataclass(frozen=True, slots=True)
class BatteryResult:
    """What a model made of the battery.

    Attributes:
        model: its name.
        trivial: the battery.
        adversarial: fluent with a flaw against clumsy and right.
        quick: whether these are only the pairs of `palate.auditing.battery.quick`.
    """

    model: str
    trivial: Outcome
    adversarial: Outcome
    quick: bool = False


def run_battery(scorer: Scorer, *, only_quick: bool = False) -> BatteryResult:
    """Score all pairs in one call.

    Args:
        scorer: the model.
        only_quick: two fifths of the work, for the checkpoints of a run; see `palate.auditing.battery.quick`.

    Raises:
        PalateError: the model cannot be used.
    """
    trivial, flawed = battery(), adversarial()
    if only_quick:
        trivial, flawed = quick(trivial), quick(flawed)
    pairs = (*trivial, *flawed)
    rewards = scorer.score([pair.to_group() for pair in pairs])
    with np.errstate(invalid="ignore"):  # infinity minus itself
        margin_P = np.array([chosen - rejected for chosen, rejected in rewards], dtype=np.float64)
    first = len(trivial)
    return BatteryResult(scorer.name, Outcome(trivial, margin_P[:first]), Outcome(flawed, margin_P[first:]), only_quick)


def battery_summary(result: BatteryResult) -> dict[str, Fact]:
    """A few figures for a training log; `None` where nothing could be scored."""
    return {
        "accuracy": result.trivial.accuracy,
        "reaches_1": result.trivial.reaching(WANTED),
        "adversarial_accuracy": result.adversarial.accuracy,
        "pairs": len(result.trivial.pairs) + len(result.adversarial.pairs),
        "unscored": sum(len(part.pairs) - part.scored for part in (result.trivial, result.adversarial)),
        "by_family": {family: own.accuracy for family, own in result.trivial.families().items()},
    }
