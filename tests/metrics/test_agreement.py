"""Coefficients of agreement: published examples, counting pairs by hand, and other people's code."""

import math
from collections.abc import Callable
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.read import read_preferences
from palate.metrics import (
    Statistic,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    item_agreement,
    item_bootstrap,
    krippendorff_alpha,
    pairwise_agreement,
    vote_counts,
)

# Krippendorff (2011), section C: four observers, twelve units, 0 for a missing value.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
    (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0),
)
# Fleiss (1971), table 1: thirty patients, six psychiatrists, five diagnoses.
PATIENTS = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006
10050 11040 03300 10050 02031 00501 30012 51000 02040 10203
00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
COEFFICIENTS: tuple[Statistic, ...] = (pairwise_agreement, item_agreement, krippendorff_alpha, gwet_ac1)


def krippendorff_counts() -> np.ndarray:
    cells = [(unit, value - 1) for row in OBSERVERS for unit, value in enumerate(row) if value]
    return vote_counts(*zip(*cells, strict=True), 12, 5)


def fleiss_counts() -> np.ndarray:
    return np.array([[int(digit) for digit in row] for row in PATIENTS.split()])


def random_counts(seed: int, items: int = 40, labels: int = 3, most: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.multinomial(rng.integers(0, most + 1), rng.dirichlet(np.ones(labels))) for _ in range(items)])


def labels_of(counts: np.ndarray) -> list[list[int]]:
    return [[label for label, count in enumerate(row) for _ in range(count)] for row in counts.tolist()]


def test_krippendorffs_own_example() -> None:
    assert float(krippendorff_alpha(krippendorff_counts())) == pytest.approx(0.743, abs=5e-4)


def test_fleisss_own_example() -> None:
    counts = fleiss_counts()
    assert (counts.sum(axis=1) == 6).all()
    assert (counts.sum(axis=0) / 180).round(3).tolist() == [0.144, 0.144, 0.167, 0.306, 0.239]
    assert float(item_agreement(counts)) == pytest.approx(0.556, abs=6e-4)
    assert float(fleiss_kappa(counts)) == pytest.approx(0.430, abs=5e-4)


def test_gwets_example_of_the_kappa_paradox() -> None:
    """118 subjects both positive, 5 and 2 disagreed on, none both negative: kappa is below 0, AC1 is 0.94."""
    counts = np.array([[2, 0]] * 118 + [[1, 1]] * 7)
    assert float(gwet_ac1(counts)) == pytest.approx(0.9408, abs=5e-4)
    first, second = "+" * 118 + "+" * 5 + "-" * 2, "+" * 118 + "-" * 5 + "+" * 2
    assert cohen_kappa(first, second) == pytest.approx(-0.0234, abs=5e-4)


def test_cohens_kappa_of_a_two_by_two_table() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: (0.7 - 0.5) / (1 - 0.5)."""
    assert cohen_kappa("y" * 25 + "n" * 25, "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15) == pytest.approx(0.4)


@pytest.mark.parametrize("seed", range(5))
def test_against_counting_pairs_by_hand(seed: int) -> None:
    counts = random_counts(seed)
    items = labels_of(counts)
    pairs = [[a == b for a, b in combinations(labels, 2)] for labels in items]
    flat = [equal for one in pairs for equal in one]
    shares = [sum(one) / len(one) for one in pairs if one]
    assert float(pairwise_agreement(counts)) == pytest.approx(sum(flat) / len(flat))
    assert float(item_agreement(counts)) == pytest.approx(sum(shares) / len(shares))

    # alpha from its definition: within units each ordered pair weighs 1 / (m - 1), over all values every pair the same
    paired = [labels for labels in items if len(labels) > 1]
    values = [label for labels in paired for label in labels]
    observed = sum(sum(a != b for a, b in permutations(labels, 2)) / (len(labels) - 1) for labels in paired)
    expected = sum(a != b for a, b in permutations(values, 2)) / (len(values) - 1)
    assert float(krippendorff_alpha(counts)) == pytest.approx(1 - observed / expected)

    voted = [labels for labels in items if labels]
    mean = [sum(labels.count(k) / len(labels) for labels in voted) / len(voted) for k in range(3)]
    chance = sum(share * (1 - share) for share in mean) / 2
    assert float(gwet_ac1(counts)) == pytest.approx((sum(shares) / len(shares) - chance) / (1 - chance))


@pytest.mark.parametrize("seed", range(3))
def test_alpha_against_crowd_kit(seed: int) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    theirs = pytest.importorskip("crowdkit.metrics.data", reason="crowd-kit is not installed")
    counts = random_counts(seed, items=30)
    rows = [
        (unit, worker, label) for unit, labels in enumerate(labels_of(counts)) for worker, label in enumerate(labels)
    ]
    table = pandas.DataFrame(rows, columns=["task", "worker", "label"])
    assert float(krippendorff_alpha(counts)) == pytest.approx(theirs.alpha_krippendorff(table))


def test_cohens_kappa_against_scikit_learn() -> None:
    theirs = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, 100)
    second = np.where(rng.random(100) < 0.6, first, rng.integers(0, 4, 100))
    assert cohen_kappa(first, second) == pytest.approx(theirs.cohen_kappa_score(first, second))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_coefficients_stay_in_their_range(rows: list[tuple[int, int, int]]) -> None:
    for coefficient in COEFFICIENTS:
        value = float(coefficient(rows))
        assert math.isnan(value) or -1 - 1e-9 <= value <= 1 + 1e-9


@pytest.mark.parametrize("coefficient", [*COEFFICIENTS, fleiss_kappa])
def test_a_weight_is_that_many_copies(coefficient: Statistic) -> None:
    counts = np.array([[3, 0, 0], [1, 2, 0], [0, 0, 3], [1, 1, 1]])
    weights = np.array([[1, 1, 1, 1], [3, 0, 2, 1], [1, 4, 1, 2]])
    copies = [float(coefficient(np.repeat(counts, weight, axis=0))) for weight in weights]
    assert coefficient(counts, weights).tolist() == pytest.approx(copies)


@pytest.mark.parametrize("coefficient", [*COEFFICIENTS, fleiss_kappa])
def test_the_bootstrap_is_that_of_single_items(coefficient: Statistic) -> None:
    """Drawing kinds by their frequency against drawing items one by one."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(3, [0.6, 0.3, 0.1], size=60)
    drawn = [float(coefficient(counts[rng.integers(0, 60, 60)])) for _ in range(2000)]
    found = item_bootstrap(coefficient, counts)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.value == pytest.approx(float(coefficient(counts)))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert found.low < found.value < found.high


