"""What the battery says about a reward model: a table by family, the pairs that it loses, two findings."""

import math
from itertools import groupby

from palate.auditing.battery.load import BatteryPair
from palate.auditing.battery.run import WANTED, BatteryResult, Outcome
from palate.health.thresholds import Thresholds
from palate.report.findings import Block, Check, Example, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Bars

EXAMPLES = 12
"""Lost pairs that are shown: the worst of each family first."""

_WHY = (
    "These pairs are so easy that everybody would judge them the same way, like the first questions of a driving "
    "test. A reward model that loses them has learned something else than what makes a response good, however well it "
    "does on data like that of its training."
)


def check_battery(result: BatteryResult, thresholds: Thresholds, scale: float | None = None) -> Check:
    """How many trivial and adversarial pairs are won, by how much, and which are lost.

    Args:
        result: of `run_battery`.
        thresholds: for `battery` and `adversarial`.
        scale: the median absolute margin of the model on held-out data, in its own units; None, 0 or NaN where there
            is none to measure by.
    """
    title = "Unit tests"
    scale = scale if scale and math.isfinite(scale) else None
    if not result.trivial.scored + result.adversarial.scored:
        return Check(
            Section("battery", title, _WHY, ()), skipped="the model gave no pair of the battery a finite reward"
        )
    parts = (
        ("battery", result.trivial, "trivial pairs"),
        ("battery.adversarial", result.adversarial, "adversarial pairs"),
    )
    blocks: list[Block] = []
    facts: dict[str, Fact] = {"battery.quick": result.quick, "battery.scale": scale}
    for prefix, outcome, name in parts:
        facts |= {f"{prefix}.{key}": value for key, value in _facts(outcome, scale).items()}
        blocks += _blocks(outcome, name, scale)
    findings = (*_trivial_lost(result.trivial, thresholds), *_adversarial_lost(result.adversarial, thresholds))
    return Check(Section("battery", title, _WHY, tuple(blocks)), findings, facts)


def _facts(outcome: Outcome, scale: float | None) -> dict[str, Fact]:
    longer, shorter = outcome.by_length()
    return {
        "pairs": len(outcome.pairs),
        "unscored": len(outcome.pairs) - outcome.scored,
        "ties": sum(margin == 0 for _, margin in outcome.lost()),
        **_shares(outcome, scale),
        "accuracy_chosen_longer": longer.accuracy,
        "accuracy_chosen_shorter": shorter.accuracy,
        "by_family": {family: dict(_shares(own, scale)) for family, own in outcome.families().items()},
        "lost": {pair.id: margin for pair, margin in outcome.lost()},
    }


def _shares(outcome: Outcome, scale: float | None) -> dict[str, Fact]:
    interval = outcome.interval
    return {
        "accuracy": outcome.accuracy,
        "accuracy_low": interval.low if interval else None,
        "accuracy_high": interval.high if interval else None,
        "reaches_1": outcome.reaching(WANTED),
        "reaches_scale": outcome.reaching(scale) if scale else None,
        "median_margin": outcome.median,
        "median_margin_scaled": outcome.median / scale if scale and outcome.median is not None else None,
    }


def _blocks(outcome: Outcome, name: str, scale: float | None) -> list[Block]:
    if not outcome.scored:
        return [Paragraph(f"None of the {len(outcome.pairs)} {name} got a finite reward.")]
    families = outcome.families()
    columns: tuple[str, ...] = ("family", "pairs", "won", f"margin of {WANTED:g} or more", "median margin")
    if scale:
        columns += ("a held-out median or more", "median margin in held-out medians")
    rows = tuple(_row(family, own, scale) for family, own in (*families.items(), ("all", outcome)))
    caption = f"{outcome.scored} {name}; equal rewards count half; margins are in the model's own units"
    if missing := len(outcome.pairs) - outcome.scored:
        caption += f"; {missing} without a finite reward left out, such as for their length"
    scored = {family: own for family, own in families.items() if own.scored}
    bars = Bars(
        title=f"How many of the {name} are won, by family",
        axis="share of pairs",
        names=tuple(scored),
        values=tuple(own.accuracy or 0.0 for own in scored.values()),
        intervals=tuple((own.interval.low, own.interval.high) for own in scored.values() if own.interval),
        labels=tuple(_label(family, own) for family, own in scored.items()),
        reference=0.5,
        reference_label="a coin toss",
    )
    return [bars, Table(columns, rows, caption), Paragraph(_say_lengths(outcome, name))]


