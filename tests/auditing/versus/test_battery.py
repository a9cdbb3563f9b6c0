"""The battery put to two models of known faults."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from palate.auditing.battery import BatteryResult, adversarial, battery, run_battery
from palate.auditing.limits import compare_thresholds
from palate.auditing.scorer import Floats
from palate.auditing.versus.battery import check_battery_of_both
from palate.metrics import tango_interval
from palate.records import PreferenceGroup
from palate.report.findings import Check

CHOSEN = [pair.chosen for pair in (*battery(), *adversarial())]


class Fake:
    """A model that sees a response's text alone."""

    name = "fake"

    def __init__(self, reward: Callable[[str], float]) -> None:
        self.reward = reward

    def score(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
        return [np.array([self.reward(response[-1].content) for response in group.responses]) for group in groups]


def losing(texts: Sequence[str], reward: float = -1.0) -> BatteryResult:
    """A model that is right but for some chosen responses."""
    return run_battery(Fake(lambda text: reward if text in texts else float(text in CHOSEN)))


def check(incumbent: BatteryResult, candidate: BatteryResult, **limits: float) -> Check:
    return check_battery_of_both(incumbent, candidate, compare_thresholds(limits))


def test_equal_models_do_not_differ() -> None:
    found = check(losing(CHOSEN[:3]), losing(CHOSEN[:3], -50))
    assert found.findings == ()
    assert (found.facts["battery.better"], found.facts["battery.worse"], found.facts["battery.mcnemar_p"]) == (
        0,
        0,
        1.0,
    )
    assert found.facts["battery.difference"] == 0


def test_pairs_that_the_candidate_alone_loses_are_shown() -> None:
    # both lose CHOSEN[11], which is no difference and no example
    found = check(losing([CHOSEN[0], CHOSEN[11]]), losing(CHOSEN[1:12]))
    pairs = len(CHOSEN)
    (finding,) = found.findings
    assert (finding.id, finding.severity, finding.count) == ("battery-worse", "warn", 10)
    assert finding.title == f"Of {pairs} hand-written pairs the candidate does worse on 10 and better on 1."
    expected = tango_interval(1, 10, pairs)
    assert (finding.measure.value, finding.measure.low, finding.measure.high) == pytest.approx(
        (9 / pairs, -expected.high, -expected.low)
    )
    assert {example.texts[1][1] for example in finding.examples} == set(CHOSEN[1:11])
    # of 11 discordant pairs at most 1 better: twice (1 + 11) in 2048
    assert found.facts["battery.mcnemar_p"] == pytest.approx(24 / 2048)
    (failed,) = check(losing(CHOSEN[:1]), losing(CHOSEN[1:11]), **{"battery-worse": 0.01}).findings
    assert failed.severity == "fail"


def test_a_few_lost_pairs_may_be_chance_and_better_is_no_finding() -> None:
    assert check(losing(CHOSEN[:1]), losing(CHOSEN[1:3])).findings == ()
    assert check(losing(CHOSEN[1:11]), losing(CHOSEN[:1])).findings == ()


def test_families_stand_side_by_side() -> None:
    first = battery()[0].family
    lost = [pair.chosen for pair in battery() if pair.family == first]
    found = check(losing([]), losing(lost))
    assert found.facts["battery.by_family"][first] == {"incumbent": 1.0, "candidate": 0.0}
    rows = found.section.blocks[0].rows
    assert rows[-1] == ("all", len(CHOSEN), 1.0, 1 - len(lost) / len(CHOSEN))
    assert sum(row[1] for row in rows[:-1]) == len(CHOSEN)


def test_pairs_without_a_reward_are_left_out_of_both() -> None:
    found = check(losing(CHOSEN[:2]), losing(CHOSEN[1:4], np.nan))
    assert found.facts["battery.unscored"] == 3
    assert found.facts["battery.pairs"] == len(CHOSEN) - 3
    assert (found.facts["battery.better"], found.facts["battery.worse"]) == (1, 0)
    nothing = run_battery(Fake(lambda _text: np.nan))
    assert "no pair" in check(losing([]), nothing).skipped
