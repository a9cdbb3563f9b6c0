"""What is said of reward models whose faults are known."""

import re
import unicodedata
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from palate.auditing.limits import audit_thresholds
from palate.auditing.probes.check import check_probes
from palate.auditing.probes.run import ProbeResult, run_probes
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Check, Finding, Table
from palate.report.plots import Bars

NAMES = ("Paris", "Rome", "Oslo", "Lima", "Cairo")
THINGS = ("museum", "harbour", "library", "market", "station", "garden")


def answer(rng: np.random.Generator, number: int) -> str:
    """Sentences with names, numbers and units, in an order that matters."""
    name, other = rng.choice(NAMES, 2, replace=False)
    first, second = rng.choice(THINGS, 2, replace=False)
    return (
        f"You can walk from the {first} to the {second} in {rng.integers(5, 90)} minutes. First of all, the way leads "
        f"past {name}, which was built with {rng.integers(2, 99)} rooms. After that it is easy to find. "
        f'People call it "the {other}" (number {number}). It is always open. Bring a good map and 3 cups of tea.'
    )


def make_groups(number: int) -> list[PreferenceGroup]:
    rng = np.random.default_rng(0)
    return [
        PreferenceGroup(
            f"{n}",
            (Message("user", f"How do I get to place number {n}, and what is there?"),),
            tuple((Message("assistant", text),) for text in (answer(rng, n), "No idea.")),
            (Comparison(0, 1),),
            f"held.jsonl:{n}",
        )
        for n in range(number)
    ]


GROUPS = make_groups(60)


class Model:
    """A reward for each prompt and response."""

    name = "model"

    def __init__(self, reward: Callable[[str, str], float]) -> None:
        self.reward = reward

    def score(self, groups: Sequence[PreferenceGroup]) -> list[NDArray[np.float64]]:
        return [
            np.array([self.reward(group.prompt[-1].content, text[-1].content) for text in group.responses], dtype=float)
            for group in groups
        ]


def noise(text: str) -> float:
    """In [-1, 1), from all of the text."""
    return zlib.crc32(text.encode()) / 2**31 - 1


def letters(text: str) -> str:
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text))


ORIGINALS = {group.prompt[-1].content: letters(group.responses[0][-1].content) for group in GROUPS}


def is_right(prompt: str, text: str) -> bool:
    return letters(text) == ORIGINALS[prompt]


MODELS: dict[str, Callable[[str, str], float]] = {
    "healthy": is_right,
    "constant": lambda prompt, text: 0.5,
    "length": lambda prompt, text: len(text) / 100,
    "bag of words": lambda prompt, text: sum(noise(word) for word in re.findall(r"\w+", text)),
    "position hash": lambda prompt, text: noise(text),
    "flattered": lambda prompt, text: 2.0 * ("Great question" in text) + is_right(prompt, text),
    "blind to the prompt": lambda prompt, text: noise(re.sub(r"\d", "", text)[:20]),
}


@pytest.fixture(scope="module")
def results() -> dict[str, ProbeResult]:
    return {name: run_probes(Model(reward), GROUPS) for name, reward in MODELS.items()}


def found(check: Check) -> dict[str, Finding]:
    return {finding.id: finding for finding in check.findings}


def wrong(check: Check) -> set[str]:
    names = check.facts["probes.wrong"]
    assert isinstance(names, list)
    return set(map(str, names))


def test_a_healthy_model_is_found_healthy(results: dict[str, ProbeResult]) -> None:
    check = check_probes(results["healthy"], audit_thresholds(), 1.0)
    assert check.findings == ()
    assert wrong(check) == set()
    assert not check.skipped


def test_a_constant_model_gains_nothing_and_loses_nothing(results: dict[str, ProbeResult]) -> None:
    for scale in (0.0, 1.0, float("nan")):
        check = check_probes(results["constant"], audit_thresholds(), scale)
        assert set(found(check)) == {"probe-lose"}
        (finding,) = check.findings
        assert (finding.severity, finding.measure.value) == ("warn", 0.0)
        assert {"other-answer", "shuffled-words", "cut-half", "wrong-number", "insult"} <= wrong(check)
        assert check.facts["probes.scale_is_median_margin"] is (scale == 1.0)


def test_a_lover_of_length_is_caught_gaining(results: dict[str, ProbeResult]) -> None:
    check = check_probes(results["length"], audit_thresholds(), 1.0)
    finding = found(check)["probe-gain"]
    assert finding.severity == "fail"
    assert "repeated-response" in finding.title
    assert {"filler", "closing", "repeated-response", "other-appended", "token-soup"} <= wrong(check)
    assert not {"empty", "exclamations", "upper-case", "cut-half"} & wrong(check)
    by_length = check.facts["probes.gain_by_length"]
    assert isinstance(by_length, float)
    assert by_length > 0.99
    assert "probe-move" not in found(check)  # a space more is a hundredth of a margin


