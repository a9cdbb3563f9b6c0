"""Rewards that are length, marks of form, or neither."""

import numpy as np
import pytest

from palate.auditing.appearance import check_appearance
from palate.auditing.calibration import check_calibration
from palate.auditing.limits import audit_thresholds
from palate.auditing.scorer import Floats, Scored
from palate.data.simulate import simulate
from palate.health.corpus import Corpus, build_corpus
from palate.report.findings import Check

MADE = simulate(300, seed=4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_corpus(MADE.groups, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def quality() -> Floats:
    return np.array([response.quality for truth in MADE.truth for response in truth.responses])


def ids(check: Check) -> dict[str, str]:
    return {finding.id: finding.severity for finding in check.findings}


def test_a_reward_that_is_length_is_called_so(corpus: Corpus, quality: Floats) -> None:
    log = np.log(1 + corpus.responses.characters)
    check = check_appearance(Scored(corpus, log), audit_thresholds())
    assert ids(check)["length-bias"] == "fail"
    assert check.facts["appearance.length_r2_pooled_log"] == pytest.approx(1.0)
    assert check.facts["appearance.accuracy_longer"] == 1.0
    assert check.facts["appearance.accuracy_shorter"] == 0.0


def test_a_reward_that_is_quality_is_not(corpus: Corpus, quality: Floats) -> None:
    check = check_appearance(Scored(corpus, quality), audit_thresholds())
    assert ids(check) == {}
    assert check.facts["appearance.length_r2_pooled_log"] < 0.15
    assert check.facts["appearance.style_explained"] < 0.3


def test_a_reward_that_counts_marks_is_called_so(corpus: Corpus) -> None:
    column = int(np.argmax((corpus.responses.style > 0).sum(axis=0)))  # the commonest mark of this set
    check = check_appearance(Scored(corpus, corpus.responses.style[:, column].astype(np.float64)), audit_thresholds())
    assert "style-artifact" in ids(check)
    assert check.facts["appearance.style_explained"] > 0.5


def test_too_little_is_said(corpus: Corpus) -> None:
    nothing = Scored(corpus, np.full(len(corpus.responses.key), np.nan))
    assert "are needed" in check_appearance(nothing, audit_thresholds()).skipped
    assert "are needed" in check_calibration(nothing, audit_thresholds()).skipped


def test_margins_that_claim_too_much_are_cooled(corpus: Corpus) -> None:
    rng = np.random.default_rng(0)
    labels = corpus.comparisons
    # labels drawn from the rewards themselves: calibrated by construction at temperature 1
    reward = rng.normal(size=len(corpus.responses.key))
    right = rng.random(len(labels.group)) < 1 / (1 + np.exp(-np.abs(reward[labels.winner] - reward[labels.loser])))
    keep = right == (reward[labels.winner] > reward[labels.loser])
    subset = labels.__class__(*(getattr(labels, name)[keep] for name in labels.__slots__))
    certain = subset.__class__(
        subset.group, subset.winner, subset.loser, subset.margin, np.ones(len(subset.group)), subset.weight
    )
    drawn = Corpus(**{name: getattr(corpus, name) for name in corpus.__slots__} | {"comparisons": certain})
    sound = check_calibration(Scored(drawn, reward), audit_thresholds())
    assert ids(sound) == {}
    assert 0.6 < sound.facts["calibration.temperature"] < 1.6
    loud = check_calibration(Scored(drawn, 5 * reward), audit_thresholds())
    assert ids(loud) == {"miscalibrated": "warn"}
    ratio = loud.facts["calibration.temperature"] / sound.facts["calibration.temperature"]
    assert ratio == pytest.approx(5, rel=1e-3)
    assert loud.facts["calibration.after.ece"] < loud.facts["calibration.before.ece"]
