"""Parts of the data on which a candidate is worse, and how many were looked at."""

from collections.abc import Callable

import numpy as np
import pytest

from palate.auditing.limits import compare_thresholds
from palate.auditing.scorer import Floats
from palate.auditing.slices import slices_of
from palate.auditing.versus.matched import Matched, match
from palate.auditing.versus.parts import check_parts, compare_parts
from palate.health.corpus import Corpus

PairsOf = Callable[..., Matched]


def sourced(pairs_of: PairsOf, *parts: tuple[int, int]) -> Matched:
    """24 pairs a source, of which the candidate does worse and better on so many."""
    incumbent, candidate, sources = [], [], []
    for number, (worse, better) in enumerate(parts):
        same = 24 - worse - better
        incumbent += [1] * worse + [-1] * better + [1] * same
        candidate += [-1] * worse + [1] * better + [1] * same
        sources += [f"s{number}"] * 24
    return pairs_of(incumbent, candidate, sources=sources)


def test_holm_over_parts_by_hand(pairs_of: PairsOf) -> None:
    # 8 of 8 worse: p = 2 / 2^8; 2 worse and 1 better of three: every sum of three signs is as far out: p = 1
    check = check_parts(sourced(pairs_of, (8, 0), (2, 1), (0, 0)), compare_thresholds())
    found = check.facts["parts.by_name"]
    assert list(found) == ["source: s0", "source: s1", "source: s2"]
    assert [one["p"] for one in found.values()] == [2 / 256, 1.0, 1.0]
    assert [one["p_holm"] for one in found.values()] == pytest.approx([6 / 256, 1.0, 1.0])
    assert found["source: s0"]["difference"] == pytest.approx(-8 / 24)
    (finding,) = check.findings
    assert (finding.id, finding.severity) == ("worse-slice", "fail")
    assert finding.title == "Where source: s0, the candidate's accuracy is 0.667 against 1.000 on 24 pairs."
    assert finding.measure.value == pytest.approx(6 / 256)
    assert (finding.count, len(finding.examples)) == (8, 8)


def test_the_same_loss_among_more_parts_may_be_chance(pairs_of: PairsOf) -> None:
    check = check_parts(sourced(pairs_of, (8, 0), *[(0, 0)] * 6), compare_thresholds())
    assert check.findings == ()
    assert check.facts["parts.least_p"] == pytest.approx(14 / 256)
    (finding,) = check_parts(
        sourced(pairs_of, (8, 0), *[(0, 0)] * 6), compare_thresholds({"worse-slice": 0.06})
    ).findings
    assert finding.measure.threshold == 0.06


def test_a_part_that_is_better_is_no_finding(pairs_of: PairsOf) -> None:
    check = check_parts(sourced(pairs_of, (0, 12), (0, 0)), compare_thresholds())
    assert check.findings == ()
    assert check.facts["parts.by_name"]["source: s0"]["p_holm"] < 0.01


def test_several_parts_are_named_once_the_largest_loss_first(pairs_of: PairsOf) -> None:
    check = check_parts(sourced(pairs_of, (12, 0), (0, 0), (16, 0)), compare_thresholds())
    (finding,) = check.findings
    assert finding.title.startswith("Where source: s2,")
    assert finding.title.endswith("It is worse as well where source: s0.")
    assert check.facts["parts.worse"] == ["source: s2", "source: s0"]
    assert {example.where for example in finding.examples} <= {f"pairs.jsonl:{row}" for row in range(49, 65)}


def test_pairs_of_a_prompt_are_one_observation(pairs_of: PairsOf) -> None:
    incumbent, candidate = [1] * 48, [-1] * 8 + [1] * 40
    sources = ["a"] * 24 + ["b"] * 24
    alone = compare_parts(pairs_of(incumbent, candidate, sources=sources))[0]
    together = compare_parts(pairs_of(incumbent, candidate, sources=sources, prompts=[0] * 8 + [*range(1, 41)]))[0]
    assert (alone.p_value, together.p_value) == (2 / 256, 1.0)


def turned(corpus: Corpus, quality: Floats, name: str) -> Matched:
    """A candidate that is wrong where the incumbent is right, on the pairs of one slice."""
    incumbent = match(corpus, quality, quality)
    part = next(one for one in slices_of(incumbent.candidate) if one.name == name)
    inside = np.zeros(len(quality), bool)
    for rows in (corpus.comparisons.winner, corpus.comparisons.loser):
        inside[rows[part.member_C]] = True
    return match(corpus, quality, np.where(inside, -quality, quality))


def test_a_part_that_was_turned_round_is_found(corpus: Corpus, quality: Floats) -> None:
    check = check_parts(turned(corpus, quality, "about as long"), compare_thresholds())
    assert "chosen is: about as long" in check.facts["parts.worse"]
    assert check.findings[0].measure.unit.endswith(f"over {check.facts['parts.tested']} parts")
    same = check_parts(match(corpus, quality, quality), compare_thresholds())
    assert same.findings == ()
    assert {one["p_holm"] for one in same.facts["parts.by_name"].values()} == {1.0, None}


def test_what_parts_labels_by_length_is_shown_but_not_tested(corpus: Corpus, quality: Floats) -> None:
    wordy = np.log1p(corpus.responses.characters)
    check = check_parts(match(corpus, wordy, quality), compare_thresholds())
    found = check.facts["parts.by_name"]
    assert found["chosen is: longer"]["difference"] < -0.02
    assert found["chosen is: longer"]["p"] < 0.01
    assert found["chosen is: longer"]["p_holm"] is found["chosen is: shorter"]["p_holm"] is None
    assert check.facts["parts.tested"] == len(found) - 2
    assert check.findings == ()
    assert "see longer-bias" in check.section.blocks[1].caption


def test_data_of_one_part_is_skipped(pairs_of: PairsOf) -> None:
    check = check_parts(pairs_of([1] * 30, [1] * 30), compare_thresholds())
    assert "no part of the data" in check.skipped


def test_every_part_shows_the_incumbent_above_the_candidate(pairs_of: PairsOf) -> None:
    bars = check_parts(sourced(pairs_of, (8, 0), (2, 1)), compare_thresholds()).section.blocks[0]
    assert bars.names == ("source: s0", "candidate", "source: s1", "candidate")
    assert bars.values == pytest.approx((1.0, 16 / 24, 23 / 24, 22 / 24))
    assert all(low <= value <= high for value, (low, high) in zip(bars.values, bars.intervals, strict=True))
    assert bars.labels[1].startswith("candidate where source: s0, 24 pairs")
