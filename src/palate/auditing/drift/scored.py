"""Policy outputs and what they are compared with: read, drawn and scored."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from palate.auditing.drift.check import check_drift
from palate.auditing.drift.sides import Side, side_of
from palate.auditing.local import LocalScorer, States
from palate.auditing.scorer import Floats, Scorer
from palate.config import AuditConfig
from palate.data.load import stream_groups
from palate.data.read import OnBadRow, PreferenceData, collect
from palate.health.corpus import build_corpus
from palate.health.thresholds import Thresholds
from palate.records import PreferenceGroup
from palate.report.document import Subject
from palate.report.findings import Check

MOST = 1000
"""Prompts of the policy, and of the training data, that are scored."""


def read_outputs(source: str, *, split: str, on_bad_row: OnBadRow) -> tuple[PreferenceData, Subject]:
    """Prompts with responses, labelled or not: whatever `palate score` reads; and the report's line about them.

    Raises:
        DataError: it cannot be read.
    """
    data = collect(stream_groups(source, split=split, on_bad_row=on_bad_row, require_comparisons=False))
    responses = sum(len(group.responses) for group in data.groups)
    counts = {"rows": data.rows, "groups": len(data.groups), "responses": responses}
    return data, Subject(source, "policy outputs", counts | {"rows left out": len(data.dropped)})


def score_all(
    scorer: Scorer, groups: Sequence[PreferenceGroup], *, states: bool = True
) -> tuple[Floats, States | None]:
    """Rewards [R] of all responses and, if asked for and shown, the states [R, D] that they are read from."""
    if not states or not isinstance(scorer, LocalScorer):
        return np.concatenate(scorer.score(groups)), None
    rewards, found = scorer.score_with_states(groups)
    return np.concatenate(rewards), np.concatenate(found)


def score_side(scorer: Scorer, groups: Sequence[PreferenceGroup], folder: Path, *, seed: int = 0) -> Side:
    """At most `MOST` groups, drawn at random, with their rewards.

    Args:
        scorer: the reward model.
        groups: of the policy, or of the training data.
        folder: for their texts; made here.
        seed: of the draw.
    """
    places = np.sort(np.random.default_rng(seed).permutation(len(groups))[:MOST])
    kept = [groups[place] for place in places.tolist()]
    folder.mkdir()
    return side_of(build_corpus(kept, folder), *score_all(scorer, kept), undrawn=len(groups) - len(kept))


def drift_of(
    scorer: Scorer,
    outputs: Sequence[PreferenceGroup],
    held_out: Side,
    training: Sequence[PreferenceGroup] | None,
    thresholds: Thresholds,
    config: AuditConfig,
    folder: Path,
) -> Check:
    """Score the policy's outputs, and the training data where it is given, and compare.

    Args:
        scorer: the reward model.
        outputs: of the policy.
        held_out: the reference where there is no training data; else shown beside it.
        training: the reference, or None.
        thresholds: see `check_drift`.
        config: for the policy's name and the seed.
        folder: for texts.
    """
    policy = score_side(scorer, outputs, folder / "policy", seed=config.seed)
    if training is None:
        reference, name, control = held_out, "held-out data", None
    else:
        reference = score_side(scorer, training, folder / "reference", seed=config.seed)
        name, control = "training data", held_out
    outputs_name = config.policy_outputs or "OUTPUTS"
    return check_drift(
        reference, policy, thresholds, reference_name=name, outputs=outputs_name, control=control, seed=config.seed
    )
