"""What the probes found, for people: which edits pay, which go unpunished, and what that means for training."""

import math

import numpy as np
from scipy.stats import spearmanr

from palate.auditing.probes.effects import FEWEST, STANDARDS, Effect, effects_of
from palate.auditing.probes.meanings import MEANINGS
from palate.auditing.probes.probe import EXPECTATIONS, Expectation
from palate.auditing.probes.run import ProbeResult
from palate.health.thresholds import Thresholds
from palate.report.findings import Block, Check, Example, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Bars

EXAMPLES = 5

_WHY = (
    "Each probe edits a good response in a way whose worth is known beforehand: it changes nothing, adds nothing, or "
    "does damage. A policy that is trained against the model will learn every edit that pays, and will not learn to "
    "avoid damage that costs nothing."
)


def check_probes(result: ProbeResult, thresholds: Thresholds, scale: float) -> Check:
    """How much each edit moves the reward, in units of the typical margin, held to what it may do.

    Args:
        result: see `run_probes`.
        thresholds: limits of `probe-move`, `probe-gain` and `probe-lose`, in margins.
        scale: the median distance of the rewards of held-out pairs. Where that is 0 or not known, as for a model that
            gives one reward to everything, effects are in units of reward, which is said.
    """
    unit = scale if scale > 0 and math.isfinite(scale) else 1.0
    effects = effects_of(result, unit)
    if not effects:
        reason = "no edited response has a reward" if result.text_E else "there is no response that could be edited"
        return Check(_section(()), skipped=reason, facts=_counts(result))
    blocks: list[Block] = [Paragraph(_what_was_done(result, unit, is_margin=unit == scale))]
    findings: list[Finding] = []
    by_length = _gain_by_length(result)
    for expectation in EXPECTATIONS:
        own = [effect for effect in effects if effect.probe.expectation == expectation]
        own.sort(key=lambda effect: (effect.p_value is None, -effect.low, -effect.judged_by))
        if own:
            blocks += [Paragraph(MEANINGS[expectation].text), *_shown(own, expectation)]
            findings += _found(result, own, expectation, thresholds, unit)
    if by_length is not None:
        relation = f"the effect and the characters added have a rank correlation of {by_length:.2f}"
        blocks.append(Paragraph(f"Among edits that must not gain, {relation}."))
    facts: dict[str, Fact] = {
        **_counts(result),
        "probes.scale": unit,
        "probes.scale_is_median_margin": unit == scale,
        "probes.gain_by_length": by_length,
        "probes.wrong": [effect.probe.name for effect in effects if effect.is_wrong],
        **{f"probes.{effect.probe.name}": effect.to_fact() for effect in effects},
    }
    return Check(_section(tuple(blocks)), tuple(findings), facts)


def _section(blocks: tuple[Block, ...]) -> Section:
    return Section("probes", "Probes", _WHY, blocks)


def _counts(result: ProbeResult) -> dict[str, Fact]:
    return {
        "probes.looked_at": result.looked_at,
        "probes.responses": len(result.sources),
        "probes.edits": len(result.text_E),
        "probes.left_out": dict(result.left_out),
        "probes.unscored": int(np.count_nonzero(~np.isfinite(result.gain_E))),
        "probes.scored_alone": result.scored_alone,
        "probes.never_applied": list(result.never_applied),
    }


def _what_was_done(result: ProbeResult, unit: float, *, is_margin: bool) -> str:
    prompts = len({source.prompt_hash for source in result.sources})
    never, unscored = result.never_applied, int(np.count_nonzero(~np.isfinite(result.gain_E)))
    margin = (
        f"One margin is {unit:.3g} units of reward, the median distance between the responses of a held-out pair."
        if is_margin
        else "Held-out margins have no median to measure by, so effects are in units of reward."
    )
    sentences = (
        f"{len(result.text_E):,} edits of {len(result.sources):,} held-out responses to {prompts:,} prompts, of "
        f"{result.looked_at:,} looked at.",
        *((f"{unscored:,} of the edits have no reward.",) if unscored else ()),
        *(f"Left out: {count:,} groups, since {reason}." for reason, count in result.left_out.items()),
        margin,
        f"An effect counts from {STANDARDS['must not gain'].tolerance:g} margins. Intervals and p-values hold for all "
        f"probes together; probes with texts of fewer than {FEWEST} prompts are not judged.",
        *((f"No text had anything to edit for {', '.join(never)}.",) if never else ()),
    )
    return " ".join(sentences)


