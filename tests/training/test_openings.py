"""Groups that all begin with the same system turn: a pack computes it once, and is planned and counted so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from palate.config import TrainConfig
from palate.packing.batch import RewardBatch
from palate.records import Message, PreferenceGroup
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run
from palate.training import loop
from palate.training.display import QuietDisplay
from palate.training.objective import PackLoss
from palate.training.outcome import TrainResult
from palate.training.run import train

TURN = Message("system", "Answer as a lighthouse keeper would, in as few words as the weather allows.")
BUDGET = 400


def groups() -> list[PreferenceGroup]:
    return [replace(group, prompt=(TURN, *group.prompt)) for group in random_groups(24)]


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> list[RewardBatch]:
    """Every pack that is trained on."""
    seen: list[RewardBatch] = []
    pack_loss = loop.pack_loss

    def spy(reward_N: Tensor, batch: RewardBatch, config: TrainConfig, **options: Any) -> PackLoss:
        seen.append(batch)
        return pack_loss(reward_N, batch, config, **options)

    monkeypatch.setattr(loop, "pack_loss", spy)
    return seen


def records(result: TrainResult) -> list[dict[str, float]]:
    return [json.loads(line) for line in (result.out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("pack_window", [0, 24])
def test_packs_are_planned_and_counted_with_one_opening_each(
    tmp_path: Path, packs: list[RewardBatch], pack_window: int
) -> None:
    result = train(tiny_run(tmp_path, groups(), tokens_per_pack=BUDGET, pack_window=pack_window))
    opening = result.summary["tokens"]["opening"]
    assert opening > 70  # a token a character
    assert max(batch.num_tokens for batch in packs) <= BUDGET
    assert (
        max(batch.num_tokens + (len(batch.groups) - 1) * opening for batch in packs) > BUDGET
    )  # each bringing its own
    assert [record["tokens"] for record in records(result)] == step_tokens(result, packs)


def step_tokens(result: TrainResult, packs: list[RewardBatch]) -> list[int]:
    """Tokens of the packs that make up each step, by their pairs."""
    found, rest = [], iter(packs)
    for record in records(result):
        pairs = tokens = 0
        while pairs < record["pairs"]:
            batch = next(rest)
            pairs, tokens = pairs + len(batch.winner_C), tokens + batch.num_tokens
        found.append(tokens)
    return found


def test_the_budget_does_not_change_what_is_learnt(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, groups(), tokens_per_pack=10_000)
    shared = train(config)
    alone = train(replace(config, tokens_per_pack=1, out=str(tmp_path / "alone")))
    one, other = records(shared), records(alone)
    assert [r["loss"] for r in one] == pytest.approx([r["loss"] for r in other], abs=1e-5)
    assert [r["grad_norm"] for r in one] == pytest.approx([r["grad_norm"] for r in other], rel=1e-3)
    opening = shared.summary["tokens"]["opening"]
    for together, apart in zip(one, other, strict=True):  # some prompts begin with the same digit besides
        assert 7 * opening <= apart["tokens"] - together["tokens"] < 7 * opening + 20


def test_what_a_step_is_said_to_hold_is_what_it_holds(tmp_path: Path) -> None:
    said: list[str] = []

    class Listening(QuietDisplay):
        def say(self, text: str) -> None:
            said.append(text)

    result = train(tiny_run(tmp_path, groups()), display=Listening())
    opening = result.summary["tokens"]["opening"]
    assert f"all groups begin with the same {opening} tokens: a pack computes them once" in said
