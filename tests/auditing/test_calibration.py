"""What is said of margins as probabilities: a temperature is advised only where there is one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from palate.auditing.calibration import check_calibration
from palate.auditing.limits import audit_thresholds
from palate.auditing.scorer import Scored
from palate.health.corpus import build_corpus
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Check, Finding


def of_margins(margins: Sequence[float], folder: Path) -> Check:
    groups = [
        PreferenceGroup(
            f"{n}",
            (Message("user", f"prompt {n}"),),
            tuple((Message("assistant", f"{word} {n}"),) for word in ("good", "poor")),
            (Comparison(0, 1),),
        )
        for n in range(len(margins))
    ]
    reward_R = np.column_stack([margins, np.zeros(len(margins))]).ravel()
    return check_calibration(Scored(build_corpus(groups, folder), reward_R), audit_thresholds())


def only(check: Check) -> Finding:
    (finding,) = check.findings
    assert finding.id == "miscalibrated"
    return finding


def test_a_temperature_that_fits_is_advised(tmp_path: Path) -> None:
    check = of_margins([4.0] * 60 + [-4.0] * 40, tmp_path)
    assert check.facts["calibration.temperature_status"] == "fitted"
    assert "too sure of itself (temperature" in only(check).title
    assert "--save-temperature" in only(check).cure


def test_where_nothing_is_wrong_none_can_be_fitted(tmp_path: Path) -> None:
    check = of_margins([0.1] * 100, tmp_path)
    assert check.facts["calibration.temperature_status"] == "separable"
    assert "every pair is ranked right" in only(check).title
    assert "--save-temperature" not in only(check).cure
    assert "ivide" not in only(check).cure


def test_margins_that_point_the_wrong_way_are_not_cooled(tmp_path: Path) -> None:
    check = of_margins([1.0] * 20 + [-1.0] * 80, tmp_path)
    assert check.facts["calibration.temperature_status"] == "no-signal"
    assert "point the wrong way" in only(check).title
    assert "inf" not in only(check).title
    assert "--save-temperature" not in only(check).cure
