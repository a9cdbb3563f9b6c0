import json
import math
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.metrics import (
    PairwiseReport,
    accuracy_interval,
    cluster_bootstrap_interval,
    evaluate_pairs,
    pairwise_accuracy,
    wilson_interval,
)

quick = settings(max_examples=60, deadline=None, derandomize=True)
# Few distinct values, so that equal rewards come up often.
pair = st.tuples(st.sampled_from([-1.5, 0.0, 0.25, 2.0]), st.sampled_from([-1.5, 0.0, 0.25, 2.0]), st.booleans())


def report(winner: list[float], loser: list[float], **changes: object) -> PairwiseReport:
    count = len(winner)
    columns = {"length_winner": [10] * count, "length_loser": [20] * count, "cluster": list(range(count))}
    return evaluate_pairs(winner, loser, **(columns | changes))


@quick
@given(st.lists(pair, min_size=1, max_size=12))
def test_accuracy_agrees_with_a_loop(pairs: list[tuple[float, float, bool]]) -> None:
    answered = [(w, r) for w, r, tie in pairs if not tie]
    winner, loser, is_tie = map(list, zip(*pairs, strict=True))
    if not answered:
        with pytest.raises(ValueError, match=f"all {len(pairs)} pairs are label ties"):
            pairwise_accuracy(winner, loser, is_tie=is_tie)
        return
    found = pairwise_accuracy(winner, loser, is_tie=is_tie)
    points = [1.0 if w > r else 0.5 if w == r else 0.0 for w, r in answered]
    assert found.accuracy == pytest.approx(sum(points) / len(points))
    assert (found.num_pairs, found.num_label_ties) == (len(answered), len(pairs) - len(answered))
    assert found.num_reward_ties == points.count(0.5)


def test_a_constant_model_scores_exactly_half_whichever_response_is_named_first() -> None:
    constant = np.full(7, 3.25, np.float32)
    found = pairwise_accuracy(constant, constant)
    assert (found.accuracy, found.num_reward_ties) == (0.5, 7)


# From `scipy.stats.binomtest(...).proportion_ci(method="wilson")`.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.490162, 0.943318), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0), (1, 1, 0.206549, 1.0)],
)
def test_wilson_gives_the_known_intervals(successes: float, n: int, low: float, high: float) -> None:
    interval = wilson_interval(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)


@quick
@given(n=st.integers(1, 10_000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilsons_ends_solve_its_equation_and_mirror(n: int, share: float, confidence: float) -> None:
    from scipy.stats import norm

    successes = round(share * n)
    interval, mirror = (wilson_interval(s, n, confidence) for s in (successes, n - successes))
    z = norm.ppf((1 + confidence) / 2)
    for p in (interval.low, interval.high):
        assert (p - successes / n) ** 2 == pytest.approx(z * z * p * (1 - p) / n, abs=1e-9)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1
    assert interval.high > interval.low
    assert interval.low == pytest.approx(1 - mirror.high, abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5), (math.nan, 5)])
