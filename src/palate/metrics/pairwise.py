"""How often a reward model is right, and how sure one can be of that.

Everything is computed over examples, from arrays that hold all of them: a mean of batch means would weight
the last, small batch as a full one. Three decisions run through the module.

- Two equal rewards count half. A model that gives every response the same reward then scores exactly 0.5, and
  not 0 or 1 depending on the direction of a comparison sign.
- A pair whose label is a tie has no right answer, so it is left out of accuracy and margins and counted in
  `label_ties`. It does have a loss (the best prediction is 1/2), so it stays in the mean loss.
- Pairs that share a prompt are not independent; see `palate.metrics.intervals`.

Shape legend: C comparisons, A those with a right answer, B those of a length bucket.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.metrics.intervals import (
    Floats,
    IntervalMethod,
    Ints,
    Names,
    accuracy_interval,
    cluster_codes,
    wilson_interval,
)

Scalar = TypeVar("Scalar", bound=np.generic)
Bools = NDArray[np.bool_]

BUCKET_TOKENS = 100


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of `num_pairs` ranked as labelled, `num_label_ties` without an answer left out."""

    accuracy: float
    num_pairs: int
    num_reward_ties: int
    num_label_ties: int


@dataclass(frozen=True, slots=True)
class LengthBucket:
    """Accuracy over the `pairs` whose longer sequence, prompt included, has low <= tokens < high."""

    low: int
    high: int
    pairs: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    interval: IntervalMethod


