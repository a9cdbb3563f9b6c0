"""Both models on what both have rewards for, and nothing of one in units of the other."""

from collections.abc import Callable

import numpy as np
import pytest

from palate.auditing.limits import compare_thresholds
from palate.auditing.scorer import Floats
from palate.auditing.versus.accuracy import check_accuracy
from palate.auditing.versus.disagreement import check_disagreement
from palate.auditing.versus.gate import check_gate
from palate.auditing.versus.makeup import length_difference
from palate.auditing.versus.matched import Matched, match
from palate.auditing.versus.parts import check_parts
from palate.health.corpus import Corpus

PairsOf = Callable[..., Matched]


def test_pairs_need_two_rewards_from_both(pairs_of: PairsOf) -> None:
    nan, inf = np.nan, np.inf
    matched = pairs_of([1, nan, 1, nan, 2], [1, 1, nan, nan, inf])
    assert matched.usable_C.tolist() == [True, False, False, False, False]
    assert matched.incumbent.usable_C.tolist() == matched.candidate.usable_C.tolist()
    assert (matched.decided, matched.only_incumbent, matched.only_candidate, matched.neither) == (5, 2, 1, 1)


def test_ties_of_the_labels_are_not_missed(corpus: Corpus, quality: Floats) -> None:
    matched = match(corpus, quality, np.full(len(quality), np.nan))
    assert matched.only_incumbent == matched.decided == corpus.comparisons.decided.sum() < len(corpus.comparisons.group)


def test_margins_are_in_units_of_their_own_model(pairs_of: PairsOf) -> None:
    matched = pairs_of([1, -2, 3], [100, 400, -100])
    assert matched.scales == (2.0, 100.0)
    incumbent, candidate = matched.standardised(matched.usable_C)
    assert incumbent.tolist() == [0.5, -1.0, 1.5]
    assert candidate.tolist() == [1.0, 4.0, -1.0]
    assert not pairs_of([1, 1, 1], [0, 0, 5]).has_scales


def test_another_unit_and_another_zero_change_nothing(corpus: Corpus, quality: Floats) -> None:
    rng = np.random.default_rng(0)
    incumbent, candidate = (quality + rng.normal(0, spread, len(quality)) for spread in (0.3, 0.5))

    def figures(matched: Matched) -> dict[str, object]:
        thresholds = compare_thresholds()
        checks = [check_accuracy(matched), check_parts(matched, thresholds), check_disagreement(matched)]
        checks.append(check_gate(matched, checks, thresholds, margin=0.01, require_better=True))
        longer = length_difference(matched)
        facts = {name: fact for check in checks for name, fact in check.facts.items() if "scale" not in name}
        texts = [one.texts for check in checks for finding in check.findings for one in finding.examples]
        assert len(texts) > 20
        return facts | {"length": (longer.value, longer.low, longer.high), "texts": texts}

    one = figures(match(corpus, incumbent, candidate))
    other = figures(match(corpus, 8 * incumbent - 3, candidate / 4 + 100))
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, float | tuple):
            assert other[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
        else:
            assert other[name] == value, name