def test_a_bag_of_words_does_not_see_the_order(results: dict[str, ProbeResult]) -> None:
    check = check_probes(results["bag of words"], audit_thresholds(), 1.0)
    assert {"shuffled-sentences", "shuffled-words"} <= wrong(check)
    facts = check.facts["probes.shuffled-sentences"]
    assert isinstance(facts, dict)
    assert (facts["mean"], facts["low"], facts["high"]) == pytest.approx((0, 0, 0), abs=1e-9)
    assert "probe-lose" in found(check)


def test_a_hash_of_the_text_moves_with_everything(results: dict[str, ProbeResult]) -> None:
    check = check_probes(results["position hash"], audit_thresholds(), 0.6)
    assert {"trailing-space", "final-newline", "quotes", "double-space", "zero-width-space"} <= wrong(check)
    assert "probe-move" in found(check)
    assert "probe-gain" not in found(check)  # up as often as down


def test_flattery_that_pays_fails_by_its_name(results: dict[str, ProbeResult]) -> None:
    check = check_probes(results["flattered"], audit_thresholds(), 1.0)
    (finding,) = check.findings
    assert (finding.id, finding.severity, wrong(check)) == ("probe-gain", "fail", {"flattery"})
    assert finding.title.startswith("1 of ")
    assert "most of all flattery: +1.00 margins" in finding.title
    assert finding.count == 60
    (example,) = finding.examples
    (_, prompt), (_, response), (_, edited) = example.texts
    assert edited == f"Great question! {response}"
    assert prompt.startswith("How do I get to")
    assert example.where.startswith("held.jsonl:")
    assert example.note == "flattery: +1.00 margins"

    (doubled,) = check_probes(results["flattered"], audit_thresholds(), 0.5).findings
    assert (doubled.measure.value, doubled.examples[0].note) == (2.0, "flattery: +2.00 margins")


def test_a_model_that_never_reads_the_prompt_is_caught_by_answers_to_others(results: dict[str, ProbeResult]) -> None:
    assert "other-answer" in wrong(check_probes(results["blind to the prompt"], audit_thresholds(), 0.5))


def test_thresholds_are_in_margins(results: dict[str, ProbeResult]) -> None:
    lenient = check_probes(results["flattered"], audit_thresholds({"probe-gain": 3.0}), 1.0)
    assert [finding.severity for finding in lenient.findings] == ["warn"]
    assert "probe-gain" not in found(
        check_probes(results["flattered"], audit_thresholds(), 20.0)
    )  # a twentieth of a margin


def test_every_figure_is_in_the_facts_and_on_the_page(results: dict[str, ProbeResult]) -> None:
    result = results["length"]
    check = check_probes(result, audit_thresholds(), 1.0)
    applied = {result.probes[number].name for number in result.probe_E}
    assert {f"probes.{name}" for name in applied} <= check.facts.keys()
    assert check.facts["probes.never_applied"] == [one.name for one in result.probes if one.name not in applied]
    assert all(name.startswith("probes.") for name in check.facts)
    tables = [block for block in check.section.blocks if isinstance(block, Table)]
    bars = [block for block in check.section.blocks if isinstance(block, Bars)]
    assert sorted(str(row[0]) for table in tables for row in table.rows) == sorted(applied)
    assert all(len(row) == len(table.columns) for table in tables for row in table.rows)
    assert (len(tables), len(bars)) == (3, 3)
    for plot in bars:
        assert len(plot.names) == len(plot.values) == len(plot.intervals) == len(plot.labels)
        assert all(low <= value <= high for value, (low, high) in zip(plot.values, plot.intervals, strict=True))
    assert check.section.why.count(". ") == 1  # two sentences


def test_where_nothing_can_be_said_nothing_is() -> None:
    nothing = check_probes(run_probes(Model(lambda prompt, text: 0.0), []), audit_thresholds(), 1.0)
    assert nothing.skipped == "there is no response that could be edited"
    unscored = check_probes(run_probes(Model(lambda prompt, text: float("nan")), GROUPS[:3]), audit_thresholds(), 1.0)
    assert unscored.skipped == "no edited response has a reward"
    assert unscored.facts["probes.unscored"] == unscored.facts["probes.edits"] != 0
    few = check_probes(run_probes(Model(MODELS["length"]), GROUPS[:3]), audit_thresholds(), 1.0)
    assert (few.findings, few.skipped) == ((), "")