def test_wilson_refuses_impossible_counts(successes: float, n: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson_interval(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        wilson_interval(1, 2, confidence)
    with pytest.raises(ValueError, match="confidence"):
        cluster_bootstrap_interval([0, 1], [0, 1], confidence=confidence)


def clustered(rng: np.random.Generator, num_clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Prompts of 1 to 8 pairs that share one chance of being right, 0.7 on average whatever their size."""
    sizes = rng.integers(1, 9, num_clusters)
    cluster = np.repeat(np.arange(num_clusters), sizes)
    return (rng.random(len(cluster)) < rng.beta(1.4, 0.6, num_clusters)[cluster]).astype(float), cluster


def test_the_prompt_bootstrap_covers_the_truth_where_wilson_does_not() -> None:
    rng = np.random.default_rng(1)
    covered = {"prompt": 0, "pairs": 0}
    for _ in range(300):
        correct, cluster = clustered(rng, 80)
        by_prompt = cluster_bootstrap_interval(correct, cluster, num_resamples=500)
        by_pairs = wilson_interval(correct.sum(), len(correct))
        covered["prompt"] += by_prompt.low <= 0.7 <= by_prompt.high
        covered["pairs"] += by_pairs.low <= 0.7 <= by_pairs.high
    assert 0.90 <= covered["prompt"] / 300 <= 0.98
    assert covered["pairs"] / 300 < 0.85


def test_the_bootstrap_agrees_with_resampling_prompts_in_a_loop() -> None:
    rng = np.random.default_rng(2)
    correct, cluster = clustered(rng, 60)
    correct[:9] = 0.5
    by_prompt: dict[int, list[float]] = defaultdict(list)
    for value, name in zip(correct, cluster, strict=True):
        by_prompt[name].append(value)
    prompts = list(by_prompt.values())
    means = []
    for _ in range(4000):
        drawn = [prompts[i] for i in rng.integers(0, len(prompts), len(prompts))]
        means.append(sum(map(sum, drawn)) / sum(map(len, drawn)))
    found = cluster_bootstrap_interval(correct, cluster, num_resamples=4000)
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.05 * width)
    assert found.method == "prompt-bootstrap"


def test_the_bootstrap_is_settled_by_its_seed_and_blind_to_order_and_names() -> None:
    rng = np.random.default_rng(3)
    correct, cluster = clustered(rng, 50)
    first = cluster_bootstrap_interval(correct, cluster)
    order = rng.permutation(len(correct))
    names = [("prompt", int(name) * 7 % 50) for name in cluster[order]]
    assert first == cluster_bootstrap_interval(correct[order], names)
    assert first != cluster_bootstrap_interval(correct, cluster, seed=1)


def test_doubling_every_pair_of_a_prompt_adds_no_certainty() -> None:
    correct, cluster = clustered(np.random.default_rng(4), 50)
    twice = cluster_bootstrap_interval(np.tile(correct, 2), np.tile(cluster, 2))
    assert twice == cluster_bootstrap_interval(correct, cluster)


@pytest.mark.parametrize(
    ("correct", "cluster"),
    [
        ([1, 1, 1], ["a", "b", "c"]),
        ([0, 1, 1], ["a", "a", "a"]),
        ([0, 1, 1, 0], ["a", "a", "b", "b"]),
        ([1], ["a"]),
    ],
    ids=["all right", "one prompt", "prompts alike", "one pair"],
)
def test_a_bootstrap_without_width_gives_way_to_wilson_and_says_so(correct: list[float], cluster: list[str]) -> None:
    bare = cluster_bootstrap_interval(correct, cluster)
    assert bare.low == bare.high == sum(correct) / len(correct)
    assert accuracy_interval(correct, cluster) == wilson_interval(sum(correct), len(correct))
    assert accuracy_interval(correct, cluster).method == "wilson"


def test_the_report_agrees_with_loops_over_the_pairs() -> None:
    rng = np.random.default_rng(5)
    count = 300
    winner, loser = rng.normal(0.4, 1, count).round(1), rng.normal(0, 1, count).round(1)
    share = rng.choice([0.5, 0.6, 0.8, 1.0], count)
    tokens = rng.integers(1, 450, (2, count))
    cluster = [f"p{i}" for i in rng.integers(0, 90, count)]
    found = evaluate_pairs(
        winner, loser, probability=share, length_winner=tokens[0], length_loser=tokens[1], cluster=cluster
    )
    kept = [i for i in range(count) if share[i] != 0.5]
    points = {i: float(winner[i] > loser[i]) or 0.5 * float(winner[i] == loser[i]) for i in kept}
    assert found.accuracy == pytest.approx(sum(points.values()) / len(kept))
    assert (found.pairs, found.label_ties) == (len(kept), count - len(kept))
    assert found.ties == sum(point == 0.5 for point in points.values()) > 0
    assert found.groups == len({cluster[i] for i in kept})
    margins = sorted(winner[i] - loser[i] for i in kept)
    assert found.margin == pytest.approx(sum(margins) / len(kept))
    assert margins[(len(kept) - 1) // 2] <= found.margin_median <= margins[len(kept) // 2]
    sigmoid = [1 / (1 + math.exp(loser[i] - winner[i])) for i in range(count)]
    losses = [-q * math.log(p) - (1 - q) * math.log(1 - p) for q, p in zip(share, sigmoid, strict=True)]
    assert found.loss == pytest.approx(sum(losses) / count)
    assert found.interval == "prompt-bootstrap"
    assert found.accuracy_low < found.accuracy < found.accuracy_high
    assert (found.wilson_low, found.wilson_high) == pytest.approx(
        tuple(asdict(wilson_interval(sum(points.values()), len(kept))).values())[:2]
    )
    assert sum(bucket.pairs for bucket in found.by_length) == len(kept)
    for bucket in found.by_length:
        inside = [i for i in kept if bucket.low <= tokens[:, i].max() < bucket.high]
        assert bucket.pairs == len(inside)
        assert bucket.accuracy == pytest.approx(sum(points[i] for i in inside) / len(inside))
        expected = accuracy_interval([points[i] for i in inside], [cluster[i] for i in inside])
        assert (bucket.accuracy_low, bucket.accuracy_high, bucket.interval) == tuple(asdict(expected).values())


def test_length_buckets_hold_100_tokens_of_the_longer_sequence_and_skip_empty_ones() -> None:
    found = report([1, 1, 1, 0], [0, 0, 0, 1], length_winner=[5, 100, 99, 730], length_loser=[99, 5, 99, 1])
    assert [(b.low, b.high, b.pairs, b.accuracy) for b in found.by_length] == [
        (0, 100, 2, 1.0),
        (100, 200, 1, 1.0),
        (700, 800, 1, 0.0),
    ]
    assert {bucket.interval for bucket in found.by_length} == {"wilson"}


def test_the_loss_is_exact_at_huge_margins_and_ln_2_for_a_constant_model() -> None:
    assert report([1e4, -1e4], [0, 0]).loss == pytest.approx(5000)
    assert report([2.0] * 3, [2.0] * 3).loss == pytest.approx(math.log(2))


def test_the_report_survives_json() -> None:
    found = report([1, 0, 2], [0, 1, 2])
    as_json = found.to_json()
    assert json.loads(json.dumps(as_json)) == as_json
    assert as_json["by_length"][0]["pairs"] == 3
    assert set(as_json) == set(PairwiseReport.__slots__)


def test_zero_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        report([], [])
    with pytest.raises(ValueError, match="no pairs"):
        pairwise_accuracy([], [])
    with pytest.raises(ValueError, match="no pairs"):
        accuracy_interval([], [])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_rewards_that_are_not_finite_are_counted_and_located(bad: float) -> None:
    with pytest.raises(ValueError, match=r"2 of 4 pairs .* not finite: at 1, 3"):
        report([0.0, bad, 0.0, bad], [0.0, 0.0, 0.0, bad])


def test_columns_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="reward_loser"):
        report([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="length_loser"):
        report([1.0, 2.0], [0.0, 0.0], length_loser=[3])
    with pytest.raises(ValueError, match="cluster has 1 entries for 2 pairs"):
        report([1.0, 2.0], [0.0, 0.0], cluster=["p"])
    with pytest.raises(ValueError, match=r"2 of 3 probabilities .* at 0, 2"):
        report([1.0] * 3, [0.0] * 3, probability=[0.4, 0.7, math.nan])
    with pytest.raises(TypeError, match="same_kind"):
        report([1.0, 2.0], [0.0, 0.0], length_winner=[1.5, 2.5])


def test_the_metrics_need_neither_torch_nor_scipy() -> None:
    program = (
        "import sys\nfrom palate.metrics import evaluate_pairs\n"
        "evaluate_pairs([1, 0], [0, 1], length_winner=[1, 2], length_loser=[1, 2], cluster=['a', 'b'])\n"
        "print(sorted({'torch', 'scipy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
