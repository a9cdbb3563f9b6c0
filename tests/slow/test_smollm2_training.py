"""The main job on the real model and real preferences: train, overfit, save, and score the same anywhere."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from palate.data.read import read_preferences
from palate.data.render import render, tokenize
from palate.model.backbone import load_backbone
from palate.model.reward_model import RewardModel
from palate.records import PreferenceGroup
from palate.training.outcome import TrainResult
from palate.training.run import train

pytestmark = pytest.mark.slow

PAIRS = 32


@pytest.fixture(scope="module")
def short_pairs(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 32 shortest pairs of helpful-base, so that minutes are enough to learn them by heart."""
    source = real_data / "hh_rlhf/helpful-base/test.jsonl.gz"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if row["chosen"] != row["rejected"]]
    rows.sort(key=lambda row: len(row["chosen"]) + len(row["rejected"]))
    path = tmp_path_factory.mktemp("pairs") / "short.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[100 : 100 + PAIRS]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def overfitted(short_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(
        model="smollm2",
        data=str(short_pairs),
        eval_data=str(short_pairs),
        out=str(tmp_path_factory.mktemp("run") / "rm"),
        pairs_per_step=PAIRS,
        epochs=6,
        lr=1e-4,
        save_every=0,
        max_length=512,
    )


def test_the_first_loss_is_ln_2(overfitted: TrainResult) -> None:
    assert overfitted.summary["first_loss"] == pytest.approx(np.log(2), abs=1e-3)


def test_it_learns_32_real_pairs_by_heart(overfitted: TrainResult) -> None:
    assert overfitted.summary["eval_before"]["accuracy"] == 0.5
    assert overfitted.summary["eval"]["accuracy"] == 1.0


def _texts(groups: tuple[PreferenceGroup, ...], tokenizer: object) -> list[str]:
    return [render(tokenizer, group.prompt, response).text for group in groups for response in group.responses]


def _plain_rewards(directory: Path, texts: list[str], side: str) -> np.ndarray:
    tokenizer = AutoTokenizer.from_pretrained(directory, padding_side=side)
    model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32).eval()
    rewards = []
    with torch.no_grad():
        for start in range(0, len(texts), 16):
            batch = tokenizer(texts[start : start + 16], padding=True, return_tensors="pt", add_special_tokens=False)
            rewards.append(model(**batch).logits[:, 0].numpy())
    return np.concatenate(rewards)


def _palate_rewards(directory: Path, groups: tuple[PreferenceGroup, ...]) -> np.ndarray:
    model = RewardModel.from_pretrained(directory)
    return np.concatenate(
        [model.score(group.prompt, [response[0].content for response in group.responses]) for group in groups]
    )


@pytest.mark.parametrize("side", ["right", "left"])
def test_plain_transformers_gives_the_same_rewards(overfitted: TrainResult, short_pairs: Path, side: str) -> None:
    groups = read_preferences(str(short_pairs)).groups[::2]
    texts = _texts(groups, overfitted.model.tokenizer)
    assert len(texts) == PAIRS
    ours = _palate_rewards(overfitted.out, groups)
    assert ours.std() > 0.1, "rewards that are all alike would agree with anything"
    np.testing.assert_allclose(_plain_rewards(overfitted.out, texts, side), ours, atol=1e-4, rtol=0)


def test_merged_lora_gives_the_same_rewards_in_plain_transformers(short_pairs: Path, tmp_path: Path) -> None:
    result = train(
        model="smollm2",
        data=str(short_pairs),
        max_groups=12,
        eval_fraction=0.0,
        out=str(tmp_path / "rm"),
        pairs_per_step=4,
        epochs=2,
        lr=1e-3,
        lora=True,
        save_every=0,
    )
    groups = read_preferences(str(short_pairs), max_groups=12).groups
    ours = np.concatenate([result.model.score(g.prompt, [r[0].content for r in g.responses]) for g in groups])
    reloaded = _palate_rewards(result.out, groups)
    assert ours.std() > 0.05
    texts = _texts(groups, result.model.tokenizer)
    for side in ("right", "left"):
        np.testing.assert_allclose(_plain_rewards(result.out, texts, side), reloaded, atol=1e-4, rtol=0)
    assert (result.out / "adapter" / "adapter_model.safetensors").exists()


def test_harmless_base_needs_1_61_times_the_tokens_unshared(real_data: Path) -> None:
    groups = read_preferences(str(real_data / "hh_rlhf/harmless-base/test.jsonl.gz")).groups
    tokenizer = load_backbone("smollm2").tokenizer
    data = tokenize(groups, tokenizer, max_length=8192)
    assert not data.dropped
    unshared = sum(group.unshared_tokens for group in data.groups)
    computed = sum(group.computed_tokens for group in data.groups)
    assert unshared / computed == pytest.approx(1.61, abs=0.01)
