"""What passes the gate, what does not, and the reason that is given, with numbers that are known."""

from collections.abc import Callable

import numpy as np
import pytest

from palate.auditing.limits import compare_thresholds
from palate.auditing.versus.bound import FEWEST_PROMPTS, pairs_needed
from palate.auditing.versus.gate import check_gate
from palate.auditing.versus.matched import Matched
from palate.metrics import AccuracyDifference, Estimate, accuracy_difference
from palate.metrics import gate as accuracy_gate
from palate.report.findings import Check, Finding, Measure, Section

PairsOf = Callable[..., Matched]
Z = 1.6448536


def discordant(pairs_of: PairsOf, pairs: int, *, better: int = 0, worse: int = 0, prompts: int = 0) -> Matched:
    """Pairs on which both are right but for so many."""
    same = pairs - better - worse
    incumbent = [-1] * better + [1] * worse + [1] * same
    candidate = [1] * better + [-1] * worse + [1] * same
    return pairs_of(incumbent, candidate, prompts=[row % prompts for row in range(pairs)] if prompts else None)


def gate(matched: Matched, *others: Check, margin: float = 0.01, require_better: bool = False) -> Check:
    command = "palate audit RM2 --data D --out audit"
    return check_gate(
        matched,
        others,
        compare_thresholds(),
        margin=margin,
        require_better=require_better,
        audit_command=command,
    )


def ids(check: Check) -> dict[str, str]:
    return {finding.id: finding.severity for finding in check.findings}


def test_equal_models_pass_with_tangos_bound(pairs_of: PairsOf) -> None:
    check = gate(discordant(pairs_of, 400))
    assert check.facts["gate.passed"] is True
    assert check.facts["gate.bound"] == pytest.approx(-(Z**2) / (400 + Z**2))
    assert check.facts["gate.verdict"].startswith("Gate passed. The candidate is no worse: its accuracy is 1.000")
    assert ids(check) == {"no-worse": "info"}


@pytest.mark.parametrize(("pairs", "passed"), [(267, False), (268, True)])
def test_the_pairs_that_are_needed_are_enough(pairs_of: PairsOf, pairs: int, passed: bool) -> None:
    check = gate(discordant(pairs_of, pairs))
    assert check.facts["gate.pairs_needed"] == 268
    assert check.facts["gate.passed"] is passed
    if not passed:
        (finding,) = check.findings
        assert "too little data to tell" in finding.cure
        assert "about 268 pairs" in finding.cure


def test_the_bound_is_one_sided_and_decides_alone(pairs_of: PairsOf) -> None:
    # difference -0.005, standard error sqrt(45 - 5^2 / 1000) / 1000 = 0.0067
    matched = discordant(pairs_of, 1000, better=20, worse=25)
    expected = -0.005 - Z * np.sqrt(45 - 0.025) / 1000
    short, wide = gate(matched, margin=0.01), gate(matched, margin=0.02)
    assert short.facts["gate.bound"] == pytest.approx(expected, abs=0.0015)
    assert short.facts["gate.bound"] == wide.facts["gate.bound"]
    assert (short.facts["gate.passed"], wide.facts["gate.passed"]) == (False, True)
    assert ids(short) == {"not-shown": "fail"}
    (finding,) = short.findings
    assert finding.measure.threshold == 0.01
    assert finding.measure.value == -short.facts["gate.bound"]
    assert "-0.005" in finding.title


def test_surely_worse_is_called_worse_and_not_too_little_data(pairs_of: PairsOf) -> None:
    matched = discordant(pairs_of, 1000, better=10, worse=60)
    check = gate(matched, margin=0.02)
    assert ids(check) == {"worse": "fail"}
    (finding,) = check.findings
    assert finding.measure.value == pytest.approx(0.05)
    assert finding.measure.low > 0
    assert finding.measure.low < 0.05 < finding.measure.high
    assert finding.command == "palate audit RM2 --data D --out audit"
    assert check.facts["gate.verdict"].startswith(
        "Gate failed (worse). The candidate is less accurate: 0.940 against 0.990"
    )
    # a loss that is sure, but surely within what was allowed
    assert gate(matched, margin=0.08).facts["gate.passed"] is True


def test_both_orders(pairs_of: PairsOf) -> None:
    one = gate(discordant(pairs_of, 1000, better=60, worse=10))
    assert one.facts["gate.passed"] is True
    assert one.facts["gate.bound"] > 0


def test_better_can_be_required(pairs_of: PairsOf) -> None:
    surely = gate(discordant(pairs_of, 500, better=30, worse=5), require_better=True)
    assert surely.facts["gate.passed"] is True
    hardly = gate(discordant(pairs_of, 500, better=6, worse=4), require_better=True, margin=0.03)
    assert ids(hardly) == {"no-worse": "info", "not-better": "fail"}
    assert hardly.facts["gate.failed"] == ["not-better"]
    same = gate(discordant(pairs_of, 500), require_better=True)
    assert same.facts["gate.failed"] == ["not-better"]


