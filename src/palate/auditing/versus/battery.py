"""The hand-written pairs put to both models: which does one win that the other loses?"""

import numpy as np

from palate.auditing.battery import BatteryPair, BatteryResult, Outcome
from palate.auditing.battery.check import EXAMPLES
from palate.auditing.scorer import Floats
from palate.health.thresholds import Thresholds
from palate.metrics import mcnemar, tango_interval
from palate.metrics.comparison import paired_gains
from palate.report.findings import Check, Example, Fact, Measure, Section, Table

_WHY = (
    "Pairs written by hand, of which everybody can see which response is better. They belong to no training set, so "
    "that a candidate cannot be good at them by having seen them."
)


def check_battery_of_both(incumbent: BatteryResult, candidate: BatteryResult, thresholds: Thresholds) -> Check:
    """Share won by both, family by family, and the pairs that the candidate alone does not win.

    Facts: `battery.pairs`, `battery.incumbent`, `battery.candidate`, `battery.better`, `battery.worse`,
    `battery.mcnemar_p`, `battery.difference` with its interval, `battery.by_family`, `battery.unscored`.
    """
    pairs = (*incumbent.trivial.pairs, *incumbent.adversarial.pairs)
    margins = [np.concatenate([one.trivial.margin_P, one.adversarial.margin_P]) for one in (incumbent, candidate)]
    both_P = np.isfinite(margins[0]) & np.isfinite(margins[1])
    section = Section("battery", "Unit tests", _WHY, ())
    if not both_P.any():
        return Check(section, skipped="no pair of the battery got a finite reward from both models")
    kept = tuple(pair for pair, both in zip(pairs, both_P, strict=True) if both)
    old, new = (margin_P[both_P] for margin_P in margins)
    gain_P, shares = paired_gains(new, old)
    test = mcnemar(new, old)
    difference = tango_interval(float(gain_P.clip(0).sum()), float((-gain_P).clip(0).sum()), len(kept))
    families = _families(incumbent, candidate)
    facts: dict[str, Fact] = {
        "battery.quick": incumbent.quick,
        "battery.pairs": len(kept),
        "battery.unscored": len(pairs) - len(kept),
        "battery.incumbent": shares[1],
        "battery.candidate": shares[0],
        "battery.better": test.better,
        "battery.worse": test.worse,
        "battery.mcnemar_p": test.p_value,
        "battery.difference": difference.value,
        "battery.difference_low": difference.low,
        "battery.difference_high": difference.high,
        "battery.by_family": {name: {"incumbent": one, "candidate": other} for name, _, one, other in families},
    }
    findings = thresholds.find(
        "battery-worse",
        f"Of {len(kept)} hand-written pairs the candidate does worse on {test.worse} and better on {test.better}.",
        Measure(-difference.value, "share of pairs lost on balance", -difference.high, -difference.low),
        cure="Everybody can see which response of these pairs is better: look at the families that it lost.",
        count=test.worse,
        examples=_lost(kept, old, new),
    )
    caption = f"Share won, equal rewards counting half; McNemar's exact test of all {len(kept)}: p = {test.p_value:.3g}"
    table = Table(
        ("family", "pairs", "incumbent", "candidate"), (*families, ("all", len(kept), *shares[::-1])), caption
    )
    return Check(Section(section.key, section.title, _WHY, (table,)), findings, facts)


def _families(
    incumbent: BatteryResult, candidate: BatteryResult
) -> tuple[tuple[str, int, float | None, float | None], ...]:
    rows = []
    for name, one, other in (
        ("", incumbent.trivial, candidate.trivial),
        ("adversarial: ", incumbent.adversarial, candidate.adversarial),
    ):
        families: dict[str, Outcome] = other.families()
        rows += [
            (name + family, len(own.pairs), own.accuracy, families[family].accuracy)
            for family, own in one.families().items()
        ]
    return tuple(rows)


def _lost(pairs: tuple[BatteryPair, ...], old: Floats, new: Floats) -> tuple[Example, ...]:
    """Pairs that only the incumbent wins, worst for the candidate first; its own margins are compared, nothing else."""
    rows = [row for row in np.argsort(new).tolist() if old[row] > 0 >= new[row]]
    return tuple(_example(pairs[row], float(old[row]), float(new[row])) for row in rows[:EXAMPLES])


def _example(pair: BatteryPair, old: float, new: float) -> Example:
    prompt = "\n\n".join(f"{turn.role}: {turn.content}" for turn in pair.prompt)
    texts = (("prompt", prompt), ("better", pair.chosen), ("worse", pair.rejected))
    return Example(pair.where, texts, f"{pair.id}: margin {old:+.2f} of the incumbent, {new:+.2f} of the candidate")
