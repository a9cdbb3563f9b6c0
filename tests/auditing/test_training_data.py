"""Inflation by leaked prompts: seen where it is beyond chance, and not read into the luck of a small sample."""

from pathlib import Path

import numpy as np
import pytest

from palate.auditing.limits import audit_thresholds
from palate.auditing.scorer import Scored
from palate.auditing.training_data import check_training_data
from palate.health.corpus import build_corpus
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Check


def pair(number: int) -> PreferenceGroup:
    responses = tuple((Message("assistant", f"{word} {number}"),) for word in ("good", "poor"))
    return PreferenceGroup(f"{number}", (Message("user", f"prompt {number}"),), responses, (Comparison(0, 1),))


def checked(folder: Path, *, leaked: int, right: int, clean: int, right_clean: int) -> Check:
    """The first pairs are in the training data too; of both parts the first are ranked right."""
    held = [pair(number) for number in range(leaked + clean)]
    for name in ("both", "held"):
        (folder / name).mkdir()
    both = build_corpus(held[:leaked], folder / "both", against=held)
    is_right = np.r_[np.arange(leaked) < right, np.arange(clean) < right_clean]
    reward_R = np.stack([is_right, ~is_right], axis=1).ravel().astype(np.float64)
    return check_training_data(both, Scored(build_corpus(held, folder / "held"), reward_R), audit_thresholds())


def test_the_luck_of_a_small_sample_is_no_inflation(tmp_path: Path) -> None:
    check = checked(tmp_path, leaked=50, right=37, clean=50, right_clean=31)
    assert check.facts["inflation.value"] == pytest.approx(0.06)  # more than the limit from which it fails
    assert check.facts["inflation.low"] < 0 < check.facts["inflation.high"]
    assert check.findings == ()


def test_what_is_beyond_chance_is_found(tmp_path: Path) -> None:
    check = checked(tmp_path, leaked=1000, right=950, clean=1000, right_clean=600)
    (finding,) = check.findings
    assert (finding.id, finding.severity) == ("inflated", "fail")
    assert finding.measure.value == pytest.approx(0.175)
    # half of the normal interval of the difference of two shares
    half = 1.96 * np.sqrt(0.95 * 0.05 / 1000 + 0.6 * 0.4 / 1000) / 2
    assert finding.measure.low == pytest.approx(0.175 - half, abs=2e-3)
    assert finding.measure.high == pytest.approx(0.175 + half, abs=2e-3)


def test_no_leak_is_nothing_to_compare(tmp_path: Path) -> None:
    check = checked(tmp_path, leaked=20, right=15, clean=0, right_clean=0)
    assert "inflation.value" not in check.facts
    assert check.findings == ()