def test_a_few_prompts_say_little_about_others(pairs_of: PairsOf) -> None:
    few = gate(discordant(pairs_of, 600, better=100, prompts=FEWEST_PROMPTS - 1), require_better=True)
    assert few.facts["gate.bound"] > 0.1
    assert few.facts["gate.failed"] == ["not-shown", "not-better"]
    assert all("19 prompts are too few" in finding.title for finding in few.findings)
    assert "more prompts" in few.findings[0].cure
    assert gate(discordant(pairs_of, 600, prompts=FEWEST_PROMPTS)).facts["gate.passed"] is True


def test_a_candidate_without_rewards_does_not_pass_by_that(pairs_of: PairsOf) -> None:
    nan = np.nan
    incumbent = [1.0] * 1000
    few, many = ([nan] * holes + [1.0] * (1000 - holes) for holes in (5, 30))
    warned = gate(pairs_of(incumbent, few))
    assert ids(warned) == {"no-worse": "info", "unscored": "warn"}
    assert (warned.facts["gate.passed"], warned.facts["gate.failed"]) == (True, [])
    check = gate(pairs_of(incumbent, many))
    assert ids(check) == {"no-worse": "info", "unscored": "fail"}
    assert check.facts["gate.failed"] == ["unscored"]
    assert "no reward to 30 of 1,000 pairs" in check.facts["gate.verdict"]
    assert ids(gate(pairs_of(many, incumbent))) == {"no-worse": "info"}


def test_whatever_fails_elsewhere_fails_the_gate(pairs_of: PairsOf) -> None:
    def check(key: str, severity: str) -> Check:
        finding = Finding(f"{key}-worse", severity, f"The {key} is worse.", Measure(0.1, "share"), "Mend it.")
        return Check(Section(key, key.title(), "why", ()), (finding,), {f"{key}.least_p": 0.01, f"{key}.tested": 3})

    warned = gate(discordant(pairs_of, 400), check("battery", "warn"))
    assert warned.facts["gate.passed"] is True
    failed = gate(discordant(pairs_of, 400), check("battery", "fail"), check("parts", "fail"))
    assert failed.facts["gate.failed"] == ["battery-worse", "parts-worse"]
    assert failed.facts["gate.verdict"].endswith("The battery is worse. The parts is worse.")
    rules = failed.section.blocks[1].rows
    assert [rule[2] for rule in rules] == ["yes", "yes", "no: battery-worse", "no: parts-worse"]


def test_pairs_needed_by_hand() -> None:
    found = AccuracyDifference(0.7, 0.7, Estimate(0.0, -0.03, 0.03), "prompt-bootstrap", 500)
    power = (1 + 0.8416212 / Z) ** 2
    assert pairs_needed(found, 0.01) == np.ceil(4500 * power)  # a third of the width takes nine times the pairs
    assert pairs_needed(found, 0.05) == np.ceil(180 * power)
    assert pairs_needed(found, 0.0) is None
    wider = AccuracyDifference(0.7, 0.7, Estimate(0.0, -0.03, 0.03), "tango", 500)
    assert pairs_needed(wider, 0.01) == 268  # no discordant pair: z^2 (1 / 0.01 - 1)


@pytest.mark.slow
def test_with_the_pairs_needed_four_of_five_equal_models_pass() -> None:
    # 400 repetitions see 80 % as 76 to 84 % (two standard errors); prompts of two pairs that go together
    rng = np.random.default_rng(0)

    def models(pairs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        prompt = np.arange(pairs) // 2
        ease = rng.normal(0.7, 1, pairs)[prompt]
        candidate, incumbent = (ease + rng.normal(0, 0.4, pairs // 2 + 1)[prompt] for _ in range(2))
        noise = rng.normal(0, 0.2, (2, pairs))
        return candidate + noise[0], incumbent + noise[1], prompt

    needed = [pairs_needed(accuracy_difference(*models(1000), confidence=0.9), 0.03) for _ in range(50)]
    pairs = int(np.mean(needed))
    passed = [
        accuracy_gate(candidate, incumbent, prompt, delta=0.03).passed
        for candidate, incumbent, prompt in (models(pairs) for _ in range(400))
    ]
    assert 0.76 <= np.mean(passed) <= 0.84


def test_a_margin_of_nothing_says_that_nothing_can_show_it(pairs_of: PairsOf) -> None:
    check = gate(discordant(pairs_of, 400), margin=0.0)
    assert ids(check) == {"not-shown": "fail"}
    assert "margin of 0" in check.findings[0].cure


def test_enough_pairs_are_not_called_too_few(pairs_of: PairsOf) -> None:
    # difference -0.014, standard error 0.0085: at a margin of 0.025, 1,000 pairs would do for equal models
    check = gate(discordant(pairs_of, 1000, better=29, worse=43), margin=0.025)
    assert ids(check) == {"not-shown": "fail"}
    assert check.facts["gate.pairs_needed"] < 1000
    assert "pairs enough" in check.findings[0].cure
