"""From a configuration to what the loop needs: tokenized groups on both sides, the plan, and what was left out."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palate.config import TrainConfig
from palate.data.load import read_groups
from palate.data.read import PreferenceData
from palate.data.render import TokenizedData, tokenize
from palate.data.split import split_by_prompt
from palate.errors import DataError
from palate.packing.plan import StepPlan, plan_steps
from palate.records import DroppedRow, PreferenceGroup, TokenizedGroup
from palate.training.objective import is_full_ranking


@dataclass(frozen=True, slots=True)
class RawData:
    """Groups on both sides before tokenization, and the lines to show about how they were read."""

    training: tuple[PreferenceGroup, ...]
    evaluation: tuple[PreferenceGroup, ...]
    dropped: tuple[DroppedRow, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparedData:
    """What the loop runs on.

    Attributes:
        training: tokenized groups with at least one comparison.
        evaluation: held-out groups, possibly none.
        steps: which groups each optimiser step takes.
        dropped: every row and group left out, of both sides.
        truncated: groups whose prompt was cut.
        fingerprint: of the training comparisons.
    """

    training: tuple[TokenizedGroup, ...]
    evaluation: tuple[TokenizedGroup, ...]
    steps: tuple[StepPlan, ...]
    dropped: tuple[DroppedRow, ...]
    truncated: int
    fingerprint: str


def read(config: TrainConfig) -> RawData:
    """Read training and held-out data, before any model is loaded: a broken row should not cost a minute.

    Raises:
        DataError: the data cannot be read.
        ConfigError: nothing can be held out.
    """
    data = _read(config, config.data)
    remarks = [f"{config.data}: {data.summary()}"]
    if config.eval_data is not None:
        held_out = _read(config, config.eval_data)
        remarks.append(f"{config.eval_data}: {held_out.summary()}")
        shared = {g.prompt_hash for g in data.groups} & {g.prompt_hash for g in held_out.groups}
        if shared:
            remarks.append(
                f"warning: {len(shared)} prompts of eval-data are in the training data too: its figures are inflated"
            )
        return RawData(data.groups, held_out.groups, (*data.dropped, *held_out.dropped), tuple(remarks))
    if config.eval_fraction == 0:
        return RawData(data.groups, (), data.dropped, tuple(remarks))
    if len({group.prompt_hash for group in data.groups}) == 1:
        remarks.append(
            f"warning: nothing is held out, since all {len(data.groups)} groups have the same prompt and a prompt on "
            "both sides would inflate every figure; give --eval-data, or read more of the data"
        )
        return RawData(data.groups, (), data.dropped, tuple(remarks))
    training, evaluation = split_by_prompt(data.groups, config.eval_fraction, seed=config.seed)
    remarks.append(f"held out by prompt: {len(evaluation)} of {len(data.groups)} groups")
    return RawData(training, evaluation, data.dropped, tuple(remarks))


def _read(config: TrainConfig, source: str) -> PreferenceData:
    return read_groups(source, split=config.split, on_bad_row=config.on_bad_row, max_groups=config.max_groups)


def prepare(raw: RawData, tokenizer: Any, config: TrainConfig) -> PreparedData:
    """Tokenize both sides and plan the steps.

    Raises:
        DataError: no group is left to train on, or one is over-long and that is an error.
    """
    training = tokenize(raw.training, tokenizer, max_length=config.max_length, over_long=config.over_long)
    evaluation = tokenize(raw.evaluation, tokenizer, max_length=config.max_length, over_long=config.over_long)
    usable, unusable = _usable(training, config)
    dropped = (*raw.dropped, *training.dropped, *evaluation.dropped, *unusable)
    if not usable:
        reasons = ", ".join(sorted({row.reason for row in dropped})) or "no comparisons"
        raise DataError(f"no group is left to train on ({reasons})", reason="nothing-left", where=config.data)
    steps = plan_steps(
        [len(group.comparisons) for group in usable],
        config.pairs_per_step,
        epochs=config.epochs,
        seed=config.seed,
        max_steps=config.max_steps,
    )
    held_out = tuple(group for group in evaluation.groups if group.comparisons)
    truncated = training.truncated + evaluation.truncated
    return PreparedData(usable, held_out, steps, dropped, truncated, fingerprint(usable))


def _usable(data: TokenizedData, config: TrainConfig) -> tuple[tuple[TokenizedGroup, ...], list[DroppedRow]]:
    usable: list[TokenizedGroup] = []
    unusable: list[DroppedRow] = []
    for group in data.groups:
        if not group.comparisons:
            unusable.append(DroppedRow(group.where, "no-comparisons", None, "nothing is compared in this group"))
        elif config.loss == "plackett-luce" and not is_full_ranking(group):
            message = "plackett-luce needs every pair of responses ordered, without ties"
            unusable.append(DroppedRow(group.where, "no-full-ranking", None, message))
        else:
            usable.append(group)
    return tuple(usable), unusable


def fingerprint(groups: Sequence[TokenizedGroup]) -> str:
    """16 hex digits over all token ids and comparisons, in order."""
    digest = hashlib.sha256()
    for group in groups:
        for sequence in group.sequences:
            digest.update(sequence.tobytes())
        labels = [(c.winner, c.loser, c.margin, c.probability, c.weight) for c in group.comparisons]
        digest.update(json.dumps(labels).encode())
    return digest.hexdigest()[:16]
