"""What the pairs show about the candidate's accuracy: no worse, worse, better, or not enough to tell."""

import math
from statistics import NormalDist

from palate.metrics import AccuracyDifference, Gate
from palate.report.findings import Finding, Measure

CONFIDENCE = 0.95
"""One-sided, of the least that the difference is."""
POWER = 0.8
"""How often a candidate that is as accurate should pass."""
FEWEST_PROMPTS = 20
"""With fewer, resampling prompts gives intervals that are too narrow."""


def pairs_needed(found: AccuracyDifference, margin: float) -> int | None:
    """How many pairs like these show, four times in five, that a model is no worse than one that is as accurate.

    n ((z + z') / margin)^2 times the variance of a pair, with z and z' the normal quantiles of CONFIDENCE and POWER
    (Blackwelder 1982, Proving the null hypothesis in clinical trials). The variance comes from the lower half of the
    present interval, and so knows that pairs of a prompt go together. Without discordant pairs there is none, and
    Tango's interval, which then reaches z^2 / (n + z^2) down, asks for z^2 (1 / margin - 1) pairs: never fewer. None
    where the margin is 0, which no number of pairs shows.

    Args:
        found: with a two-sided interval of which the lower end is the gate's.
        margin: accuracy that may be lost.
    """
    if margin == 0:
        return None
    sure, power = map(NormalDist().inv_cdf, (CONFIDENCE, POWER))
    half = found.difference.value - found.difference.low if found.method == "prompt-bootstrap" else 0.0
    return math.ceil(max(sure**2 * (1 / margin - 1), found.pairs * (half / margin) ** 2 * ((sure + power) / sure) ** 2))


def no_worse(
    held: Gate, difference: AccuracyDifference, prompts: int, needed: int | None, audit_command: str
) -> tuple[Finding, ...]:
    """Whether the candidate surely loses no more than was allowed: `no-worse`, `worse` or `not-shown`.

    Args:
        held: the gate's bound.
        difference: with its two-sided interval; the candidate is `worse` where that lies below 0.
        prompts: how many there are.
        needed: see `pairs_needed`.
        audit_command: looks closer at the candidate.
    """
    interval = difference.difference
    shown = f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
    if not held.passed and interval.high < 0:
        return (
            Finding(
                "worse",
                "fail",
                f"The candidate is less accurate: {difference.candidate:.3f} against {difference.incumbent:.3f}, a "
                f"difference of {shown}.",
                Measure(-interval.value, "accuracy lost", -interval.high, -interval.low, held.delta),
                cure="Keep the incumbent; look at the pairs that were lost and at the parts where they lie.",
                command=audit_command,
            ),
        )
    if held.passed and prompts >= FEWEST_PROMPTS:
        return (_shown(held, difference),)
    why, cure = (
        f"it may lose {-held.bound:.3f} where {held.delta:.3f} is allowed",
        _say_needed(needed, difference.pairs),
    )
    if prompts < FEWEST_PROMPTS:
        why = _too_few(prompts)
        cure = "Pairs of a few prompts say little about others: collect pairs of more prompts."
    return (
        Finding(
            "not-shown",
            "fail",
            f"That the candidate is no worse is not shown: {why}; the difference on {difference.pairs:,} pairs of "
            f"{prompts:,} prompts is {shown}.",
            Measure(-held.bound, "accuracy that may be lost, one-sided 95 %", threshold=held.delta),
            cure=cure,
        ),
    )


def better(held: Gate, prompts: int) -> tuple[Finding, ...]:
    """`not-better`, unless the difference in accuracy is surely above 0."""
    if held.bound > 0 and prompts >= FEWEST_PROMPTS:
        return ()
    why = f"it may be as low as {held.bound:+.3f}" if prompts >= FEWEST_PROMPTS else _too_few(prompts)
    return (
        Finding(
            "not-better",
            "fail",
            f"That the candidate is more accurate is not shown: the difference is {held.difference:+.3f}, but {why}.",
            Measure(held.bound, "least difference in accuracy, one-sided 95 %", threshold=0.0),
            cure="Ask for less by leaving out --require-better, or collect more held-out pairs.",
        ),
    )


def _shown(held: Gate, difference: AccuracyDifference) -> Finding:
    return Finding(
        "no-worse",
        "info",
        f"The candidate is no worse: its accuracy is {difference.candidate:.3f} against {difference.incumbent:.3f}, a "
        f"difference of {held.difference:+.3f} and surely no less than {held.bound:+.3f}, where {-held.delta:+.3f} is "
        "allowed.",
        Measure(held.difference, "difference in accuracy", difference.difference.low, difference.difference.high),
        cure="It may replace the incumbent, if nothing else that is found here speaks against it.",
    )


def _too_few(prompts: int) -> str:
    return f"{prompts} prompts are too few for an interval, {FEWEST_PROMPTS} are needed"


def _say_needed(needed: int | None, pairs: int) -> str:
    if needed is None:
        return "With a margin of 0, a candidate that is merely as good can never be shown to be: allow some."
    if needed <= pairs:
        return "For two equally good models these were pairs enough, so it may well be a little worse."
    return (
        "This is too little data to tell, not a fault of the candidate: it takes about "
        f"{needed:,} pairs like these to show it for two equally good models. Or allow more with --margin."
    )
