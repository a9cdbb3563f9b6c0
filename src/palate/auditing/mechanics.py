"""Does the checkpoint compute what it was trained to compute? Faults of wiring, none of which training would notice."""

from collections.abc import Sequence

import numpy as np

from palate.auditing.scorer import Floats, Scorer
from palate.auditing.shifts import Shift, sample, shifts_of_model, shifts_of_scorer
from palate.auditing.subject import Opened
from palate.errors import ModelError
from palate.health.thresholds import Thresholds
from palate.model.as_served import Declared, read_declared
from palate.records import PreferenceGroup
from palate.report.findings import Check, Fact, Finding, Measure, Section, Table

_WHY = (
    "A reward model can rank well in training and still be wired wrongly where it is used: padded on the other side, "
    "read at another token, rendered by another template. Such faults shift every reward without any error message."
)
_SHIFT = "standard deviations of the reward"
_YES = "1 for yes"


def check_mechanics(
    opened: Opened | None, scorer: Scorer, groups: Sequence[PreferenceGroup], reward_R: Floats, thresholds: Thresholds
) -> Check:
    """Faults of wiring, by name.

    Args:
        opened: the checkpoint; None for a server.
        scorer: without a memory, since it is asked the same twice.
        groups: held-out data.
        reward_R: rewards of its responses, for the scale; NaN where there is none.
        thresholds: for the findings.
    """
    finite = reward_R[np.isfinite(reward_R)]
    std = float(finite.std()) if len(finite) else 0.0
    texts = sample(groups)
    shifts = list(shifts_of_scorer(scorer, texts, std))
    if opened is not None and opened.model is not None:
        shifts += shifts_of_model(opened, texts, std)
    by_name = {shift.name: shift for shift in shifts}
    findings = (*_from_shifts(by_name, thresholds), *_from_values(reward_R, thresholds))
    if opened is not None:
        findings += _from_files(opened, reward_R, thresholds)
    facts: dict[str, Fact] = {f"mechanics.{shift.name.replace(' ', '_')}": shift.value for shift in shifts}
    facts |= {"mechanics.reward_mean": float(finite.mean()) if len(finite) else None, "mechanics.reward_std": std}
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


def _from_values(reward_R: Floats, thresholds: Thresholds) -> tuple[Finding, ...]:
    finite = reward_R[np.isfinite(reward_R)]
    infinite = float(np.isinf(reward_R).mean()) if len(reward_R) else 0.0
    findings = thresholds.find(
        "non-finite",
        f"{infinite:.1%} of the rewards are infinite.",
        Measure(infinite, "share of rewards"),
        cure="Look for exploding weights or a half-precision overflow; train again with gradient clipping.",
    )
    if not len(finite):
        return findings
    spread = float(np.ptp(finite))
    if spread <= 1e-6 * max(1.0, float(np.abs(finite).max())):
        return findings + thresholds.find(
            "constant-output",
            f"All rewards are {finite[0]:.4g}: the model says nothing.",
            Measure(1.0, "1 for constant"),
            cure="The head is dead or not loaded, or the server takes a softmax over one label.",
        )
    inside = bool((finite >= 0).all() and (finite <= 1).all() and len(finite) >= 20)
    return findings + thresholds.find(
        "sigmoid-output",
        f"All {len(finite):,} rewards lie between 0 and 1: a sigmoid was put on them.",
        Measure(float(inside), "1 for a sigmoid"),
        cure='Ask for raw logits: "problem_type": "regression" in config.json, or use_activation false in the request.',
    )


def _from_files(opened: Opened, reward_R: Floats, thresholds: Thresholds) -> tuple[Finding, ...]:
    model = opened.model
    if model is None:
        return ()
    bias = float(model.head.score.bias.detach().item()) if model.head.score.bias is not None else 0.0
    findings = thresholds.find(
        "head-bias",
        f"The head has a bias of {bias:+.4g}, a constant on every reward.",
        Measure(abs(bias), "reward units"),
        cure="Margins are not affected; thresholds and comparisons with other models are. Save it again without one.",
    )
    findings += _from_contract(opened, reward_R, thresholds)
    try:
        return findings + _from_declared(read_declared(opened.directory), thresholds)
    except ModelError:
        return findings  # it was loaded by other means than transformers' files


def _from_contract(opened: Opened, reward_R: Floats, thresholds: Thresholds) -> tuple[Finding, ...]:
    """A template, tokenizer or head that is not the one that was trained, and what that does to the rewards."""
    contract = opened.model.contract if opened.model is not None else None
    if not opened.mismatch or contract is None:
        return ()
    finite = reward_R[np.isfinite(reward_R)]
    shift = ""
    if contract.reward_mean is not None and contract.reward_std and len(finite):
        moved = (float(finite.mean()) - contract.reward_mean) / contract.reward_std
        shift = f" Rewards lie {moved:+.2f} standard deviations from those in training."
    what = opened.mismatch.partition("trained with: ")[2].partition(". Restore")[0]
    id = "template-mismatch" if "template" in what or "tokenizer" in what else "head-mismatch"
    return thresholds.find(
        id,
        f"Not what this reward model was trained with: {what}.{shift}",
        Measure(1.0, _YES),
        cure="Restore the files that were saved with the model; it must be served with that template and tokenizer.",
    )


def _from_declared(declared: Declared, thresholds: Thresholds) -> tuple[Finding, ...]:
    findings = thresholds.find(
        "sigmoid-when-served",
        "config.json does not say problem_type regression: vLLM, TEI and pipelines will put a sigmoid on the reward.",
        Measure(float(declared.problem_type != "regression"), _YES),
        cure='Write "problem_type": "regression" into config.json.',
    )
    findings += thresholds.find(
        "pad-is-eos",
        "The pad token is the EOS token: loaders that look for padding read the token before the end.",
        Measure(float(declared.pad is not None and declared.pad == declared.eos), _YES),
        cure="Give the tokenizer a pad token that ends no text, and write it to config.json too.",
    )
    findings += thresholds.find(
        "double-bos",
        "Tokenizing a rendered text with default settings puts a second BOS in front.",
        Measure(float(declared.adds_bos), _YES),
        cure="Tokenize rendered text with add_special_tokens=False, or take the BOS out of the chat template.",
    )
    return findings + thresholds.find(
        "missing-template",
        "There is no chat template: every user of this model has to guess how its text was rendered.",
        Measure(float(not declared.has_template), _YES),
        cure="Save the template that it was trained with beside the tokenizer (chat_template.jinja).",
    )
