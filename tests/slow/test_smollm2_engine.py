"""The engine on a real model and real text: SmolLM2-135M-Instruct, float32."""

import json
import tempfile
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from palate.data.load import read_groups
from palate.data.render import tokenize
from palate.model.backbone import load_backbone
from palate.model.reward_model import RewardModel
from palate.model.self_check import check_sharing
from palate.packing.collate import collate_padded
from palate.records import TokenizedGroup
from palate.testing.groups import random_groups
from palate.testing.separate import separate_rewards

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> RewardModel:
    loaded = load_backbone("smollm2")
    reward_model = RewardModel(loaded.backbone, loaded.tokenizer).eval()
    torch.manual_seed(0)
    # Trained hidden states are large; this makes rewards of size 1.
    torch.nn.init.normal_(reward_model.head.score.weight, std=0.01)
    return reward_model


@pytest.fixture(params=["real", "random"])
def groups(request: pytest.FixtureRequest, model: RewardModel) -> tuple[TokenizedGroup, ...]:
    """Three groups of at most 600 tokens together."""
    if request.param == "random":
        return tokenize(random_groups(3, responses=3, words=20), model.tokenizer, max_length=200).groups
    file = request.getfixturevalue("real_data") / "hh_rlhf" / "harmless-base" / "test.jsonl.gz"
    read = read_groups(str(file), max_groups=100)
    fitting = tokenize(read.groups, model.tokenizer, max_length=100).groups
    return tuple(sorted(fitting, key=lambda group: -group.shared)[:3])


def gradients(model: RewardModel, rewards: Tensor, groups: tuple[TokenizedGroup, ...]) -> list[Tensor]:
    bounds = torch.tensor([0, *(len(group.sequences) for group in groups)]).cumsum(0).tolist()
    gaps = [
        rewards[first + c.winner] - rewards[first + c.loser]
        for first, group in zip(bounds, groups, strict=False)
        for c in group.comparisons
    ]
    return list(torch.autograd.grad(-F.logsigmoid(torch.stack(gaps)).sum(), list(model.parameters())))


def test_shared_and_packed_equals_one_by_one(model: RewardModel, groups: tuple[TokenizedGroup, ...]) -> None:
    assert len(groups) == 3
    assert sum(group.unshared_tokens for group in groups) < 2000
    rewards = model(model.collate(groups))
    shared = gradients(model, rewards, groups)
    alone = separate_rewards(model, groups)
    separate = gradients(model, alone, groups)

    assert alone.abs().max() > 0.05
    torch.testing.assert_close(rewards, alone, atol=1e-5, rtol=0)
    for (name, _), found, expected in zip(model.named_parameters(), shared, separate, strict=True):
        assert expected.norm() > 0
        assert (found - expected).norm() <= 1e-4 * expected.norm(), name


def test_the_self_check_passes(model: RewardModel, groups: tuple[TokenizedGroup, ...]) -> None:
    assert check_sharing(model, groups).difference < 1e-4


def test_a_checkpoint_from_gguf_is_an_ordinary_classifier(model: RewardModel) -> None:
    groups = tokenize(random_groups(2, words=6), model.tokenizer, max_length=100).groups
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:  # half a gigabyte: not kept like pytest's own
        directory = Path(folder) / "rm"
        model.save_pretrained(directory)
        config = json.loads((directory / "config.json").read_text())
        assert "quantization_config" not in config
        assert config["pad_token_id"] != config["eos_token_id"]
        theirs = AutoModelForSequenceClassification.from_pretrained(directory).eval()
        batch = collate_padded(groups, pad_token_id=config["pad_token_id"])
        logits = theirs(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
        rewards = model(model.collate(groups))
    torch.testing.assert_close(logits[:, 0], rewards, atol=1e-4, rtol=0)
