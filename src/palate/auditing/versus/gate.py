"""The verdict: may the candidate replace the incumbent, and if not, which rule says so?

The question is not whether a difference is significant. A candidate passes by what its accuracy surely is not below,
so that little data is a reason to wait and never one to pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palate.auditing.versus.bound import CONFIDENCE, better, no_worse, pairs_needed
from palate.auditing.versus.matched import Matched
from palate.health.thresholds import Thresholds
from palate.metrics import accuracy_difference, gate
from palate.report.findings import Check, Fact, Finding, Measure, Paragraph, Section, Table

_WHY = (
    "A reward model that is replaced by a worse one makes every policy worse that is trained against it. The gate asks "
    "that the candidate surely loses no more than was allowed; too little data to tell is no pass."
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that the gate asks.

    Attributes:
        asks: in words.
        found: what was found, in words.
        findings: those about it; one that fails, fails the gate.
    """

    asks: str
    found: str
    findings: tuple[Finding, ...]


def check_gate(
    matched: Matched,
    others: Sequence[Check],
    thresholds: Thresholds,
    *,
    margin: float,
    require_better: bool,
    audit_command: str = "",
) -> Check:
    """All rules: accuracy, rewards that are missing, and what other checks found to fail.

    Args:
        matched: both models.
        others: the other checks; each of their findings that fails, fails the gate.
        thresholds: for `unscored`.
        margin: accuracy that may be lost.
        require_better: ask for a gain beyond doubt.
        audit_command: looks closer at the candidate.

    Facts: `gate.passed`, `gate.verdict` in words, `gate.failed` (ids), `gate.bound`: the least that the difference is
    with 95 % confidence, one-sided; `gate.pairs_needed`, where too little data is the reason.
    """
    incumbent, candidate = (side.margin_C[matched.usable_C] for side in matched.sides)
    prompt = matched.prompt_C[matched.usable_C]
    prompts = len(np.unique(prompt))
    held = gate(candidate, incumbent, prompt, delta=margin, confidence=CONFIDENCE)
    difference = accuracy_difference(candidate, incumbent, prompt)
    needed = pairs_needed(accuracy_difference(candidate, incumbent, prompt, confidence=2 * CONFIDENCE - 1), margin)
    own = [
        Rule(
            f"loses no more than {margin:.3f} of accuracy",
            f"{held.difference:+.3f}, at least {held.bound:+.3f}",
            no_worse(held, difference, prompts, needed, audit_command),
        ),
        Rule("gives every pair a reward", f"{matched.only_incumbent:,} pairs without", _unscored(matched, thresholds)),
    ]
    if require_better:
        own.append(Rule("is more accurate", f"at least {held.bound:+.3f}", better(held, prompts)))
    rules = [*own, *_rules_of(others)]
    failed = [finding for rule in rules for finding in rule.findings if finding.severity == "fail"]
    verdict = _verdict(own[0], failed)
    facts: dict[str, Fact] = {
        "gate.passed": not failed,
        "gate.verdict": verdict,
        "gate.failed": [finding.id for finding in failed],
        "gate.margin": margin,
        "gate.require_better": require_better,
        "gate.bound": held.bound,
        "gate.pairs_needed": needed,
    }
    rows = tuple((rule.asks, rule.found, _say_rule(rule)) for rule in rules)
    table = Table(("the candidate ...", "found", ""), rows, "Bounds are one-sided, with 95 % confidence")
    findings = tuple(finding for rule in own for finding in rule.findings)
    return Check(Section("gate", "The gate", _WHY, (Paragraph(verdict), table)), findings, facts)


def _unscored(matched: Matched, thresholds: Thresholds) -> tuple[Finding, ...]:
    scored = matched.decided - matched.neither - matched.only_candidate
    return thresholds.find(
        "unscored",
        f"The candidate gives no reward to {matched.only_incumbent:,} of {scored:,} pairs that the incumbent scores; "
        "they are left out of everything else.",
        Measure(matched.only_incumbent / max(1, scored), "share of pairs"),
        cure="Its maximum length may be shorter, or its rewards not finite: audit it.",
        count=matched.only_incumbent,
    )


def _rules_of(others: Sequence[Check]) -> list[Rule]:
    """The parts of the data, and whatever else a threshold makes fail."""
    rules = []
    for check in others:
        failed = tuple(finding for finding in check.findings if finding.severity == "fail")
        if check.section.key == "parts" and check.facts.get("parts.tested"):
            asks = "is worse on no part of the data, beyond doubt after Holm's correction"
            rules.append(Rule(asks, f"p is {check.facts['parts.least_p']:.3g} where it is least", failed))
        elif failed:
            rules.append(Rule(f"passes: {check.section.title.lower()}", f"{len(failed)} findings that fail", failed))
    return rules


def _say_rule(rule: Rule) -> str:
    failed = [finding.id for finding in rule.findings if finding.severity == "fail"]
    return f"no: {', '.join(dict.fromkeys(failed))}" if failed else "yes"


def _verdict(accuracy: Rule, failed: Sequence[Finding]) -> str:
    if failed:
        ids = ", ".join(dict.fromkeys(finding.id for finding in failed))
        return f"Gate failed ({ids}). {' '.join(finding.title for finding in failed)}"
    return f"Gate passed. {accuracy.findings[0].title}"
