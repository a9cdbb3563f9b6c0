"""Does the checkpoint compute what it was trained to compute? Faults of wiring, none of which training would notice."""

from collections.abc import Mapping, Sequence

import numpy as np

from palate.auditing.files import faults_of_files
from palate.auditing.outputs import faults_of_rewards
from palate.auditing.remote import Refusal
from palate.auditing.scorer import Floats, Scorer
from palate.auditing.shifts import Shift, sample, shifts_of_model, shifts_of_scorer, unread_ends
from palate.auditing.subject import Opened
from palate.health.thresholds import Thresholds
from palate.records import PreferenceGroup
from palate.report.findings import Check, Fact, Finding, Measure, Section, Table

_WHY = (
    "A reward model can rank well in training and still be wired wrongly where it is used: padded on the other side, "
    "read at another token, rendered by another template. Such faults shift every reward without any error message."
)
_SHIFT = "standard deviations of the reward"
_YES = "1 for yes"


def check_mechanics(
    opened: Opened | None,
    scorer: Scorer,
    groups: Sequence[PreferenceGroup],
    reward_R: Floats,
    thresholds: Thresholds,
    *,
    refusals: Mapping[str, Refusal] | None = None,
) -> Check:
    """Faults of wiring, by name.

    Args:
        opened: the checkpoint; None for a server.
        scorer: without a memory, since it is asked the same twice.
        groups: held-out data.
        reward_R: rewards of its responses, for the scale; NaN where there is none.
        thresholds: for the findings.
        refusals: why a server gave some of those texts no reward, by kind, too great a length apart.
    """
    refusals = refusals or {}
    refused = sum(refusal.count for refusal in refusals.values())
    finite = reward_R[np.isfinite(reward_R)]
    std = float(finite.std()) if len(finite) else 0.0
    texts = sample(groups)
    shifts = list(shifts_of_scorer(scorer, texts, std))
    if opened is not None and opened.model is not None:
        shifts += shifts_of_model(opened, texts, std)
    by_name = {shift.name: shift for shift in shifts}
    unread = unread_ends(scorer, texts)
    findings = (
        *_from_shifts(by_name, thresholds),
        *faults_of_rewards(reward_R, thresholds, served=opened is None),
        *_truncation(reward_R, unread, refused, thresholds),
        *_refused(refusals, len(reward_R), thresholds),
    )
    if opened is not None:
        findings += faults_of_files(opened, texts, reward_R, thresholds)
    facts: dict[str, Fact] = {
        f"mechanics.{shift.name.replace(' ', '_')}": shift.value if np.isfinite(shift.value) else None
        for shift in shifts
    }
    facts |= {
        "mechanics.reward_mean": float(finite.mean()) if len(finite) else None,
        "mechanics.reward_std": std,
        "mechanics.largest_reward": float(np.abs(finite).max()) if len(finite) else None,
        "mechanics.unscored": int(np.isnan(reward_R).sum()),
        "mechanics.refused": {kind: refusal.count for kind, refusal in refusals.items()},
        "mechanics.ends_not_read": unread,
    }
    rows = tuple((shift.name, shift.value if np.isfinite(shift.value) else None, shift.note) for shift in shifts)
    table = Table(("what changes", "shift in standard deviations", "how"), rows, "what moves the reward")
    return Check(Section("mechanics", "Mechanics", _WHY, (table,)), findings, facts)


def missing_head(opened: Opened, thresholds: Thresholds) -> Check:
    """The only check of a checkpoint that has nothing to give a reward with."""
    findings = thresholds.find(
        "missing-head",
        f"There is no reward head: {opened.missing_head}.",
        Measure(1.0, _YES),
        cure="The head was not saved, or left to chance when the model was loaded and saved again. Go back to the "
        "checkpoint that training wrote; with adapters, save the head beside them.",
    )
    return Check(Section("mechanics", "Mechanics", _WHY, ()), findings, {})


def _truncation(reward_R: Floats, unread: float | None, refused: int, thresholds: Thresholds) -> tuple[Finding, ...]:
    """Texts that are cut without a word, or that get no reward because they are too long."""
    finite = reward_R[np.isfinite(reward_R)]
    if unread and len(finite) and float(np.ptp(finite)) > 0:
        return thresholds.find(
            "truncation",
            f"In {unread:.0%} of the longest texts the last quarter of the response does not change the reward at all.",
            Measure(unread, "share of the longest texts"),
            cure="The server cuts long texts silently: raise its maximum length, or have it refuse what is too long.",
        )
    too_long = max(0, int(np.isnan(reward_R).sum()) - refused)
    lost = too_long / max(1, len(reward_R))
    return thresholds.find(
        "truncation",
        f"{lost:.1%} of the held-out responses have no reward: with their prompts they are too long for the model.",
        Measure(lost, "share of responses"),
        cure="Train and serve with a larger maximum length, or say in the report that longer texts are not judged.",
        count=too_long,
    )


def _refused(refusals: Mapping[str, Refusal], texts: int, thresholds: Thresholds) -> tuple[Finding, ...]:
    """Texts without a reward for any other reason, in the server's own words."""
    count = sum(refusal.count for refusal in refusals.values())
    named = "; ".join(f"{kind}, {refusal.count:,} times: {refusal.reason}" for kind, refusal in refusals.items())
    return thresholds.find(
        "refused",
        f"The server refuses {count:,} of the held-out responses ({named}).",
        Measure(count / max(1, texts), "share of responses"),
        cure="No figure of this report is about them. Mend what the server says of them, in the data or in the server.",
        count=count,
    )


def _from_shifts(shifts: dict[str, Shift], thresholds: Thresholds) -> tuple[Finding, ...]:
    def worst(*names: str) -> float:
        values = [shifts[name].value for name in names if name in shifts]
        return max((value for value in values if np.isfinite(value)), default=0.0)

    again, company = worst("asked again"), worst("alone", "in another order")
    padded = worst("padded on the left", "padded on the right")
    served = worst("as transformers serves it")
    findings = thresholds.find(
        "dropout-on",
        f"The same text gets another reward when it is scored again: {again:.2g} standard deviations.",
        Measure(again, _SHIFT),
        cure="Put the model into evaluation mode before serving it; rewards must not be drawn at random.",
    )
    if not findings:  # what differs each time differs in company too
        findings += thresholds.find(
            "batch-dependence",
            f"The reward of a text changes with what it is scored together with: {company:.2g} standard deviations.",
            Measure(company, _SHIFT),
            cure="Pool at the last real token by the attention mask, whatever the padding.",
        )
    findings += thresholds.find(
        "padding-side",
        f"Padding moves the reward by {padded:.2g} standard deviations where transformers serves this checkpoint.",
        Measure(padded, _SHIFT),
        cure="The pad token of config.json and of the tokenizer must be one token that ends no text. palate export "
        "writes it so; palate itself reads the attention mask and is not affected.",
    )
    return findings + thresholds.find(
        "served-differently",
        f"transformers' own classifier reads another token; the reward moves by {served:.2g} standard deviations.",
        Measure(served, _SHIFT),
        cure="Its pad token also ends texts. Give the checkpoint a pad token of its own.",
    )
