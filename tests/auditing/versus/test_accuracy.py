"""Accuracy of both on the same pairs, against counts and tests worked out by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from palate.auditing.scorer import Floats
from palate.auditing.versus import accuracy
from palate.auditing.versus.accuracy import check_accuracy
from palate.auditing.versus.matched import Matched, match
from palate.health.corpus import Corpus
from palate.report.findings import Check, Paragraph
from palate.report.plots import Scatter

PairsOf = Callable[..., Matched]


def scatter(check: Check) -> Scatter:
    (found,) = (block for block in check.section.blocks if isinstance(block, Scatter))
    return found


def said(check: Check) -> str:
    return " ".join(block.text for block in check.section.blocks if isinstance(block, Paragraph))


def test_mcnemar_by_hand(pairs_of: PairsOf) -> None:
    # 1 pair better, 7 worse, 12 alike: 2 (C(8,0) + C(8,1)) / 2^8 = 18 / 256
    incumbent = [-1] + [1] * 7 + [1] * 10 + [-1] * 2
    candidate = [1] + [-1] * 7 + [1] * 10 + [-1] * 2
    check = check_accuracy(pairs_of(incumbent, candidate))
    facts = check.facts
    assert (facts["accuracy.better"], facts["accuracy.worse"]) == (1, 7)
    assert facts["accuracy.mcnemar_p"] == pytest.approx(18 / 256)
    assert facts["accuracy.discordance"] == 8 / 20
    assert (facts["accuracy.incumbent"], facts["accuracy.candidate"]) == (17 / 20, 11 / 20)
    assert facts["accuracy.difference"] == pytest.approx(-6 / 20)
    assert facts["accuracy.difference_low"] < -6 / 20 < facts["accuracy.difference_high"]
    assert "better on 1 pairs and worse on 7" in said(check)
    assert "p = 0.0703" in said(check)


def test_equal_rewards_count_half(pairs_of: PairsOf) -> None:
    facts = check_accuracy(pairs_of([1, 1, -1, 0], [0, 1, 0, 1])).facts
    assert (facts["accuracy.incumbent"], facts["accuracy.candidate"]) == (2.5 / 4, 3 / 4)
    assert (facts["accuracy.better"], facts["accuracy.worse"]) == (2, 1)


def test_margins_are_compared_prompt_by_prompt(pairs_of: PairsOf) -> None:
    # two pairs differ, each by +0.5 median margins: one prompt has two signs, two prompts have four
    for prompts, p_value in (("aabcd", 2 / 2), ("abcde", 2 / 4)):
        facts = check_accuracy(pairs_of([5] * 5, [9, 9, 6, 6, 6], prompts=prompts)).facts
        assert facts["accuracy.margin_difference"] == pytest.approx(1 / 5)
        assert facts["accuracy.margin_p"] == p_value
    same = check_accuracy(pairs_of([5, 5, 2], [50, 50, 20])).facts
    assert (same["accuracy.margin_difference"], same["accuracy.margin_p"]) == (0.0, 1.0)


def test_a_model_without_a_scale_is_said_so(pairs_of: PairsOf) -> None:
    check = check_accuracy(pairs_of([1, 2, 3], [0, 0, 0]))
    assert check.facts["accuracy.margin_p"] is None
    assert "cannot be put on one scale" in said(check)
    assert not any(isinstance(block, Scatter) for block in check.section.blocks)


def test_points_tell_their_pair(pairs_of: PairsOf) -> None:
    points = scatter(check_accuracy(pairs_of([1, -2, 3], [20, 30, -10])))
    assert (points.x, points.y) == ((0.5, -1.0, 1.5), (1.0, 1.5, -0.5))
    assert points.labels[1].splitlines() == [
        "pairs.jsonl:2",
        "prompt: prompt 1",
        "chosen: good 00001",
        "rejected: poor 00001",
    ]
    assert "drawn at random" not in points.title


def test_a_sample_of_points_says_so(corpus: Corpus, quality: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "_POINTS", 50)
    check = check_accuracy(match(corpus, quality, 2 * quality))
    points = scatter(check)
    assert len(points.x) == len(points.labels) == 50
    assert f"50 of {check.facts['accuracy.pairs']:,}, drawn at random" in points.title
    assert points.x == points.y
    assert all(len(line) < 80 for label in points.labels for line in label.splitlines())


def test_what_is_left_out_is_counted(corpus: Corpus, quality: Floats) -> None:
    holes = quality.copy()
    holes[::9] = np.nan
    facts = check_accuracy(match(corpus, quality, holes)).facts
    left = facts["accuracy.unscored_by_candidate"]
    assert left > 50
    assert facts["accuracy.pairs"] + left == corpus.comparisons.decided.sum()
    assert facts["accuracy.label_ties"] == (~corpus.comparisons.decided).sum() > 0
    assert facts["accuracy.unscored_by_incumbent"] == facts["accuracy.unscored_by_both"] == 0