def test_the_bootstrap_covers_the_truth() -> None:
    """Of 200 samples of 80 items, at least 90 % of the intervals hold the agreement of the population."""
    rng = np.random.default_rng(1)
    truth = 0.85**2 + 0.15**2
    held = 0
    for sample in range(200):
        right = rng.binomial(3, 0.85, size=80)
        found = item_bootstrap(pairwise_agreement, np.stack([right, 3 - right], axis=1), num_resamples=400, seed=sample)
        held += found.low <= truth <= found.high
    assert held >= 180


def test_the_bootstrap_does_not_depend_on_the_order_of_items() -> None:
    counts = random_counts(3)
    assert item_bootstrap(krippendorff_alpha, counts) == item_bootstrap(krippendorff_alpha, counts[::-1])


def test_a_million_items_take_a_moment() -> None:
    counts = np.random.default_rng(0).multinomial(5, [0.5, 0.3, 0.2], size=1_000_000)
    found = item_bootstrap(krippendorff_alpha, counts)
    assert -0.002 < found.low < found.high < 0.002


@pytest.mark.parametrize("coefficient", [pairwise_agreement, item_agreement, krippendorff_alpha])
def test_without_two_votes_on_anything_there_is_no_figure(coefficient: Statistic) -> None:
    found = item_bootstrap(coefficient, [[1, 0], [0, 1]])
    assert all(math.isnan(value) for value in (found.value, found.low, found.high))


def test_with_one_label_alone_chance_is_unknown() -> None:
    assert math.isnan(float(krippendorff_alpha([[3, 0], [3, 0]])))
    assert math.isnan(float(fleiss_kappa([[3, 0], [3, 0]])))
    assert math.isnan(cohen_kappa("aa", "aa"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fleiss_kappa([[2, 1], [1, 1]]), "2 to 3 votes"),
        (lambda: fleiss_kappa([[1, 0], [1, 0]]), "two or more"),
        (lambda: gwet_ac1([[2], [2]]), "two labels"),
        (lambda: cohen_kappa("ab", "a"), "same"),
        (lambda: cohen_kappa("", ""), "I > 0"),
        (lambda: item_bootstrap(pairwise_agreement, np.empty((0, 3))), "no items"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def counts_of(path: Path) -> np.ndarray:
    comparisons = [group.comparisons[0] for group in read_preferences(str(path)).groups]
    rows = [
        (row, 2 if vote.preferred is None else vote.preferred)
        for row, one in enumerate(comparisons)
        for vote in one.votes
    ]
    return vote_counts(*zip(*rows, strict=True), len(comparisons), 3)


def test_published_agreement_of_ukpconvarg1(real_data: Path) -> None:
    counts = counts_of(real_data / "ukpconvarg1/pairs.jsonl.gz")
    assert float(pairwise_agreement(counts)) == pytest.approx(0.524, abs=5e-4)
    assert float(pairwise_agreement(counts[:, :2])) == pytest.approx(0.731, abs=5e-4)
    assert float(item_agreement(counts[:, :2])) == pytest.approx(0.705, abs=5e-4)  # another definition, not the one


def test_published_agreement_of_pandalm(real_data: Path) -> None:
    counts = counts_of(real_data / "pandalm/testset-v1.json.gz")
    assert float(pairwise_agreement(counts)) == pytest.approx(0.920, abs=5e-4)
