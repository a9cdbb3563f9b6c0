"""The share of wrong labels, from data drawn from the model itself and from ones that are not; and its gradient."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta

from palate.health.noise.flips import FlipModel, fit_flips, minority_probability, wrong_probability


def drawn(number: int, scale: float, rate: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins of labels drawn from the model, and which of the labels are wrong."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 2, number)
    truth = rng.random(number) < expit(scale * margin)
    flipped = rng.random(number) < rate
    label = truth ^ flipped
    return np.where(label, margin, -margin), flipped


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.25])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_rate_and_scale_are_recovered(rate: float, scale: float) -> None:
    margin, _ = drawn(20_000, scale, rate)
    fit = fit_flips(margin, np.arange(len(margin)))
    assert fit.low - 0.005 <= rate <= fit.high + 0.005
    assert fit.scale == pytest.approx(scale, rel=0.2)
    assert fit.low <= fit.rate <= fit.high


def test_units_do_not_matter() -> None:
    margin, _ = drawn(2000, 2.0, 0.1)
    one, thousand = (fit_flips(unit * margin, np.arange(2000)) for unit in (1.0, 1000.0))
    assert one.rate == pytest.approx(thousand.rate, abs=1e-4)
    assert one.scale == pytest.approx(1000 * thousand.scale, rel=1e-3)


def test_a_weak_model_says_little() -> None:
    """Margins hardly beyond a coin toss: the interval reaches down to no wrong label at all."""
    margin, _ = drawn(2000, 0.1, 0.1)
    fit = fit_flips(margin, np.arange(2000))
    assert fit.low < 0.01
    assert fit.high - fit.low > 0.2


def test_pairs_of_one_prompt_widen_the_interval() -> None:
    margin, _ = drawn(500, 3.0, 0.1)
    repeated, prompt = np.repeat(margin, 8), np.repeat(np.arange(500), 8)
    single = fit_flips(margin, np.zeros(500, np.int64))
    assert single.low < single.rate < single.high
    alone, together = fit_flips(repeated, np.arange(4000)), fit_flips(repeated, prompt)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_probabilities_are_those_of_the_labels_drawn() -> None:
    margin, flipped = drawn(40_000, 1.5, 0.15)
    probability = wrong_probability(margin, FlipModel(1.5, 0.15, 0.15, 0.15))
    assert probability.mean() == pytest.approx(0.15, abs=0.01)
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        bucket = (probability >= low) & (probability < high)
        assert flipped[bucket].mean() == pytest.approx(probability[bucket].mean(), abs=0.03)


def test_what_is_known_of_single_labels_is_used() -> None:
    """Half of the labels are wrong three times as often as the others, and it is known which."""
    rng = np.random.default_rng(0)
    contested = np.where(rng.random(20_000) < 0.5, 1.5, 0.5)
    margin = rng.normal(0, 2, 20_000)
    flipped = rng.random(20_000) < 0.1 * contested
    agreeing = np.where((rng.random(20_000) < expit(2 * margin)) ^ flipped, margin, -margin)
    fit = fit_flips(agreeing, np.arange(20_000), contested)
    assert (fit.rate, fit.contested) == (pytest.approx(0.1, abs=0.01), pytest.approx(0.1, abs=0.03))
    knowing, blind = (wrong_probability(agreeing, fit, known) for known in (contested, None))
    worst = {name: flipped[np.argsort(-p)[:2000]].mean() for name, p in (("knowing", knowing), ("blind", blind))}
    assert worst["knowing"] > worst["blind"]


def test_votes_against_are_the_lower_half_of_a_beta_distribution() -> None:
    pro, contra = np.array([0, 1, 3, 2, 9]), np.array([0, 0, 0, 1, 3])
    found = minority_probability(pro, contra)
    assert found == pytest.approx(beta.cdf(0.5, 1 + pro, 1 + contra))
    assert found[0] == 0.5
    assert found[2] == pytest.approx(1 / 16)


def test_mistakes_that_have_nothing_to_do_with_votes_are_told_from_those_that_have() -> None:
    """One label in ten is wrong whatever its votes, and it is not taken for the votes' doing."""
    rng = np.random.default_rng(0)
    contested = np.where(rng.random(20_000) < 0.5, 1.5, 0.5)
    margin, _ = drawn(20_000, 2.0, 0.1)
    fit = fit_flips(margin, np.arange(20_000), contested)
    assert (fit.rate, fit.contested) == (pytest.approx(0.1, abs=0.01), pytest.approx(0.0, abs=0.03))


@pytest.mark.parametrize("contested", [None, np.linspace(0.2, 1.8, 400)])
def test_the_maximum_is_one(contested: np.ndarray | None) -> None:
    """No other scale or rate nearby makes the labels likelier."""
    margin, _ = drawn(400, 2.0, 0.1)
    fit = fit_flips(margin, np.arange(400), contested)

    def likelihood(scale: float, even: float, by_votes: float) -> float:
        rate = even + (0 if contested is None else by_votes * contested)
        return float(np.log(rate + (1 - 2 * rate) * expit(scale * margin)).sum())

    even = fit.rate - fit.contested
    best = likelihood(fit.scale, even, fit.contested)
    for scale, shift in ((1.05, 0.0), (0.95, 0.0), (1.0, 0.01), (1.0, -0.01)):
        assert likelihood(fit.scale * scale, max(1e-6, even + shift), fit.contested) <= best + 1e-6
