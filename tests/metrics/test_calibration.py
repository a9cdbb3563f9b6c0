import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from palate.metrics.calibration import brier_scores, evaluate_calibration, log_losses, noise_ceiling

quick = settings(max_examples=60, deadline=None, derandomize=True)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def pairs(rng: np.random.Generator, count: int, trust: float = 1.0) -> np.ndarray:
    """Margins of a model that is right with probability sigmoid(trust * |margin|): too sure where trust is below 1."""
    size = np.abs(rng.normal(0, 2, count))
    return np.where(rng.random(count) < sigmoid(trust * size), size, -size)


def both_sides(margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of every pair from both sides."""
    win = sigmoid(margin)
    return np.repeat([1, 0], len(margin)), np.concatenate([win, 1 - win])


def slow_ece(margin: np.ndarray, label: np.ndarray, num_bins: int) -> float:
    """Bins of both sides, sorted: twice as many, each mirrored at 1/2."""
    predicted = np.concatenate([sigmoid(margin), sigmoid(-margin)])
    observed = np.concatenate([label, 1 - label])
    total = 0.0
    for rows in np.array_split(np.argsort(predicted), 2 * num_bins):
        total += abs(predicted[rows].sum() - observed[rows].sum())
    return total / len(predicted)


def test_losses_agree_with_sklearn_on_both_sides() -> None:
    margin = pairs(np.random.default_rng(0), 400, 0.6)
    found = evaluate_calibration(margin, range(400), num_resamples=10)
    label, win = both_sides(margin)
    assert found.brier.value == pytest.approx(brier_score_loss(label, win))
    assert found.log_loss.value == pytest.approx(log_loss(label, win))


def test_soft_labels_are_a_mean_over_votes() -> None:
    rng = np.random.default_rng(1)
    margin, votes = rng.normal(0, 2, 50), rng.integers(5, 11, 50)
    found = evaluate_calibration(margin, range(50), probability=votes / 10, num_resamples=10)
    each = np.concatenate([np.where(np.arange(10) < n, m, -m) for m, n in zip(margin, votes, strict=True)])
    single = evaluate_calibration(each, range(500), num_resamples=10)
    assert (found.brier.value, found.log_loss.value) == pytest.approx((single.brier.value, single.log_loss.value))


@pytest.mark.parametrize("num_bins", [1, 4, 15])
def test_plain_ece_agrees_with_sorting_both_sides(num_bins: int) -> None:
    rng = np.random.default_rng(2)
    margin, label = pairs(rng, 15 * 4 * 9, 0.5), rng.choice([1.0, 0.8, 0.6], 15 * 4 * 9)
    found = evaluate_calibration(margin, range(len(margin)), probability=label, num_bins=num_bins, num_resamples=10)
    assert found.ece_plain == pytest.approx(slow_ece(margin, label, num_bins))
    assert [one.pairs for one in found.bins] == [len(margin) // num_bins] * num_bins


def test_the_table_agrees_with_sklearns_curve_above_one_half() -> None:
    margin = pairs(np.random.default_rng(3), 600, 0.5)
    found = evaluate_calibration(margin, range(600), num_bins=10, num_resamples=10)
    label, win = both_sides(margin)
    observed, predicted = calibration_curve(label, win, n_bins=20, strategy="quantile")
    assert [one.observed.value for one in found.bins] == pytest.approx(observed[10:].tolist())
    assert [one.confidence for one in found.bins] == pytest.approx(predicted[10:].tolist())
    for one in found.bins:
        assert one.low <= one.confidence <= one.high
        assert one.observed.low < one.observed.value < one.observed.high


def test_which_response_is_named_first_changes_nothing() -> None:
    margin = pairs(np.random.default_rng(4), 300)
    swapped = np.where(np.arange(300) % 2, margin, -margin)
    label = np.full(300, 0.7)
    one = evaluate_calibration(margin, range(300), probability=label, num_resamples=50)
    # a loser named first: the margin changes its sign, and q becomes the share who prefer the loser
    flipped = np.where(np.arange(300) % 2, label, 1 - label)
    assert log_losses(swapped, flipped) == pytest.approx(log_losses(margin, label))
    assert brier_scores(swapped, flipped) == pytest.approx(brier_scores(margin, label))
    assert one.log_loss.value == pytest.approx(log_losses(swapped, flipped).mean())


def test_a_constant_model_is_calibrated_and_knows_nothing() -> None:
    found = evaluate_calibration(np.zeros(40), range(40))
    assert (found.ece_plain, found.ece_floor, len(found.bins)) == (0.0, 0.0, 1)
    assert (found.ece.value, found.ece.low, found.ece.high) == (0.0, 0.0, 0.0)
    assert (found.brier.value, found.log_loss.value) == pytest.approx((0.25, math.log(2)))
    assert (found.bins[0].confidence, found.bins[0].observed.value, found.bins[0].pairs) == (0.5, 0.5, 40)


def test_pairs_of_equal_confidence_are_never_parted() -> None:
    margin = np.repeat([0.5, 1.0, 3.0], [5, 80, 15])
    found = evaluate_calibration(margin, range(100), num_bins=15, num_resamples=10)
    assert [one.pairs for one in found.bins] == [5, 80, 15]


def test_a_single_prompt_has_no_intervals() -> None:
    found = evaluate_calibration([1.0, 2.0, -1.0], ["a", "a", "a"])
    for one in (found.ece, found.brier, found.log_loss):
        assert one.value > 0
        assert math.isnan(one.low)
        assert math.isnan(one.high)


@quick
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=20))
def test_losses_are_exact_at_any_margin(margins: list[float]) -> None:
    margin = np.array(margins)
    label = np.linspace(0.5, 1, len(margin))
    for m, q, loss, brier in zip(margins, label, log_losses(margin, label), brier_scores(margin, label), strict=True):
        p = 1 / (1 + math.exp(-m))
        assert loss == pytest.approx(-q * math.log(p) + (1 - q) * math.log1p(math.exp(m)))
        assert brier == pytest.approx(q * (1 - p) ** 2 + (1 - q) * p**2)
    assert log_losses(np.array([-1e4]), np.ones(1)) == pytest.approx([1e4])


@pytest.mark.parametrize("flip", [0.0, 0.1, 0.3, 0.5])
def test_no_margin_beats_the_noise_ceiling(flip: float) -> None:
    ceiling = noise_ceiling(1 - flip)
    grid = np.linspace(-12, 12, 4801)
    label = np.full(len(grid), 1 - flip)
    assert ceiling.log_loss == pytest.approx(log_losses(grid, label).min(), abs=1e-5)
    assert ceiling.brier == pytest.approx(brier_scores(grid, label).min(), abs=1e-5)
    assert ceiling.accuracy == 1 - flip
    mixed = noise_ceiling([1 - flip, 1.0])
    assert mixed.log_loss == pytest.approx(ceiling.log_loss / 2)


def test_bad_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 values of margin are not finite: at 1"):
        evaluate_calibration([0.0, math.nan], ["a", "b"])
    with pytest.raises(ValueError, match=r"margin has shape \(0,\)"):
        evaluate_calibration([], [])
    with pytest.raises(ValueError, match="outside"):
        evaluate_calibration([0.0, 1.0], ["a", "b"], probability=[0.4, 1.0])
    with pytest.raises(ValueError, match="probability has 1 values where 2"):
        evaluate_calibration([0.0, 1.0], ["a", "b"], probability=[1.0])
    with pytest.raises(ValueError, match="cluster has 1 entries for 2 pairs"):
        evaluate_calibration([0.0, 1.0], ["a"])


def test_the_corrected_error_agrees_with_inverting_the_test_in_a_loop() -> None:
    rng = np.random.default_rng(9)
    margin, cluster = pairs(rng, 300, 0.5), np.repeat(np.arange(100), 3)
    found = evaluate_calibration(margin, cluster, num_bins=5)
    order = np.argsort(np.abs(margin))
    bins = np.empty(300, dtype=int)
    bins[order] = np.repeat(np.arange(5), 60)

    def gaps(rows: np.ndarray) -> np.ndarray:
        miss = sigmoid(np.abs(margin[rows])) - (margin[rows] > 0)
        return np.array([miss[bins[rows] == number].sum() for number in range(5)]) / len(rows)

    seen = gaps(np.arange(300))
    prompts = rng.integers(0, 100, (3000, 100))
    noise = np.array([gaps((3 * one[:, None] + np.arange(3)).ravel()) for one in prompts]) - seen

    def solve(figure) -> float:
        low, high = 0.0, 4.0
        for _ in range(40):
            middle = (low + high) / 2
            more = figure([np.abs(middle * seen + one).sum() for one in noise]) > np.abs(seen).sum()
            low, high = (low, middle) if more else (middle, high)
        return low * np.abs(seen).sum()

    expected = (
        solve(np.mean),
        solve(lambda drawn: np.quantile(drawn, 0.975)),
        solve(lambda drawn: np.quantile(drawn, 0.025)),
    )
    assert found.ece_plain == pytest.approx(np.abs(seen).sum())
    assert found.ece_floor == pytest.approx(np.abs(noise).sum(axis=1).mean(), rel=0.05)
    width = found.ece.high - found.ece.low
    assert (found.ece.value, found.ece.low, found.ece.high) == pytest.approx(expected, abs=0.04 * width)


@pytest.fixture
def bare_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals of single bins take half of the time, and many repetitions do without."""
    monkeypatch.setattr("palate.metrics.calibration.share_estimate", lambda outcome, code: None)


def true_ece(trust: float) -> float:
    """Of the population, in 15 bins of equal mass."""
    size = np.sort(np.abs(np.random.default_rng(0).normal(0, 2, 1_500_000)))
    gaps = (sigmoid(size) - sigmoid(trust * size)).reshape(15, -1).mean(axis=1)
    return float(np.abs(gaps).mean())


@pytest.mark.slow
@pytest.mark.usefixtures("bare_bins")
@pytest.mark.parametrize("trust", [1.0, 0.6])
def test_the_interval_of_ece_covers_the_truth_even_at_zero(trust: float) -> None:
    # 800 repetitions: a coverage of 95 % is seen as 93.5 to 96.5 % (two standard errors).
    rng, truth = np.random.default_rng(7), true_ece(trust)
    found = [evaluate_calibration(pairs(rng, 400, trust), range(400), num_resamples=300) for _ in range(800)]
    assert 0.93 <= np.mean([one.ece.low <= truth <= one.ece.high + 1e-12 for one in found]) <= 0.97
    plain, floor, value = (
        np.mean(column)
        for column in zip(*((one.ece_plain, one.ece_floor, one.ece.value) for one in found), strict=True)
    )
    # the plain one is over the truth by the noise, which is all there is to it in a calibrated model
    assert abs(value - truth) < 0.5 * (plain - truth)
    if trust == 1:
        assert plain == pytest.approx(floor, rel=0.1)


@pytest.mark.usefixtures("bare_bins")
def test_intervals_of_the_losses_cover_the_truth_with_shared_prompts() -> None:
    # 1,000 repetitions: a coverage of 95 % is seen as 93.6 to 96.4 %.
    rng = np.random.default_rng(8)
    shift = np.repeat(rng.normal(0, 1, 20_000), 4)
    own = shift + rng.normal(0, 1.5, len(shift))
    truth = (brier_scores(own, np.ones_like(own)).mean(), log_losses(own, np.ones_like(own)).mean())
    covered = np.zeros(2)
    for _ in range(1000):
        start = 4 * rng.integers(0, 20_000, 150)
        rows = (start[:, None] + np.arange(4)).ravel()
        found = evaluate_calibration(own[rows], np.repeat(np.arange(150), 4), num_bins=1, num_resamples=300)
        for number, one in enumerate((found.brier, found.log_loss)):
            covered[number] += one.low <= truth[number] <= one.high
    assert (covered / 1000 >= 0.93).all()
    assert (covered / 1000 <= 0.97).all()
