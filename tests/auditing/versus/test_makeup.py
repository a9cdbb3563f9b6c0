"""Calibration, length and style of both, as an audit of each alone would have them."""

import numpy as np
import pytest

from palate.auditing.appearance import check_appearance
from palate.auditing.calibration import check_calibration
from palate.auditing.limits import audit_thresholds, compare_thresholds
from palate.auditing.scorer import Floats, Scored
from palate.auditing.versus.makeup import check_makeup, length_difference, r2_difference
from palate.auditing.versus.matched import match
from palate.health.corpus import Corpus
from palate.metrics import length_dependence
from palate.report.findings import Check, Table


def ids(check: Check) -> dict[str, str]:
    return {finding.id: finding.severity for finding in check.findings}


def test_the_difference_is_that_of_the_audits_figures(corpus: Corpus, quality: Floats) -> None:
    reward = 5 * quality + 0.02 * corpus.responses.characters
    found = length_difference(match(corpus, quality, reward))
    prompt = corpus.groups.prompt_key[corpus.responses.group]
    one, other = (length_dependence(column, corpus.responses.characters, prompt) for column in (quality, reward))
    assert found.value == pytest.approx(other.within_log.r2.value - one.within_log.r2.value)
    assert found.low < found.value < found.high


def test_the_interval_is_that_of_a_loop_over_prompts() -> None:
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(60), 3)
    length = rng.normal(size=180)
    one, other = rng.normal(size=180), rng.normal(size=180) + 0.6 * length
    found = r2_difference(one, other, length, prompt)

    def share(column: Floats, rows: Floats) -> float:
        centred = [values - values.reshape(-1, 3).mean(axis=1).repeat(3) for values in (column[rows], length[rows])]
        return float(np.corrcoef(*centred)[0, 1] ** 2)

    rows_of = np.arange(180).reshape(60, 3)
    drawn = []
    for _ in range(2000):
        rows = rows_of[rng.integers(0, 60, 60)].ravel()
        drawn.append(share(other, rows) - share(one, rows))
    rows = np.arange(180)
    assert found.value == pytest.approx(share(other, rows) - share(one, rows))
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.08 * width)


def test_a_candidate_that_likes_length_more_is_called_so(corpus: Corpus, quality: Floats) -> None:
    wordy = quality + 3 * np.log1p(corpus.responses.characters)
    check = check_makeup(match(corpus, quality, wordy), compare_thresholds())
    assert ids(check) == {"longer-bias": "warn"}
    assert "of the candidate's reward" in check.findings[0].title
    failing = compare_thresholds({"longer-bias": 0.1})
    assert ids(check_makeup(match(corpus, quality, wordy), failing)) == {"longer-bias": "fail"}


def test_a_candidate_that_likes_length_less_is_not(corpus: Corpus, quality: Floats) -> None:
    wordy = quality + 3 * np.log1p(corpus.responses.characters)
    assert ids(check_makeup(match(corpus, wordy, quality), compare_thresholds())) == {}
    assert ids(check_makeup(match(corpus, wordy, 3 * wordy), compare_thresholds())) == {}


def test_figures_are_those_of_an_audit(corpus: Corpus, quality: Floats) -> None:
    noisy = quality + np.random.default_rng(1).normal(0, 0.4, len(quality))
    check = check_makeup(match(corpus, quality, noisy), compare_thresholds())
    for side, reward in (("incumbent", quality), ("candidate", noisy)):
        scored = Scored(corpus, reward)
        for one in (check_calibration(scored, audit_thresholds()), check_appearance(scored, audit_thresholds())):
            for name, fact in one.facts.items():
                assert check.facts[f"makeup.{side}.{name}"] == fact
    shares, others = (block for block in check.section.blocks if isinstance(block, Table))
    named = {row[0]: row[1:] for row in (*shares.rows, *others.rows)}
    assert named["the same within prompts"] == (
        check.facts["makeup.incumbent.appearance.length_r2_within_log"],
        check.facts["makeup.candidate.appearance.length_r2_within_log"],
    )
    assert named["temperature"][1] == check.facts["makeup.candidate.calibration.temperature"]


def test_too_little_is_said(corpus: Corpus, quality: Floats) -> None:
    few = np.where(corpus.responses.group < 3, quality, np.nan)
    check = check_makeup(match(corpus, quality, few), compare_thresholds())
    assert "are needed" in check.skipped


def test_a_constant_model_has_no_share(corpus: Corpus, quality: Floats) -> None:
    check = check_makeup(match(corpus, quality, np.zeros(len(quality))), compare_thresholds())
    assert ids(check) == {}
    assert np.isnan(check.facts["makeup.length_r2_difference"])
