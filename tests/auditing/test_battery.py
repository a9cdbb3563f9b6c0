"""The battery put to models of known faults, and what the check says of them."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from palate.auditing.battery import (
    BatteryResult,
    Outcome,
    adversarial,
    battery,
    battery_summary,
    check_battery,
    quick,
    run_battery,
)
from palate.auditing.battery.check import EXAMPLES
from palate.auditing.limits import audit_thresholds
from palate.auditing.scorer import Floats
from palate.metrics import wilson_interval
from palate.records import PreferenceGroup
from palate.report.findings import Check, Paragraph, Table
from palate.report.plots import Bars

CHOSEN = {pair.chosen for pair in (*battery(), *adversarial())}


class Fake:
    """A model that sees a response's text alone."""

    name = "fake"

    def __init__(self, reward: Callable[[str], float]) -> None:
        self.reward = reward
        self.calls: list[Sequence[PreferenceGroup]] = []

    def score(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
        self.calls.append(groups)
        return [np.array([self.reward(response[-1].content) for response in group.responses]) for group in groups]


def oracle(text: str) -> float:
    return 2.0 if text in CHOSEN else 0.5


def swapped(text: str) -> float:
    return -oracle(text)


def constant(text: str) -> float:
    return 0.0


def wordy(text: str) -> float:
    return float(len(text))


def check(reward: Callable[[str], float], scale: float | None = None, **limits: float) -> Check:
    return check_battery(run_battery(Fake(reward)), audit_thresholds(limits), scale)


def severities(found: Check) -> dict[str, str]:
    return {finding.id: finding.severity for finding in found.findings}


def test_an_oracle_wins_everything() -> None:
    result = run_battery(Fake(oracle))
    assert result.model == "fake"
    assert not result.quick
    assert result.trivial.pairs == battery()
    assert result.adversarial.pairs == adversarial()
    for part in (result.trivial, result.adversarial):
        assert part.accuracy == part.reaching(1.0) == part.reaching(1.5) == 1.0
        assert part.reaching(1.6) == 0.0
        assert part.median == 1.5
        assert part.lost() == ()
    assert check(oracle).findings == ()


def test_swapped_labels_lose_everything() -> None:
    found = check(swapped)
    assert severities(found) == {"battery": "fail", "adversarial": "fail"}
    assert found.facts["battery.accuracy"] == found.facts["battery.adversarial.accuracy"] == 0.0
    assert found.facts["battery.reaches_1"] == 0.0


def test_a_constant_model_scores_a_half() -> None:
    found = check(constant)
    assert found.facts["battery.accuracy"] == found.facts["battery.adversarial.accuracy"] == 0.5
    assert found.facts["battery.ties"] == len(battery())
    assert severities(found)["battery"] == "warn"  # that it is constant is a finding of mechanics
    (finding, *_) = found.findings
    assert finding.measure.value == 0.5
    assert "by equal rewards, which count half" in finding.title


def test_a_lover_of_length_scores_about_a_half() -> None:
    result = run_battery(Fake(wordy))
    waffle = result.trivial.families()["waffle"]
    assert waffle.accuracy == 0.0
    rest = result.trivial.take(np.array([pair.family != "waffle" for pair in result.trivial.pairs]))
    assert rest.accuracy == pytest.approx(0.5, abs=0.05)
    assert result.adversarial.accuracy == 0.5
    longer, shorter = result.trivial.by_length()
    assert longer.accuracy == 1.0
    assert shorter.accuracy == 0.0
    facts = check(wordy).facts
    assert facts["battery.accuracy_chosen_longer"] == 1.0
    assert facts["battery.accuracy_chosen_shorter"] == 0.0
    assert "100% of the" in says(check(wordy))
    assert "0% of the" in says(check(wordy))


def says(found: Check) -> str:
    return " ".join(block.text for block in found.section.blocks if isinstance(block, Paragraph))


def test_all_is_scored_in_one_call() -> None:
    model = Fake(oracle)
    run_battery(model)
    assert len(model.calls) == 1
    assert len(model.calls[0]) == len(battery()) + len(adversarial())


def test_the_quick_part_is_said_to_be_one() -> None:
    result = run_battery(Fake(oracle), only_quick=True)
    assert result.quick
    assert result.trivial.pairs == quick(battery())
    assert result.adversarial.pairs == quick(adversarial())
    assert check_battery(result, audit_thresholds()).facts["battery.quick"] is True


def outcome(*margins: float) -> Outcome:
    return Outcome(battery()[: len(margins)], np.array(margins))


def test_figures_by_hand() -> None:
    found = outcome(2.0, 1.0, 0.5, 0.0, -3.0, np.nan, np.inf)
    assert found.scored == 5
    assert found.accuracy == pytest.approx((3 + 0.5) / 5)
    assert found.reaching(1.0) == pytest.approx(2 / 5)
    assert found.median == 0.5
    interval = wilson_interval(3.5, 5)
    assert found.interval == interval
    assert [(pair.id, margin) for pair, margin in found.lost()] == [("arithmetic-05", -3.0), ("arithmetic-04", 0.0)]


def test_what_could_not_be_scored_is_counted() -> None:
    def short_only(text: str) -> float:
        return np.nan if len(text) > 1500 else oracle(text)

    found = check(short_only)
    assert found.facts["battery.unscored"] == 8
    assert found.facts["battery.accuracy"] == 1.0
    assert found.facts["battery.by_family"]["waffle"]["accuracy"] is None
    tables = [block for block in found.section.blocks if isinstance(block, Table)]
    assert "8 without a finite reward left out" in tables[0].caption
    assert ("waffle", 0, None, None, None) in tables[0].rows
    assert "waffle" not in next(block for block in found.section.blocks if isinstance(block, Bars)).names


@pytest.mark.parametrize("reward", [np.nan, np.inf])
def test_a_model_without_finite_rewards_is_not_judged(reward: float) -> None:
    found = check(lambda _text: reward)
    assert found.skipped
    assert not found.findings
    assert not found.facts


def test_one_part_alone_is_judged() -> None:
    result = run_battery(Fake(oracle))
    missing = Outcome(adversarial(), np.full(len(adversarial()), np.nan))
    found = check_battery(BatteryResult("half", result.trivial, missing), audit_thresholds())
    assert not found.skipped
    assert found.facts["battery.adversarial.accuracy"] is None
    assert f"None of the {len(adversarial())} adversarial pairs" in says(found)


def test_the_interval_judges() -> None:
    """A loss of 8 % of 220 pairs has an interval that begins below 5 %: no warning; 12 % has not."""
    trivial = battery()
    assert len(trivial) == 220
    for lost, expected in ((17, {}), (27, {"battery": "warn"}), (88, {"battery": "warn"}), (125, {"battery": "fail"})):
        margins = np.where(np.arange(len(trivial)) < lost, -1.0, 1.0)
        fine = Outcome(adversarial(), np.ones(len(adversarial())))
        found = check_battery(BatteryResult("m", Outcome(trivial, margins), fine), audit_thresholds())
        assert severities(found) == expected, lost
        for finding in found.findings:
            assert finding.count == lost
            assert finding.measure.value == pytest.approx(lost / len(trivial))
            interval = wilson_interval(lost, len(trivial))
            assert (finding.measure.low, finding.measure.high) == pytest.approx((interval.low, interval.high))


def test_limits_can_be_set() -> None:
    assert severities(check(wordy, battery=0.9, adversarial=0.9)) == {"battery": "warn", "adversarial": "warn"}


def test_lost_pairs_are_shown_family_by_family() -> None:
    (finding, *_) = check(swapped).findings
    assert len(finding.examples) == EXAMPLES
    assert len({example.where.split(":")[0] for example in finding.examples}) == EXAMPLES
    first = finding.examples[0]
    pair = next(pair for pair in battery() if pair.where == first.where)
    assert dict(first.texts) == {"prompt": pair.prompt[0].content, "better": pair.chosen, "worse": pair.rejected}
    assert pair.why in first.note
    assert "-1.50" in first.note


def test_a_conversation_is_shown_with_its_roles() -> None:
    def forgetful(text: str) -> float:
        return -1.0 if any(text == pair.chosen for pair in battery() if pair.family == "memory") else oracle(text)

    (finding,) = check(forgetful, battery=0.01).findings
    assert finding.count == 10
    assert dict(finding.examples[0].texts)["prompt"].startswith("user: ")


def test_margins_in_units_of_held_out_margins() -> None:
    found = check(oracle, scale=3.0)
    assert found.facts["battery.scale"] == 3.0
    assert found.facts["battery.median_margin_scaled"] == 0.5
    assert found.facts["battery.reaches_scale"] == 0.0
    table = next(block for block in found.section.blocks if isinstance(block, Table))
    assert all(len(row) == len(table.columns) == 7 for row in table.rows)
    assert table.rows[-1] == ("all", len(battery()), 1.0, 1.0, 1.5, 0.0, 0.5)
    for none in (None, 0.0, np.nan):
        without = check(oracle, scale=none)
        assert without.facts["battery.median_margin_scaled"] is None
        table = next(block for block in without.section.blocks if isinstance(block, Table))
        assert all(len(row) == len(table.columns) == 5 for row in table.rows)


def test_bars_have_an_interval_and_a_label_each() -> None:
    for block in check(wordy).section.blocks:
        if isinstance(block, Bars):
            assert len(block.names) == len(block.values) == len(block.intervals) == len(block.labels)
            assert all(low <= value <= high for value, (low, high) in zip(block.values, block.intervals, strict=True))
            assert block.reference == 0.5


def test_facts_begin_with_the_section_and_are_json() -> None:
    for reward in (oracle, constant, wordy):
        found = check(reward)
        assert all(name.startswith(f"{found.section.key}.") for name in found.facts)
        json.dumps(dict(found.facts), allow_nan=False)


def test_the_summary_for_a_log() -> None:
    summary = battery_summary(run_battery(Fake(wordy), only_quick=True))
    assert summary["pairs"] == len(quick(battery())) + len(quick(adversarial()))
    assert summary["unscored"] == 0
    assert summary["adversarial_accuracy"] == 0.5
    assert summary["by_family"]["dates"] == 0.5
    assert summary["by_family"]["waffle"] == 0.0
    assert summary["accuracy"] == pytest.approx((2 * 21) / (4 * 21 + 2))
    nothing = battery_summary(run_battery(Fake(lambda _text: np.nan)))
    assert nothing["accuracy"] is None
    assert nothing["unscored"] == len(battery()) + len(adversarial())
    json.dumps([summary, nothing], allow_nan=False)
