"""Checkpoints that other tools wrote, each with one fault that people ship: the audit must name it, and only it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import palate
from palate.auditing.local import LocalScorer
from palate.auditing.subject import open_checkpoint
from palate.data.simulate import simulate, write_jsonl
from palate.data.simulate.truth import SimulatedSet
from palate.records import Comparison, PreferenceGroup
from palate.report.document import Report
from palate.report.findings import SEVERITIES
from palate.testing.tiny import tiny_reward_model


def ranked_by(directory: Path, groups: tuple[PreferenceGroup, ...]) -> tuple[PreferenceGroup, ...]:
    """The same responses, each pair labelled as the checkpoint ranks it: to this data it is a good reward model."""
    opened = open_checkpoint(str(directory))
    assert opened.model is not None
    rewards = LocalScorer(opened.model, "rm").score(groups)
    return tuple(
        PreferenceGroup(
            group.id,
            group.prompt,
            group.responses,
            tuple(Comparison(int(order[-1]), int(loser)) for loser in order[:-1]),
        )
        for group, order in ((group, np.argsort(r)) for group, r in zip(groups, rewards, strict=True))
    )


@pytest.fixture
def foreign(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint without a contract, and held-out data that it ranks as people did."""
    checkpoint, data = tmp_path / "rm", tmp_path / "held-out.jsonl"
    tiny_reward_model(seed=4).save_pretrained(checkpoint)
    (checkpoint / "palate.json").unlink()
    edit_tensors(checkpoint, lambda tensors: tensors["score.weight"].mul_(2))
    made = simulate(60, seed=8)
    write_jsonl(SimulatedSet(ranked_by(checkpoint, made.groups), made.truth), data)
    return checkpoint, data


def edit_tensors(directory: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def audited(checkpoint: Path, data: Path) -> Report:
    return palate.audit(model=str(checkpoint), data=str(data), out=str(data.parent / "out"), battery="none", probes=0)


def found(report: Report, *severities: str) -> list[str]:
    return [one.id for check in report.checks for one in check.findings if one.severity in (severities or SEVERITIES)]


def failing(report: Report) -> list[str]:
    return found(report, "fail")


def test_the_checkpoint_itself_has_no_fault(foreign: tuple[Path, Path]) -> None:
    assert failing(audited(*foreign)) == []


def test_one_that_is_padded_wrongly(foreign: tuple[Path, Path]) -> None:
    edit_json(foreign[0] / "config.json", pad_token_id=77)
    assert failing(audited(*foreign)) == ["padding-side"]


def test_one_with_chosen_and_rejected_swapped(foreign: tuple[Path, Path]) -> None:
    edit_tensors(foreign[0], lambda tensors: tensors["score.weight"].neg_())
    assert failing(audited(*foreign)) == ["swapped-labels"]


def test_one_that_others_serve_through_a_sigmoid(foreign: tuple[Path, Path]) -> None:
    edit_json(foreign[0] / "config.json", problem_type=None)
    report = audited(*foreign)
    assert failing(report) == []
    assert "sigmoid-when-served" in found(report)


def test_one_with_a_bias_on_the_head(foreign: tuple[Path, Path]) -> None:
    edit_tensors(foreign[0], lambda tensors: tensors.update({"score.bias": torch.tensor([-2.0])}))
    report = audited(*foreign)
    assert failing(report) == []
    assert "head-bias" in found(report)


def test_one_without_a_head(foreign: tuple[Path, Path]) -> None:
    edit_tensors(foreign[0], lambda tensors: tensors.pop("score.weight"))
    assert failing(audited(*foreign)) == ["missing-head"]


def test_one_with_a_stale_template(tmp_path: Path) -> None:
    checkpoint = tmp_path / "rm"
    tiny_reward_model(seed=4).save_pretrained(checkpoint, reward_mean=0.0, reward_std=1.0)
    made = simulate(60, seed=8)
    write_jsonl(SimulatedSet(ranked_by(checkpoint, made.groups), made.truth), tmp_path / "held-out.jsonl")
    template = checkpoint / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>", "### "))
    assert "template-mismatch" in failing(audited(checkpoint, tmp_path / "held-out.jsonl"))