@dataclass(frozen=True, slots=True)
class PairwiseReport:
    """A reward model on held-out pairs. All intervals are 95 % intervals.

    Attributes:
        accuracy: share of `pairs` ranked as labelled; an equal reward counts half.
        accuracy_low, accuracy_high: its interval.
        interval: how that was found, see `accuracy_interval`; likewise for the buckets.
        wilson_low, wilson_high: the interval that takes all pairs for independent.
        margin, margin_median: mean and median of r_w - r_l over `pairs`, in reward units.
        loss: mean Bradley-Terry loss over `pairs` and `label_ties`, in nats, without margin or smoothing.
        ties, label_ties: those of `pairs` with equal rewards; pairs whose label is a tie, not among `pairs`.
        pairs, groups: pairs with a right answer; prompts that they come from.
        by_length: the buckets of 100 tokens that hold any of `pairs`, shortest first.
    """

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    interval: IntervalMethod
    wilson_low: float
    wilson_high: float
    margin: float
    margin_median: float
    loss: float
    ties: int
    label_ties: int
    pairs: int
    groups: int
    by_length: tuple[LengthBucket, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain Python for `json.dumps`: dicts, lists, numbers and strings."""
        return asdict(self) | {"by_length": [asdict(bucket) for bucket in self.by_length]}


def pairwise_accuracy(
    reward_winner: ArrayLike, reward_loser: ArrayLike, *, is_tie: ArrayLike | None = None
) -> Accuracy:
    """Share of pairs whose labelled winner has the higher reward; all are [C], `is_tie` marks label ties.

    Raises:
        ValueError: shapes differ, a reward is not finite, or no pair has a right answer.

    >>> pairwise_accuracy([1.0, 2.0, 0.0, 5.0], [0.0, 2.0, 1.0, 1.0], is_tie=[False, False, False, True])
    Accuracy(accuracy=0.5, num_pairs=3, num_reward_ties=1, num_label_ties=1)
    """
    margin_C = _margins(reward_winner, reward_loser)
    is_tie_C = _column([False] * len(margin_C) if is_tie is None else is_tie, "is_tie", margin_C, np.bool_)
    if is_tie_C.all():
        raise ValueError(f"all {len(is_tie_C)} pairs are label ties: none has a right answer")
    correct_A = _correct(margin_C[~is_tie_C])
    num_ties = int(np.count_nonzero(correct_A == 0.5))
    return Accuracy(float(correct_A.mean()), len(correct_A), num_ties, int(is_tie_C.sum()))


def evaluate_pairs(
    reward_winner: ArrayLike,
    reward_loser: ArrayLike,
    *,
    probability: ArrayLike | None = None,
    length_winner: ArrayLike,
    length_loser: ArrayLike,
    cluster: Names,
) -> PairwiseReport:
    """Accuracy with intervals, margins, loss, and accuracy by length; all arguments are [C].

    `probability` is the share who prefer the winner, in [0.5, 1]: 0.5 is a label tie, None stands for 1.
    Lengths are tokens of the whole sequence, prompt included. `cluster` is what dependent pairs have in
    common, the hash of the prompt.

    Raises:
        ValueError: no pairs, or none with a right answer; unequal shapes; values that are not finite or that
            lie out of range.
    """
    margin_C = _margins(reward_winner, reward_loser)
    label = np.ones(len(margin_C)) if probability is None else probability
    label_C = _column(label, "probability", margin_C, np.float64)
    _refuse(~((label_C >= 0.5) & (label_C <= 1)), "probabilities lie outside [0.5, 1]")
    length_winner_C = _column(length_winner, "length_winner", margin_C, np.int64)
    length_loser_C = _column(length_loser, "length_loser", margin_C, np.int64)
    loss_C = label_C * np.logaddexp(0, -margin_C) + (1 - label_C) * np.logaddexp(0, margin_C)

    accuracy = pairwise_accuracy(reward_winner, reward_loser, is_tie=label_C == 0.5)
    kept_C = label_C != 0.5
    margin_A, cluster_A = margin_C[kept_C], cluster_codes(cluster, len(margin_C))[kept_C]
    correct_A = _correct(margin_A)
    interval = accuracy_interval(correct_A, cluster_A)
    wilson = wilson_interval(float(correct_A.sum()), len(correct_A))
    tokens_A = np.maximum(length_winner_C, length_loser_C)[kept_C]
    return PairwiseReport(
        accuracy=accuracy.accuracy,
        accuracy_low=interval.low,
        accuracy_high=interval.high,
        interval=interval.method,
        wilson_low=wilson.low,
        wilson_high=wilson.high,
        margin=float(margin_A.mean()),
        margin_median=float(np.median(margin_A)),
        loss=float(loss_C.mean()),
        ties=accuracy.num_reward_ties,
        label_ties=accuracy.num_label_ties,
        pairs=accuracy.num_pairs,
        groups=len(np.unique(cluster_A)),
        by_length=tuple(_by_length(correct_A, cluster_A, tokens_A)),
    )


def _by_length(correct_A: Floats, cluster_A: Ints, tokens_A: Ints) -> Iterator[LengthBucket]:
    bucket_A = tokens_A // BUCKET_TOKENS
    for bucket in np.unique(bucket_A).tolist():
        correct_B = correct_A[bucket_A == bucket]
        found = accuracy_interval(correct_B, cluster_A[bucket_A == bucket])
        low, high, accuracy = bucket * BUCKET_TOKENS, (bucket + 1) * BUCKET_TOKENS, float(correct_B.mean())
        yield LengthBucket(low, high, len(correct_B), accuracy, found.low, found.high, found.method)


def _correct(margin_C: Floats) -> Floats:
    return (np.sign(margin_C) + 1) / 2


def _margins(winner: ArrayLike, loser: ArrayLike) -> Floats:
    winner_C = np.asarray(winner, dtype=np.float64)
    if winner_C.size == 0:
        raise ValueError("there are no pairs to evaluate: zero comparisons were given")
    loser_C = _column(loser, "reward_loser", winner_C, np.float64)
    _refuse(~(np.isfinite(winner_C) & np.isfinite(loser_C)), "pairs have a reward that is not finite")
    return winner_C - loser_C


def _column(values: ArrayLike, name: str, like_C: Floats, dtype: type[Scalar]) -> NDArray[Scalar]:
    # same_kind: a length of 1.5 or an is_tie of 0.5 is an error, and not 1 or True.
    column_C = np.asarray(values).astype(dtype, casting="same_kind")
    if column_C.ndim != 1 or column_C.shape != like_C.shape:
        raise ValueError(f"{name} has shape {column_C.shape}, winners' rewards {like_C.shape}: both need [C]")
    return column_C


def _refuse(bad_C: Bools, what: str) -> None:
    rows = np.flatnonzero(bad_C).tolist()
    if rows:
        named = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise ValueError(f"{len(rows)} of {bad_C.size} {what}: at {named}")
