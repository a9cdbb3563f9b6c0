import math

import numpy as np
import pytest

from palate.metrics.by_length import MATCHED, accuracy_by_length
from palate.metrics.intervals import wilson_interval


def pairs(rng: np.random.Generator, prompts: int) -> tuple[np.ndarray, ...]:
    """Margins that follow length, lengths, and prompts of 1 to 4 pairs that are as hard as each other."""
    cluster = np.repeat(np.arange(prompts), rng.integers(1, 5, prompts))
    winner, loser = np.exp(rng.normal(4.2, 0.6, len(cluster))), np.exp(rng.normal(4.0, 0.6, len(cluster)))
    margin = 0.5 + rng.normal(0, 0.7, prompts)[cluster] + np.log(winner / loser) + rng.normal(0, 0.7, len(cluster))
    return margin, winner, loser, cluster


def test_accuracies_agree_with_a_loop() -> None:
    rng = np.random.default_rng(0)
    margin, winner, loser, cluster = pairs(rng, 100)
    margin[:7] = 0
    found = accuracy_by_length(margin, winner, loser, cluster)
    points: dict[str, list[float]] = {"longer": [], "shorter": [], "matched": []}
    for m, w, r in zip(margin, winner, loser, strict=True):
        side = "matched" if abs(w - r) <= MATCHED * max(w, r) else "longer" if w > r else "shorter"
        points[side].append(1.0 if m > 0 else 0.5 if m == 0 else 0.0)
    means = {side: np.mean(values) for side, values in points.items()}
    assert found.pairs == tuple(map(len, points.values()))
    for side, mean in means.items():
        one = getattr(found, side)
        assert one.value == pytest.approx(mean)
        assert one.low < mean < one.high
    assert found.balanced.value == pytest.approx((means["longer"] + means["shorter"]) / 2)
    assert found.gap.value == pytest.approx(means["longer"] - means["shorter"])
    assert found.gap.low > 0


def test_the_intervals_agree_with_resampling_prompts_in_a_loop() -> None:
    rng = np.random.default_rng(1)
    margin, winner, loser, cluster = pairs(rng, 80)
    rows = [np.flatnonzero(cluster == name) for name in range(80)]
    gaps, balanced = [], []
    for _ in range(3000):
        chosen = np.concatenate([rows[i] for i in rng.integers(0, 80, 80)])
        ratio = winner[chosen] / loser[chosen]
        one = (margin[chosen] > 0)[ratio * (1 - MATCHED) > 1].mean()
        other = (margin[chosen] > 0)[ratio < 1 - MATCHED].mean()
        gaps.append(one - other)
        balanced.append((one + other) / 2)
    found = accuracy_by_length(margin, winner, loser, cluster)
    for estimate, drawn in ((found.gap, gaps), (found.balanced, balanced)):
        width = estimate.high - estimate.low
        expected = tuple(np.quantile(drawn, [0.025, 0.975]))
        assert (estimate.low, estimate.high) == pytest.approx(expected, abs=0.06 * width)


def test_a_model_that_follows_length_alone_shows_a_gap_of_one() -> None:
    _, winner, loser, cluster = pairs(np.random.default_rng(2), 200)
    found = accuracy_by_length(winner - loser, winner, loser, cluster)
    assert (found.longer.value, found.shorter.value, found.balanced.value, found.gap.value) == (1, 0, 0.5, 1)
    # always right, always wrong: the ends are not 1 to 1 but those of the two shares together
    long, short = found.pairs[:2]
    below = 1 - wilson_interval(long, long).low
    above = wilson_interval(0, short).high
    assert found.gap.high == 1
    assert found.gap.low == pytest.approx(1 - math.hypot(below, above))
    assert found.balanced.low == pytest.approx(0.5 - below / 2)
    assert found.balanced.high == pytest.approx(0.5 + above / 2)


def test_length_does_not_count_where_it_does_not_differ_by_much() -> None:
    found = accuracy_by_length([1, 1, -1, -1], [100, 90, 100, 5], [91, 100, 89.9, 5], "abcd")
    assert found.pairs == (1, 0, 3)
    assert found.longer.value == 0
    assert found.matched.value == pytest.approx(2 / 3)
    assert (found.shorter, found.balanced, found.gap) == (None, None, None)
    empty = accuracy_by_length([1.0], [0], [0], "a")
    assert empty.pairs == (0, 0, 1)


def test_pairs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 pairs have a negative length: at 0"):
        accuracy_by_length([1, 1], [-1, 5], [5, 5], "ab")
    with pytest.raises(ValueError, match="loser has 1 values where 2"):
        accuracy_by_length([1, 1], [1, 5], [5], "ab")


@pytest.mark.slow
def test_intervals_cover_the_truth_with_shared_prompts() -> None:
    # 500 repetitions: a coverage of 95 % is seen as 93 to 97 % (two standard errors).
    rng = np.random.default_rng(3)
    names = ("longer", "shorter", "matched", "balanced", "gap")
    truth = accuracy_by_length(*pairs(rng, 100_000))
    covered = dict.fromkeys(names, 0)
    for _ in range(500):
        found = accuracy_by_length(*pairs(rng, 150))
        for name in names:
            one = getattr(found, name)
            covered[name] += one.low <= getattr(truth, name).value <= one.high
    assert all(0.93 <= count / 500 <= 0.97 for count in covered.values())