def _row(family: str, own: Outcome, scale: float | None) -> tuple[str | float | int | None, ...]:
    row = (family, own.scored, own.accuracy, own.reaching(WANTED), own.median)
    if not scale:
        return row
    return (*row, own.reaching(scale), own.median / scale if own.median is not None else None)


def _label(family: str, own: Outcome) -> str:
    lost = ", ".join(pair.id for pair, _ in own.lost())
    return f"{family}: {own.accuracy:.0%} of {own.scored}" + (f"; not won: {lost}" if lost else "")


def _say_lengths(outcome: Outcome, name: str) -> str:
    longer, shorter = outcome.by_length()
    shares = [
        f"{part.accuracy:.0%} of the {part.scored} whose better response is the {word} one"
        for part, word in ((longer, "longer"), (shorter, "shorter"))
        if part.scored
    ]
    return f"Of the {name}, the model wins {' and '.join(shares)}."


def _trivial_lost(outcome: Outcome, thresholds: Thresholds) -> tuple[Finding, ...]:
    return _lost(
        "battery",
        outcome,
        thresholds,
        "trivial pairs",
        "Look at the families that it loses, and add preference data in which that is what decides; where it loses "
        "nearly all of them, look for swapped labels and for faults of wiring first.",
        "palate train --model RM --data PREFS --out BETTER",
    )


def _adversarial_lost(outcome: Outcome, thresholds: Thresholds) -> tuple[Finding, ...]:
    return _lost(
        "adversarial",
        outcome,
        thresholds,
        "adversarial pairs, fluent with a flaw against clumsy without,",
        "The model rewards how a response sounds above whether it is right: add pairs in which a polished response is "
        "wrong, and keep length out of the reward while training.",
        "palate train --data PREFS --length-control decorrelation",
    )


def _lost(id: str, outcome: Outcome, thresholds: Thresholds, name: str, cure: str, command: str) -> tuple[Finding, ...]:
    if outcome.accuracy is None or outcome.interval is None:
        return ()
    lost = outcome.lost()
    ties = sum(margin == 0 for _, margin in lost)
    tied = f", of which {ties} by equal rewards, which count half" if ties else ""
    share = 1 - outcome.accuracy
    return thresholds.find(
        id,
        f"{len(lost)} of {outcome.scored} {name} are not won ({share:.0%}){tied}.",
        Measure(share, "share lost, equal rewards counting half", 1 - outcome.interval.high, 1 - outcome.interval.low),
        cure=cure,
        command=command,
        count=len(lost),
        examples=tuple(_example(pair, margin) for pair, margin in _across_families(lost)[:EXAMPLES]),
    )


def _across_families(lost: tuple[tuple[BatteryPair, float], ...]) -> list[tuple[BatteryPair, float]]:
    """The worst of each family, then the second worst of each, and so on."""
    by_family = sorted(lost, key=lambda item: (item[0].family, item[1]))
    ranked = [
        (rank, item[1], item)
        for _, own in groupby(by_family, key=lambda item: item[0].family)
        for rank, item in enumerate(own)
    ]
    return [item for _, _, item in sorted(ranked, key=lambda entry: entry[:2])]


def _example(pair: BatteryPair, margin: float) -> Example:
    prompt = "\n\n".join(f"{turn.role}: {turn.content}" for turn in pair.prompt)
    if len(pair.prompt) == 1:
        prompt = pair.prompt[0].content
    texts = (("prompt", prompt), ("better", pair.chosen), ("worse", pair.rejected))
    return Example(pair.where, texts, f"{pair.id}, margin {margin:+.2f}: {pair.why}")
