"""Faults that show in the files of a checkpoint: what other loaders will make of them, and what is not as trained."""

from collections.abc import Sequence

import numpy as np

from palate.auditing.scorer import Floats
from palate.auditing.subject import Opened
from palate.errors import ModelError
from palate.health.thresholds import Thresholds
from palate.health.tokens import count_tokens
from palate.model.as_served import Declared, read_declared
from palate.model.reward_model import RewardModel
from palate.records import PreferenceGroup
from palate.report.findings import Finding, Measure

_YES = "1 for yes"


def faults_of_files(
    opened: Opened, texts: Sequence[PreferenceGroup], reward_R: Floats, thresholds: Thresholds
) -> tuple[Finding, ...]:
    """What is wrong with a checkpoint's head, contract, configuration, tokenizer and template.

    Args:
        opened: the checkpoint.
        texts: some groups of one response each, to be rendered.
        reward_R: rewards on held-out data, for how far they lie from those in training.
        thresholds: for the findings.
    """
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
    findings += _from_rendering(model, texts, thresholds)
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


def _from_rendering(
    model: RewardModel, texts: Sequence[PreferenceGroup], thresholds: Thresholds
) -> tuple[Finding, ...]:
    """Where a text ends: the reward is read there, and nothing in the text should look like it."""
    if not texts:
        return ()
    open_ended = 1 - count_tokens(texts, model.tokenizer).ended_by(model.tokenizer.all_special_ids)
    return thresholds.find(
        "missing-eos",
        f"Under the chat template {open_ended:.0%} of the texts do not end with a special token.",
        Measure(open_ended, "share of texts"),
        cure="The reward is read at the last token, which should be the end of the turn: mend the template, and train "
        "and serve with the same one.",
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
