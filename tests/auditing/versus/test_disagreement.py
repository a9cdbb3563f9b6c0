"""How far two models agree within prompts, against SciPy, and the pairs on which they part most."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata, spearmanr

from palate.auditing.scorer import Floats
from palate.auditing.versus.disagreement import check_disagreement, rank_agreement, ranks_within
from palate.auditing.versus.matched import Matched, match
from palate.health.corpus import Corpus
from palate.report.findings import Check, Finding

PairsOf = Callable[..., Matched]


def named(check: Check, id: str) -> Finding:
    (found,) = (finding for finding in check.findings if finding.id == id)
    return found


def test_rank_correlations_are_scipys_prompt_by_prompt(corpus: Corpus, quality: Floats) -> None:
    rng = np.random.default_rng(0)
    # rounded: many ties
    incumbent, candidate = (np.round(2 * (quality + rng.normal(0, 0.5, len(quality)))) for _ in range(2))
    matched = match(corpus, incumbent, candidate)
    spearman, kendall = rank_agreement(matched)
    prompt = corpus.groups.prompt_key[corpus.responses.group]
    rho, tau = [], []
    for key in np.unique(prompt):
        one, other = incumbent[prompt == key], candidate[prompt == key]
        if np.ptp(one) > 0 and np.ptp(other) > 0:
            rho.append(spearmanr(one, other).statistic)
            tau.append(kendalltau(one, other).statistic)
    assert 50 < len(rho) < len(np.unique(prompt))
    assert spearman.value == pytest.approx(np.mean(rho))
    assert kendall.value == pytest.approx(np.mean(tau))
    assert kendall.low < kendall.value < kendall.high


def test_ranks_within_are_scipys() -> None:
    rng = np.random.default_rng(1)
    code = rng.integers(0, 8, 60)
    _, code = np.unique(code, return_inverse=True)
    reward = np.round(rng.normal(size=60), 1)
    found = ranks_within(reward, code)
    for group in np.unique(code):
        np.testing.assert_array_equal(found[code == group], rankdata(reward[code == group]))


def test_two_responses_a_prompt_make_it_the_share_of_equal_orders(pairs_of: PairsOf) -> None:
    facts = check_disagreement(pairs_of([1, 2, 3, -1], [5, -5, 5, -5])).facts
    assert facts["disagreement.share"] == 1 / 4
    assert facts["disagreement.spearman"] == facts["disagreement.kendall"] == pytest.approx(0.5)


def test_equal_models_agree_and_opposite_ones_do_not(corpus: Corpus, quality: Floats) -> None:
    same = check_disagreement(match(corpus, quality, 3 * quality))
    assert same.findings == ()
    assert same.facts["disagreement.kendall"] == pytest.approx(1.0)
    assert same.facts["disagreement.kendall_low"] < 1
    assert same.facts["disagreement.share"] == 0
    opposite = check_disagreement(match(corpus, quality, -quality)).facts
    assert opposite["disagreement.spearman"] == pytest.approx(-1.0)
    assert opposite["disagreement.share"] == 1


def test_the_pairs_that_part_most_come_first_in_both_directions(pairs_of: PairsOf) -> None:
    # median margins 10 and 1.5: standardised gaps -5.3, -2.3, +1.8, +5.7, and four on which both are right
    incumbent = [40, 10, -5, -10, 10, 10, 10, 10]
    candidate = [-2, -2, 2, 7, 1, 1, 1, 1]
    check = check_disagreement(pairs_of(incumbent, candidate))
    lost, gained = named(check, "lost-pairs"), named(check, "gained-pairs")
    assert [example.where for example in lost.examples] == ["pairs.jsonl:1", "pairs.jsonl:2"]
    assert [example.where for example in gained.examples] == ["pairs.jsonl:4", "pairs.jsonl:3"]
    assert (lost.severity, lost.count, lost.measure.value) == ("info", 2, 2 / 8)
    assert gained.title == "The candidate does better than the incumbent on 2 pairs (25.0%)."
    scale = float(np.median(np.abs(candidate)))
    assert (
        lost.examples[0].note == f"margin in median margins: +4.00 of the incumbent, {-2 / scale:+.2f} of the candidate"
    )
    assert lost.examples[0].texts[1] == ("chosen", "good 00000")
    assert (check.facts["disagreement.lost"], check.facts["disagreement.gained"]) == (2, 2)


def test_a_tie_of_one_model_counts_half(pairs_of: PairsOf) -> None:
    check = check_disagreement(pairs_of([1, 1, 1, 1], [0, 1, 1, -1]))
    assert check.facts["disagreement.share"] == 1.5 / 4
    assert named(check, "lost-pairs").count == 2


def test_a_constant_model_orders_nothing(pairs_of: PairsOf) -> None:
    check = check_disagreement(pairs_of([1, 1, -1], [0, 0, 0]))
    assert np.isnan(check.facts["disagreement.kendall"])
    assert check.facts["disagreement.share"] == 0.5
    assert named(check, "lost-pairs").examples[0].note == "margin in median margins: +1.00 of the incumbent"
