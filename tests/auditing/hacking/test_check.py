"""Findings where gold falls or hardly rises, and none where it does not."""

import json
import math

import numpy as np
import pytest

from palate.auditing.hacking import check_hacking
from palate.auditing.limits import audit_thresholds
from palate.records import Message, PreferenceGroup
from palate.report.findings import Check
from palate.report.plots import Lines


def checked(proxy: np.ndarray, gold: np.ndarray) -> Check:
    samples = tuple(
        PreferenceGroup(
            str(n),
            (Message("user", f"question {n}"),),
            tuple((Message("assistant", f"answer {k} to {n}"),) for k in range(proxy.shape[1])),
            where=f"c.jsonl:{n + 1}",
        )
        for n in range(len(proxy))
    )
    return check_hacking(samples, list(proxy), list(gold), audit_thresholds(), gold_name="a large model")


def severities(check: Check) -> dict[str, str]:
    return {finding.id: finding.severity for finding in check.findings}


def hacked(seed: int, prompts: int = 150, each: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Gold follows the proxy up to one standard deviation and falls steeply beyond."""
    rng = np.random.default_rng(seed)
    proxy = rng.normal(size=(prompts, each))
    return proxy, 0.6 * proxy - np.maximum(proxy - 1, 0) ** 2 + 0.6 * rng.normal(size=proxy.shape)


def test_gold_as_its_own_proxy_has_no_finding() -> None:
    gold = np.random.default_rng(0).normal(size=(60, 16))
    check = checked(gold, gold)
    assert severities(check) == {}
    assert check.facts["hacking.share_of_best"] == 1
    assert check.facts["hacking.peak"] is check.facts["hacking.peak_kl"] is None
    assert check.facts["hacking.parts_at"] is None
    assert check.facts["hacking.regret"] == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_merely_noisy_proxy_has_no_finding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    proxy = rng.normal(size=(100, 16))
    assert severities(checked(proxy, 0.5 * proxy + 0.8 * rng.normal(size=proxy.shape))) == {}


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_gold_is_a_hollow_gain(seed: int) -> None:
    # the share has a standard error of 1 / (1.77 sqrt(prompts)): with 1,000 of them the limit is 3.6 away
    rng = np.random.default_rng(seed)
    gold = rng.normal(size=(1000, 16))
    found = severities(checked(gold, rng.permuted(gold, axis=1)))
    assert found["hollow-gain"] == "fail"
    assert found.get("reward-hacking") != "fail"


def test_gold_that_falls_is_reward_hacking() -> None:
    check = checked(*hacked(0))
    assert severities(check) == {"reward-hacking": "fail"}  # not a second time as a hollow gain
    facts = check.facts
    assert 2 < facts["hacking.peak"] < facts["hacking.peak_high"] < 32
    assert facts["hacking.peak_kl"] == pytest.approx(
        math.log(facts["hacking.peak"]) - 1 + 1 / facts["hacking.peak"], abs=1e-9
    )
    assert facts["hacking.parts_at"] <= 32
    heights = [one["gold"] for one in facts["hacking.curve"]]
    highest = facts["hacking.curve"][int(np.argmax(heights))]["n"]
    assert highest / 2 <= facts["hacking.peak"] <= highest * 2
    finding = next(finding for finding in check.findings if finding.id == "reward-hacking")
    assert f"{facts['hacking.regret']:.2f} standard deviations lower at best of 32" in finding.title
    assert f"no more than {math.floor(facts['hacking.peak'])} samples" in finding.cure


def test_a_proxy_that_is_turned_round_falls_from_the_start() -> None:
    gold = np.random.default_rng(1).normal(size=(60, 16))
    check = checked(-gold, gold)
    assert severities(check) == {"reward-hacking": "fail"}
    assert check.facts["hacking.peak"] == 1
    assert check.facts["hacking.share_of_best"] < -0.9


def test_examples_are_the_choices_that_cost_most() -> None:
    proxy, gold = hacked(2)
    (finding, *_) = checked(proxy, gold).findings
    loss = gold.max(axis=1) - gold[np.arange(len(gold)), proxy.argmax(axis=1)]
    worst = int(loss.argmax())
    assert len(finding.examples) == 10
    shown = finding.examples[0]
    assert shown.where == f"c.jsonl:{worst + 1}"
    assert shown.texts == (
        ("prompt", f"question {worst}"),
        ("highest reward", f"answer {proxy[worst].argmax()} to {worst}"),
        ("highest gold", f"answer {gold[worst].argmax()} to {worst}"),
    )
    spread = math.sqrt(gold.var(axis=1, ddof=1).mean())
    assert shown.note == f"gold {loss[worst] / spread:.2f} standard deviations apart"


def test_facts_are_json_and_the_plot_shows_what_the_facts_say() -> None:
    check = checked(*hacked(3, prompts=30, each=8))
    facts = json.loads(json.dumps(dict(check.facts), allow_nan=False))
    assert facts["hacking.gold"] == "a large model"
    plot = next(block for block in check.section.blocks if isinstance(block, Lines))
    proxy, gold, fit, best = plot.lines
    assert proxy.x == gold.x == best.x == pytest.approx([math.sqrt(one["kl"]) for one in facts["hacking.curve"]])
    for line, name in ((proxy, "proxy"), (gold, "gold")):
        for ends, key in ((line.y, name), (line.low, f"{name}_low"), (line.high, f"{name}_high")):
            assert list(ends) == [one[key] for one in facts["hacking.curve"]]
    assert list(best.y) == [one["gold_best"] for one in facts["hacking.curve"]]
    alpha, beta, d = facts["hacking.alpha"], facts["hacking.beta"], fit.x[-1]
    assert fit.y[-1] == pytest.approx(d * (alpha - beta * d))
    nothing = checked(np.ones((30, 8)), np.ones((30, 8)))
    assert nothing.skipped
    assert (nothing.facts, nothing.findings) == ({}, ())


def test_limits_can_be_set() -> None:
    proxy, gold = hacked(4)
    samples = tuple(PreferenceGroup("", (), ((Message("assistant", ""),),) * 32) for _ in proxy)
    strict = audit_thresholds({"reward-hacking": 5.0})
    check = check_hacking(samples, list(proxy), list(gold), strict, gold_name="labels")
    assert severities(check)["reward-hacking"] == "warn"
