import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from palate.metrics.intervals import Estimate
from palate.metrics.style import L2, bradley_terry_weights, style_control, style_differences


def pairs(rng: np.random.Generator, prompts: int, weights: tuple[float, ...] = (0.6, 0.0, 0.3)) -> tuple:
    """Margins that weigh three marks of style, counts of them, and prompts of 1 to 3 pairs.

    Labels come from a quality that margins know and from the first mark; the chosen response is named first.
    """
    cluster = np.repeat(np.arange(prompts), rng.integers(1, 4, prompts))
    first, second = rng.poisson([60, 3, 1], (2, len(cluster), 3)).astype(float)
    style = style_differences(first, second)
    quality = rng.normal(0, 1, prompts)[cluster] + rng.normal(0, 0.5, len(cluster))
    margin = quality + style @ np.array(weights) + rng.normal(0, 0.5, len(cluster))
    chosen = rng.random(len(cluster)) < 1 / (1 + np.exp(-(quality + 0.3 * style[:, 0])))
    winner, loser = np.where(chosen[:, None], first, second), np.where(chosen[:, None], second, first)
    return np.where(chosen, margin, -margin), winner, loser, ("length", "lists", "bold"), cluster


def both_orders(columns: np.ndarray) -> np.ndarray:
    return np.concatenate([columns, -columns])


def test_differences_are_standardised_over_both_orders() -> None:
    _, winner, loser, _, _ = pairs(np.random.default_rng(0), 40)
    ratio = both_orders((winner - loser) / (winner + loser + 1))
    expected = (ratio - ratio.mean(axis=0)) / ratio.std(axis=0)
    np.testing.assert_allclose(both_orders(style_differences(winner, loser)), expected, atol=1e-12)


def test_weights_are_those_of_sklearns_penalised_regression() -> None:
    margin, winner, loser, names, cluster = pairs(np.random.default_rng(1), 150)
    found = style_control(margin, winner, loser, names, cluster)
    style = style_differences(winner, loser)
    usual = margin / np.sqrt((margin**2).mean())

    def peer(features: np.ndarray, wins: np.ndarray) -> np.ndarray:
        # each pair from one side, every other one turned round: sklearn wants two classes
        turned = np.arange(len(features)) % 2 == 1
        fit = LogisticRegression(C=1 / L2, fit_intercept=False, tol=1e-10, max_iter=1000)
        return fit.fit(np.where(turned[:, None], -features, features), wins ^ turned).coef_[0]

    every = np.ones(len(margin), dtype=bool)
    weights = found.weights
    assert [one.name for one in weights] == ["length", "lists", "bold"]
    assert [one.in_labels.value for one in weights] == pytest.approx(peer(style, every).tolist(), abs=1e-4)
    assert [one.in_rewards.value for one in weights] == pytest.approx(peer(style, margin > 0).tolist(), abs=1e-4)
    both = peer(np.column_stack([style, usual]), every)
    assert [one.beyond_rewards.value for one in weights] == pytest.approx(both[:3].tolist(), abs=1e-4)
    assert found.margin_controlled.value == pytest.approx(both[3], abs=1e-4)
    assert found.margin_alone.value == pytest.approx(peer(usual[:, None], every)[0], abs=1e-4)


def test_soft_labels_and_equal_rewards_are_shares_of_both_outcomes() -> None:
    features = np.random.default_rng(2).normal(size=(60, 2))
    share = np.tile([1.0, 0.75, 0.5], 20)
    found = bradley_terry_weights(features, share, range(60))
    times = (4 * share).astype(int)
    rows = np.repeat(np.arange(60), 4)
    wins = np.concatenate([np.arange(4) < n for n in times])
    # four votes a pair at a quarter of the weight each
    peer = LogisticRegression(C=1 / L2, fit_intercept=False, tol=1e-10).fit(features[rows], wins, np.full(240, 0.25))
    assert [one.value for one in found] == pytest.approx(peer.coef_[0].tolist(), abs=1e-4)


def test_explained_is_r2_of_both_orders_without_what_noise_explains() -> None:
    rng = np.random.default_rng(3)
    margin, winner, loser, names, cluster = pairs(rng, 5000)
    style = both_orders(style_differences(winner, loser))
    r2 = LinearRegression().fit(style, both_orders(margin)).score(style, both_orders(margin))
    found = style_control(margin, winner, loser, names, cluster).explained
    assert found.value == pytest.approx(r2, abs=2e-3)
    assert found.low < found.value < found.high
    # of nothing, ten marks explain 7 % on 150 pairs
    none, counts = [], rng.poisson(5, (2, 150, 10))
    for _ in range(20):
        one = style_control(rng.normal(size=150), *counts, [str(i) for i in range(10)], range(150)).explained
        assert one.low == 0
        none.append(one.value)
    assert np.mean(none) < 0.03


