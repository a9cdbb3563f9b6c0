"""The scorer of checkpoints gives what the model gives, and remembers it only as long as nothing changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from palate.auditing.local import LocalScorer, RewardMemory, group_key, model_key
from palate.data.simulate import simulate
from palate.model.head import RewardHead
from palate.model.reward_model import RewardModel
from palate.records import Message
from palate.testing.tiny import tiny_reward_model

GROUPS = simulate(12, seed=2).groups


def by_hand(model: RewardModel) -> list[np.ndarray]:
    return [
        model.score(group.prompt, [response[-1].content for response in group.responses]).astype(np.float64)
        for group in GROUPS
    ]


def test_rewards_are_those_of_the_model(tmp_path: Path) -> None:
    model = tiny_reward_model()
    for memory in (None, RewardMemory(tmp_path, "key")):
        done: list[int] = []
        scorer = LocalScorer(model, "rm", memory=memory, on_progress=done.append)
        for _ in range(2):
            for found, expected in zip(scorer.score(GROUPS), by_hand(model), strict=True):
                np.testing.assert_allclose(found, expected, atol=1e-5)
        assert sum(done) == 2 * len(GROUPS)


def test_what_is_known_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_reward_model()
    first = LocalScorer(model, "rm", memory=RewardMemory(tmp_path, "key")).score(GROUPS)
    again = LocalScorer(model, "rm", memory=RewardMemory(tmp_path, "key"))
    computed: list[int] = []
    compute = again._compute
    monkeypatch.setattr(again, "_compute", lambda groups: computed.append(len(groups)) or compute(groups))
    changed = replace(GROUPS[0], prompt=(Message("user", "Another question?"),))
    found = again.score([changed, *GROUPS])
    assert computed == [1]
    for one, other in zip(found[1:], first, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(found[0], first[0])


def test_too_long_is_nan_and_counted() -> None:
    model = tiny_reward_model(max_length=60)
    scorer = LocalScorer(model, "rm")
    rewards = scorer.score(GROUPS)
    long = sum(bool(np.isnan(one).all()) for one in rewards)
    assert scorer.over_long == long > 0
    assert len(rewards) == len(GROUPS)


def test_the_memory_is_of_one_model() -> None:
    model = tiny_reward_model()
    key = model_key(model)
    assert key == model_key(tiny_reward_model())
    with torch.no_grad():
        next(model.backbone.parameters())[0, 3] += 1e-3
    assert model_key(model) != key
    for change in ("compute_dtype", "max_length", "template"):
        other = tiny_reward_model()
        if change == "template":
            other.tokenizer.chat_template += " "
        else:
            setattr(other, change, torch.bfloat16 if change == "compute_dtype" else 7)
        assert model_key(other) != key, change


def test_the_memory_knows_the_whole_head_and_the_pooling() -> None:
    model = tiny_reward_model(pooling="attention", head=RewardHead(32, bias=True))
    keys = [model_key(model)]
    for tensor in (model.head.score.weight, model.head.score.bias, model.pooling.query):
        with torch.no_grad():
            tensor.view(-1)[0] += 1e-3
        keys.append(model_key(model))
    model.pooling.register_buffer("more", torch.ones(1), persistent=False)
    keys.append(model_key(model))
    assert len(set(keys)) == 5


def test_groups_are_told_apart_by_turns_and_roles() -> None:
    one = GROUPS[0]
    assert group_key(one) == group_key(replace(one, id="other", where="elsewhere", comparisons=()))
    assert group_key(one) != group_key(replace(one, responses=one.responses[::-1]))
    spoken = tuple(Message("system", message.content) for message in one.prompt)
    assert group_key(one) != group_key(replace(one, prompt=spoken))