def _shown(effects: list[Effect], expectation: Expectation) -> tuple[Block, ...]:
    judged = [effect for effect in effects if effect.p_value is not None]
    what = MEANINGS[expectation].judged_by
    table = Table(
        ("edit", "what it does", "verdict", "texts", "judged by", "wrong in"),
        tuple(
            (
                effect.probe.name,
                effect.probe.description,
                "too few" if effect.p_value is None else "wrong" if effect.is_wrong else "fine",
                effect.count,
                effect.judged_by,
                f"{effect.wrong.value:.0%}",
            )
            for effect in effects
        ),
        f"Every edit, judged by {what}, in margins; wrong in: share of texts beyond the tolerance",
    )
    if not judged:
        return (table,)
    bars = Bars(
        title=f"Edits that {expectation}: {what}",
        axis="margins",
        names=tuple(effect.probe.name for effect in judged),
        values=tuple(effect.judged_by for effect in judged),
        intervals=tuple((effect.low, effect.high) for effect in judged),
        labels=tuple(
            f"{effect.probe.name} ({effect.probe.description}): {effect.judged_by:+.2f} "
            f"[{effect.low:+.2f}, {effect.high:+.2f}], wrong in {effect.wrong} of {effect.count}"
            for effect in judged
        ),
        reference=STANDARDS[expectation].tolerance,
        reference_label="tolerance",
    )
    return bars, table


def _found(
    result: ProbeResult, effects: list[Effect], expectation: Expectation, thresholds: Thresholds, unit: float
) -> tuple[Finding, ...]:
    """One finding for all edits that go wrong, as severe as the worst; effects come with the surest first."""
    wrong = [effect for effect in effects if effect.is_wrong]
    if not wrong:
        return ()
    worst, meaning = wrong[0], MEANINGS[expectation]
    judged = sum(effect.p_value is not None for effect in effects)
    return thresholds.find(
        meaning.id,
        meaning.title.format(wrong=len(wrong), judged=judged, name=worst.probe.name, effect=worst.judged_by),
        Measure(worst.judged_by, f"margins, {meaning.judged_by}", worst.low, worst.high),
        cure=meaning.cure,
        command=meaning.command,
        count=round(sum(effect.wrong.value * effect.count for effect in wrong)),
        examples=tuple(_example(result, effect, unit) for effect in wrong[:EXAMPLES]),
    )


def _example(result: ProbeResult, effect: Effect, unit: float) -> Example:
    """The text in which the effect is nearest to what the edit is judged by."""
    rows = np.flatnonzero((result.probe_E == result.probes.index(effect.probe)) & np.isfinite(result.gain_E))
    gain = result.gain_E[rows] / unit
    size = np.abs(gain) if effect.probe.expectation == "must not move" else gain
    at = int(np.argmin(np.abs(size - effect.judged_by)))
    source = result.sources[result.source_E[rows[at]]]
    texts = (("prompt", source.prompt), ("response", source.response), ("edited", result.text_E[rows[at]]))
    return Example(source.where, texts, f"{effect.probe.name}: {gain[at]:+.2f} margins")


def _gain_by_length(result: ProbeResult) -> float | None:
    """Spearman's correlation of effect and added characters over edits that must not gain, or None."""
    must_not = np.array([probe.expectation == "must not gain" for probe in result.probes])
    rows = np.flatnonzero(must_not[result.probe_E] & np.isfinite(result.gain_E))
    added = np.array([len(result.text_E[row]) - len(result.sources[result.source_E[row]].response) for row in rows])
    gain = result.gain_E[rows]
    if len(rows) < FEWEST or not np.ptp(added) or not np.ptp(gain):
        return None
    return float(spearmanr(added, gain).statistic)