def test_style_in_the_model_is_told_from_style_in_the_labels() -> None:
    found = style_control(*pairs(np.random.default_rng(4), 1500, (1.5, 0.0, 0.8)))
    length, lists, bold = found.weights
    # people like length a little, the model much; the model alone likes bold; nobody cares for lists
    assert 0 < length.in_labels.low < length.in_labels.high < length.in_rewards.low
    assert bold.in_labels.low < 0 < bold.in_labels.high
    assert bold.in_rewards.low > 0.3
    assert lists.in_labels.low < 0 < lists.in_labels.high
    assert lists.in_rewards.low < 0 < lists.in_rewards.high
    # next to a margin that overdoes bold, bold speaks against
    assert bold.beyond_rewards.high < 0
    assert found.margin_controlled.low > found.margin_alone.high
    assert found.explained.low > 0.3


def test_a_model_of_style_alone_says_nothing_once_style_is_known() -> None:
    rng = np.random.default_rng(5)
    _, winner, loser, names, cluster = pairs(rng, 600)
    margin = 2 * style_differences(winner, loser)[:, 0]
    found = style_control(margin, winner, loser, names, cluster)
    assert found.explained.value == pytest.approx(1)
    assert found.margin_alone.low > 0
    assert found.margin_controlled.value < 0.7 * found.margin_alone.value


def test_a_mark_that_never_differs_has_no_weight_and_no_interval() -> None:
    margin, winner, loser, names, cluster = pairs(np.random.default_rng(6), 50)
    winner[:, 1] = loser[:, 1] = 3
    found = style_control(margin, winner, loser, names, cluster)
    lists = found.weights[1].in_labels
    assert lists.value == 0
    assert math.isnan(lists.low)
    assert found.explained.low < found.explained.high
    constant = style_control(np.zeros(len(margin)), winner, loser, names, cluster)
    assert math.isnan(constant.explained.value)
    assert math.isnan(constant.margin_alone.low)
    assert constant.weights[0].in_rewards.value == pytest.approx(0, abs=1e-6)


def test_separated_pairs_have_finite_weights_and_a_single_prompt_no_interval() -> None:
    features = np.array([[1.0], [2.0], [0.5]])
    found = bradley_terry_weights(features, np.ones(3), "abc")[0]
    assert 0 < found.value < 5
    single = bradley_terry_weights(features, np.ones(3), "aaa")[0]
    assert single.value == found.value
    assert math.isnan(single.low)


def test_shapes_and_counts_are_checked() -> None:
    margin, winner, loser, names, cluster = pairs(np.random.default_rng(7), 10)
    with pytest.raises(ValueError, match="2 names"):
        style_control(margin, winner, loser, names[:2], cluster)
    with pytest.raises(ValueError, match=r"both need the same \[C, F\]"):
        style_differences(winner, loser[:, :2])
    winner[3, 1] = -1
    with pytest.raises(ValueError, match=r"1 of \d+ pairs have a count of style that is negative or not finite: at 3"):
        style_control(margin, winner, loser, names, cluster)


@pytest.mark.slow
def test_intervals_of_weights_cover_the_truth_with_shared_prompts() -> None:
    # 1,500 repetitions: a coverage of 95 % is seen as 93.9 to 96.1 % (two standard errors).
    rng = np.random.default_rng(8)

    def figures(prompts: int) -> tuple:
        margin, winner, loser, _, cluster = pairs(rng, prompts)
        # in fixed units: a sample's own root mean square is part of its question, not of the answer
        features = np.column_stack([5 * (winner - loser) / (winner + loser + 1), margin])
        return bradley_terry_weights(features, np.ones(len(margin)), cluster)

    truth = [one.value for one in figures(200_000)]
    covered = np.zeros(4)
    for _ in range(1500):
        covered += [one.low <= value <= one.high for one, value in zip(figures(250), truth, strict=True)]
    assert (covered / 1500 >= 0.93).all()
    assert (covered / 1500 <= 0.97).all()


@pytest.mark.slow
def test_the_interval_of_what_style_explains_covers_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    # 500 repetitions: a coverage of 95 % is seen as 93 to 97 % (two standard errors).
    nothing = Estimate(0.0, 0.0, 0.0)
    monkeypatch.setattr("palate.metrics.style.bradley_terry_weights", lambda x, *_: [nothing] * x.shape[1])
    rng = np.random.default_rng(9)
    truth = style_control(*pairs(rng, 200_000)).explained.value
    covered = 0
    for _ in range(500):
        found = style_control(*pairs(rng, 250)).explained
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 500 <= 0.97
