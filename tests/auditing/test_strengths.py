"""Margins against stated strengths, planted."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from palate.auditing.limits import audit_thresholds
from palate.auditing.ranking import check_ranking
from palate.auditing.scorer import Scored
from palate.auditing.strengths import strength_labels
from palate.data.read import read_preferences
from palate.health.corpus import build_corpus
from palate.records import Comparison, Message, PreferenceGroup


def scored(folder: Path, strength: np.ndarray, margin: np.ndarray, prompts: int = 10**6) -> Scored:
    groups = [
        PreferenceGroup(
            str(n),
            (Message("user", f"q{n % prompts}"),),
            tuple((Message("assistant", f"{side}{n}"),) for side in "ab"),
            (Comparison(0, 1, margin=float(value)),),
        )
        for n, value in enumerate(strength)
    ]
    return Scored(build_corpus(groups, folder), np.column_stack([margin, np.zeros_like(margin)]).ravel())


def test_each_strength_has_its_mean_margin_and_accuracy(tmp_path: Path) -> None:
    strength = np.array([0, 0, 1, 1, 1, 2, 2])
    margin = np.array([1.0, -1.0, 2.0, 0.0, 1.0, 3.0, 5.0])
    facts = strength_labels(scored(tmp_path, strength, margin)).facts
    steps = facts["strength.steps"]
    assert {name: (one["pairs"], one["accuracy"], one["margin"]) for name, one in steps.items()} == {
        "0": (2, 0.5, 0.0),
        "1": (3, pytest.approx(2.5 / 3), 1.0),
        "2": (2, 1.0, 4.0),
    }
    assert facts["strength.spearman"] == pytest.approx(spearmanr(strength, margin).statistic)


def test_many_strengths_are_shown_in_parts_with_equally_many_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    strength = rng.random(500)
    margin = 3 * strength + rng.normal(size=500)
    facts = strength_labels(scored(tmp_path, strength, margin)).facts
    steps = list(facts["strength.steps"].values())
    assert len(steps) == 5
    assert sum(one["pairs"] for one in steps) == 500
    assert all(abs(one["pairs"] - 100) <= 1 for one in steps)
    means = [one["margin"] for one in steps]
    assert means == sorted(means)
    assert facts["strength.spearman_low"] < spearmanr(strength, margin).statistic < facts["strength.spearman_high"]
    assert facts["strength.spearman_low"] > 0.5


def test_a_margin_that_says_nothing_has_an_interval_over_zero_that_knows_prompts(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    strength, noise = np.repeat(rng.random(25), 16), np.repeat(rng.normal(size=25), 16)
    width = []
    for prompts in (10**6, 25):
        # pairs of a prompt are alike in both: sixteen of them are hardly more than one
        order = np.argsort(np.tile(np.arange(16), 25), kind="stable")
        facts = strength_labels(scored(tmp_path, strength[order], noise[order], prompts)).facts
        width.append(facts["strength.spearman_high"] - facts["strength.spearman_low"])
    assert facts["strength.spearman_low"] < 0 < facts["strength.spearman_high"]
    assert width[1] > 2.5 * width[0]


def test_without_strengths_there_is_nothing_to_show(tmp_path: Path) -> None:
    same = scored(tmp_path, np.ones(40), np.arange(40.0))
    assert strength_labels(same).facts == {}
    assert not any(name.startswith("ranking.strength") for name in check_ranking(same, audit_thresholds()).facts)


def test_real_strengths_in_the_ranking_section(real_data: Path, tmp_path: Path) -> None:
    source = str(real_data / "squality_human_eval/all-responses.jsonl.gz")
    corpus = build_corpus(read_preferences(source).groups, tmp_path)
    labels = corpus.comparisons
    by_people = np.zeros(len(corpus.responses.group))
    np.add.at(by_people, labels.winner, labels.margin)
    np.add.at(by_people, labels.loser, -labels.margin)
    facts = check_ranking(Scored(corpus, by_people), audit_thresholds()).facts
    assert facts["ranking.strength.spearman_low"] > 0.7
    assert len(facts["ranking.strength.steps"]) == 5
