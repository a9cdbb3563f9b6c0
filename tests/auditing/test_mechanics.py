"""Each fault of wiring is planted in a checkpoint, as it happens to people, and must be called by its name."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from palate.auditing.limits import audit_thresholds
from palate.auditing.local import LocalScorer
from palate.auditing.mechanics import check_mechanics
from palate.auditing.remote import Refusal
from palate.auditing.scorer import Floats
from palate.auditing.shifts import TEXTS, sample
from palate.auditing.subject import Opened, open_checkpoint
from palate.data.simulate import simulate
from palate.errors import ModelError
from palate.records import PreferenceGroup
from palate.report.findings import Check
from palate.testing.tiny import tiny_reward_model

GROUPS = simulate(30, seed=3).groups


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny_reward_model().save_pretrained(tmp_path / "rm", reward_mean=0.0, reward_std=1.0)
    return tmp_path / "rm"


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_tensors(directory: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def audited(directory: Path) -> tuple[Opened, Check]:
    opened = open_checkpoint(str(directory))
    assert opened.model is not None
    scorer = LocalScorer(opened.model, "rm")
    return opened, check_mechanics(opened, scorer, GROUPS, np.concatenate(scorer.score(GROUPS)), audit_thresholds())


def names(check: Check) -> dict[str, str]:
    return {finding.id: finding.severity for finding in check.findings}


def test_a_sound_checkpoint_has_no_finding(saved: Path) -> None:
    opened, check = audited(saved)
    assert (names(check), opened.mismatch, opened.missing_head) == ({}, "", "")
    for name in ("asked_again", "alone", "in_another_order", "as_transformers_serves_it", "padded_on_the_left"):
        assert check.facts[f"mechanics.{name}"] < 1e-4
    for name in ("second_BOS", "last_token_missing", "EOS_added", "another_template"):
        assert check.facts[f"mechanics.{name}"] > 1e-2  # a random body's reward does hang on its tokens


def test_padding_that_configuration_and_tokenizer_disagree_on(saved: Path) -> None:
    (saved / "palate.json").unlink()
    edit_json(saved / "config.json", pad_token_id=77)
    assert names(audited(saved)[1])["padding-side"] == "fail"


def test_pad_that_is_the_end_of_text(saved: Path) -> None:
    (saved / "palate.json").unlink()
    edit_json(saved / "config.json", pad_token_id=2)
    settings = json.loads((saved / "tokenizer_config.json").read_text())
    edit_json(saved / "tokenizer_config.json", pad_token=settings["eos_token"])
    template = (saved / "chat_template.jinja").read_text()
    (saved / "chat_template.jinja").write_text(template.replace("<|im_end|>\n", "<|im_end|>"))
    found = names(audited(saved)[1])
    assert found["pad-is-eos"] == "warn"
    assert found["served-differently"] == "fail"


def test_a_bias_on_the_head(saved: Path) -> None:
    (saved / "palate.json").unlink()
    edit_tensors(saved, lambda tensors: tensors.update({"score.bias": torch.tensor([3.5])}))
    _, check = audited(saved)
    assert names(check)["head-bias"] == "warn"
    assert "+3.5" in next(finding.title for finding in check.findings if finding.id == "head-bias")


def test_no_head(saved: Path) -> None:
    edit_tensors(saved, lambda tensors: tensors.pop("score.weight"))
    opened = open_checkpoint(str(saved))
    assert opened.model is None
    assert "no reward head" in opened.missing_head


def test_another_template_than_in_training(saved: Path) -> None:
    template = (saved / "chat_template.jinja").read_text()
    (saved / "chat_template.jinja").write_text(template.replace("<|im_start|>", "<<"))
    opened, check = audited(saved)
    (finding,) = (finding for finding in check.findings if finding.id == "template-mismatch")
    assert finding.severity == "fail"
    assert "chat template (contract" in finding.title
    assert "standard deviations from those in training" in finding.title
    assert "chat template" in opened.mismatch


def test_another_head_than_in_training(saved: Path) -> None:
    edit_tensors(saved, lambda tensors: tensors.update({"score.weight": -tensors["score.weight"]}))
    assert names(audited(saved)[1]) == {"head-mismatch": "fail"}


def test_a_configuration_that_others_put_a_sigmoid_on(saved: Path) -> None:
    edit_json(saved / "config.json", problem_type=None)
    assert names(audited(saved)[1]) == {"sigmoid-when-served": "warn"}


def test_a_template_that_writes_a_bos_which_the_tokenizer_writes_too(saved: Path) -> None:
    (saved / "palate.json").unlink()
    tokenizer = json.loads((saved / "tokenizer.json").read_text())
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
    }
    (saved / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert names(audited(saved)[1]) == {"double-bos": "warn"}


def test_no_template(saved: Path) -> None:
    (saved / "palate.json").unlink()
    (saved / "chat_template.jinja").unlink()
    assert "missing-template" in names(audited(saved)[1])


def test_a_template_that_does_not_close_the_turn(saved: Path) -> None:
    (saved / "palate.json").unlink()
    template = (saved / "chat_template.jinja").read_text()
    (saved / "chat_template.jinja").write_text(template.replace("<|im_end|>\n", "\n"))
    assert names(audited(saved)[1])["missing-eos"] == "fail"


def test_weights_that_are_no_numbers(saved: Path) -> None:
    (saved / "palate.json").unlink()
    edit_tensors(saved, lambda tensors: tensors["score.weight"].fill_(float("nan")))
    assert names(audited(saved)[1]) == {"non-finite": "fail"}


def test_texts_beyond_the_length_that_the_model_reads(saved: Path) -> None:
    opened = open_checkpoint(str(saved))
    assert opened.model is not None
    opened.model.max_length = 200
    scorer = LocalScorer(opened.model, "rm")
    rewards = np.concatenate(scorer.score(GROUPS))
    assert 0 < np.isnan(rewards).sum() < len(rewards)
    found = names(check_mechanics(opened, scorer, GROUPS, rewards, audit_thresholds()))
    assert found == {"truncation": "warn" if np.isnan(rewards).mean() < 0.5 else "fail"}


def test_texts_that_are_all_beyond_that_length(saved: Path) -> None:
    opened = open_checkpoint(str(saved))
    assert opened.model is not None
    opened.model.max_length = 5
    scorer = LocalScorer(opened.model, "rm")
    rewards = np.concatenate(scorer.score(GROUPS))
    assert np.isnan(rewards).all()
    check = check_mechanics(opened, scorer, GROUPS, rewards, audit_thresholds())
    assert names(check)["truncation"] == "fail"
    assert "every text that was looked at is too long" in str(check.section.blocks)


def test_half_precision_is_not_taken_for_another_reading(saved: Path) -> None:
    opened = open_checkpoint(str(saved), dtype="bf16")
    assert opened.model is not None
    scorer = LocalScorer(opened.model, "rm")
    check = check_mechanics(opened, scorer, GROUPS, np.concatenate(scorer.score(GROUPS)), audit_thresholds())
    assert check.facts["mechanics.as_transformers_serves_it"] < 1e-4
    assert opened.model.compute_dtype is torch.bfloat16


def test_what_is_no_checkpoint_at_all_cannot_be_audited(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no safetensors"):
        open_checkpoint(str(tmp_path))


class Served:
    """Rewards by a rule, as a server might give them."""

    name = "http://somewhere"

    def __init__(self, rule: Callable[[float, int], float]) -> None:
        self.rule = rule
        self.calls = 0

    def score(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
        self.calls += 1
        sizes = [len(m.content) for g in groups for r in g.responses for m in r]
        longest = max(sizes)
        return [
            np.array([self.rule(sum(len(m.content) for m in r) / 50, longest + self.calls) for r in g.responses])
            for g in groups
        ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (lambda length, _: length, {}),
        (lambda length, _: 1 / (1 + np.exp(6 - 4 * length)), {"sigmoid-output": "fail"}),
        (lambda length, _: 1 / (1 + np.exp(-length)), {"sigmoid-output": "warn"}),  # or a model that is sure of little
        (lambda length, _: 0.3 + 0.02 * length, {}),
        (lambda _length, _: 1.0, {"constant-output": "fail"}),
        (lambda length, calls: length + (calls * 7919 % 13) / 13, {"dropout-on": "fail"}),
        (lambda length, _: np.inf if length > 1.5 else length, {"non-finite": "fail"}),
        (lambda length, _: 4000 * length, {"exploding-reward": "fail"}),
        (lambda length, _: 60 * length, {"exploding-reward": "warn"}),
        (lambda length, _: 5 + min(length, 0.8), {"truncation": "fail"}),  # what comes after 40 characters is not read
        (lambda length, _: np.nan if length > 1.5 else length, {"truncation": "warn"}),
    ],
)
def test_servers_are_judged_by_their_numbers(rule: Callable[[float, int], float], expected: dict[str, str]) -> None:
    scorer = Served(rule)
    rewards = np.concatenate(scorer.score(GROUPS))
    assert names(check_mechanics(None, scorer, GROUPS, rewards, audit_thresholds())) == expected


def test_what_a_server_refuses_is_not_called_too_long() -> None:
    scorer = Served(lambda length, _: length)
    rewards = np.concatenate(scorer.score(GROUPS))
    rewards[:5] = np.nan
    refusals = {"template-refused": Refusal(4, "roles must alternate"), "internal": Refusal(1, "out of order")}
    check = check_mechanics(None, scorer, GROUPS, rewards, audit_thresholds(), refusals=refusals)
    (finding,) = check.findings
    assert (finding.id, finding.severity, finding.count) == ("refused", "warn", 5)
    assert "template-refused, 4 times: roles must alternate; internal, 1 times: out of order" in finding.title
    assert "length" not in finding.cure
    assert check.facts["mechanics.refused"] == {"template-refused": 4, "internal": 1}
    rewards[5:9] = np.nan
    check = check_mechanics(None, scorer, GROUPS, rewards, audit_thresholds(), refusals=refusals)
    assert {finding.id: finding.count for finding in check.findings} == {"truncation": 4, "refused": 5}


def test_rewards_that_change_with_company_are_told_from_random_ones() -> None:
    class Padded(Served):
        def score(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
            self.calls = -1
            return super().score(groups)

    scorer = Padded(lambda length, longest: length + longest / 100)
    rewards = np.concatenate(scorer.score(GROUPS))
    assert names(check_mechanics(None, scorer, GROUPS, rewards, audit_thresholds())) == {"batch-dependence": "fail"}


def test_the_sample_goes_from_short_to_long() -> None:
    texts = sample(GROUPS)
    sizes = [sum(len(m.content) for c in (g.prompt, *g.responses) for m in c) for g in texts]
    assert len(texts) == TEXTS
    assert sizes == sorted(sizes)
    every = [sum(len(m.content) for c in (g.prompt, r) for m in c) for g in GROUPS for r in g.responses]
    assert (sizes[0], sizes[-1]) == (min(every), max(every))
