import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau
from sklearn.metrics import ndcg_score

from palate.metrics.intervals import wilson_interval
from palate.metrics.rankings import best_found, kendall_tau, ndcg, ranking_quality

quick = settings(max_examples=80, deadline=None, derandomize=True)
# few distinct values, so that ties come up often on both sides
response = st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 3.0]), st.sampled_from([0.0, 1.0, 2.0]))
groups = st.lists(st.lists(response, min_size=1, max_size=6), min_size=1, max_size=6)


def flat(found: list[list[tuple[float, float]]], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Columns of all responses, groups mixed but for the first response of each, which keeps their order."""
    rows = [(*one, name) for name, group in enumerate(found) for one in group]
    heads = [i for i, row in enumerate(rows) if i == 0 or rows[i - 1][2] != row[2]]
    rest = rng.permutation([i for i in range(len(rows)) if i not in heads]).astype(int).tolist()
    reward, gold, name = (np.array(column) for column in zip(*(rows[i] for i in heads + rest), strict=True))
    return reward, gold, name


@quick
@given(groups)
def test_figures_of_each_group_agree_with_sklearn_scipy_and_a_count(found: list[list[tuple[float, float]]]) -> None:
    columns = flat(found, np.random.default_rng(0))
    for number, group in enumerate(found):
        reward, gold = (np.array(column) for column in zip(*group, strict=True))
        top = [g == gold.max() for r, g in group if r == reward.max()]
        assert best_found(*columns)[number] == pytest.approx(sum(top) / len(top))
        tau, gain = kendall_tau(*columns)[number], ndcg(*columns)[number]
        if len(set(gold)) == 1:
            assert math.isnan(tau)
        elif len(set(reward)) == 1:
            assert tau == 0
        else:
            assert tau == pytest.approx(kendalltau(reward, gold).statistic)
        if not gold.any():
            assert math.isnan(gain)
        elif len(group) > 1:
            assert gain == pytest.approx(ndcg_score(gold[None], reward[None]))
        else:
            assert gain == 1


def test_rewards_that_are_equal_in_two_groups_are_no_tie() -> None:
    assert ndcg([5.0, 1.0, 1.0, 0.0], [1, 0, 0, 1], "aabb").tolist() == pytest.approx([1, 1 / math.log2(3)])


def test_groups_are_counted_once_each_and_those_without_a_question_left_out() -> None:
    reward = [3, 2, 1, 5, 4, 1, 1, 9]
    gold = [2, 1, 0, 0, 1, 7, 7, 1]
    found = ranking_quality(reward, gold, ["a", "a", "a", "b", "b", "tie", "tie", "alone"])
    assert (found.groups, found.left_out) == (2, 2)
    assert found.best.value == 0.5
    assert found.kendall.value == 0.0
    assert found.ndcg.value == pytest.approx((1 + 1 / math.log2(3)) / 2)
    assert found.chance == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_a_constant_model_is_at_chance() -> None:
    rng = np.random.default_rng(1)
    gold, group = rng.integers(0, 3, 400), np.repeat(np.arange(100), 4)
    found = ranking_quality(np.zeros(400), gold, group)
    assert found.best.value == pytest.approx(found.chance)
    assert found.kendall.value == 0
    random = ranking_quality(rng.normal(size=400), gold, group)
    assert found.ndcg.value == pytest.approx(random.ndcg.value, abs=0.05)


def test_a_perfect_model_has_an_interval_all_the_same() -> None:
    gold, group = np.tile([0, 1, 2], 20), np.repeat(np.arange(20), 3)
    found = ranking_quality(gold * 2.0, gold, group)
    wilson = wilson_interval(20, 20)
    assert (found.best.value, found.ndcg.value, found.kendall.value) == (1, 1, 1)
    assert (found.best.low, found.best.high) == (wilson.low, wilson.high)
    assert (found.kendall.low, found.kendall.high) == (2 * wilson.low - 1, 1.0)
    worst = ranking_quality(-gold, gold, group)
    assert (worst.kendall.value, worst.kendall.low) == (-1, -1)
    assert worst.kendall.high == pytest.approx(1 - 2 * wilson.low)


def test_many_groups_of_many_sizes_are_done_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    group = rng.permutation(np.repeat(np.arange(60), rng.integers(2, 9, 60)))
    reward, gold = rng.normal(size=len(group)).round(1), rng.integers(0, 4, len(group)).astype(float)
    whole = kendall_tau(reward, gold, group)
    monkeypatch.setattr("palate.metrics.rankings._BLOCK", 7)
    np.testing.assert_array_equal(kendall_tau(reward, gold, group), whole)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="the same in each of 2 groups"):
        ranking_quality([1, 2, 3], [1, 1, 5], "aab")
    with pytest.raises(ValueError, match=r"1 of 2 values of gold are negative: at 0"):
        ndcg([1, 2], [-1, 1], "aa")
    with pytest.raises(ValueError, match="reward are not finite"):
        best_found([math.nan, 2], [1, 1], "aa")
    with pytest.raises(ValueError, match="gold has 1 values where 2"):
        kendall_tau([1, 2], [1], "aa")


@pytest.mark.slow
def test_intervals_cover_the_truth() -> None:
    # 600 repetitions: a coverage of 95 % is seen as 93.2 to 96.8 % (two standard errors).
    rng = np.random.default_rng(3)

    def draw(count: int) -> tuple[np.ndarray, ...]:
        gold = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
        reward = rng.exponential(1, (count, 1)) * gold + rng.normal(0, 1, gold.shape)
        return reward.ravel(), gold.ravel(), np.repeat(np.arange(count), 4)

    figures = {"best": best_found, "ndcg": ndcg, "kendall": kendall_tau}
    truth = {name: figure(*draw(60_000)).mean() for name, figure in figures.items()}
    covered = dict.fromkeys(truth, 0)
    for _ in range(600):
        found = ranking_quality(*draw(100))
        for name in covered:
            one = getattr(found, name)
            covered[name] += one.low <= truth[name] <= one.high
    assert all(0.93 <= count / 600 <= 0.97 for count in covered.values())
