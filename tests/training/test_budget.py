"""The budget that is found fits, hardly more would, and looking for it leaves nothing behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from palate.config import TrainConfig, read_yaml
from palate.errors import ConfigError
from palate.model.reward_model import RewardModel
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import tiny_run
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model
from palate.training import budget, footprint
from palate.training.budget import Budget, Trial, extrapolate, find_budget, grow, longest_first
from palate.training.display import QuietDisplay
from palate.training.eight_bit import state_bytes
from palate.training.footprint import free_bytes, peak_bytes
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

GROUPS = tuple(token_group(40 + n % 7, (20, 30 - n % 5), seed=n) for n in range(60))
COSTS = np.array([group.computed_tokens for group in GROUPS])


class Lines(QuietDisplay):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class Memory:
    """A device on which a token takes 10 bytes and a pack 300; it runs out of memory beyond `size`."""

    def __init__(self, size: float = float("inf"), group: int = 1) -> None:
        self.size = size
        self.group = group
        self.asked: list[int] = []

    def __call__(self, tokens: int) -> Trial:
        self.asked.append(tokens)
        tokens -= tokens % self.group  # whole groups
        needed = 300 + 10 * tokens
        if needed > self.size:
            raise torch.OutOfMemoryError
        return Trial(tokens, needed)


@pytest.mark.parametrize("size", [float("inf"), 50_000])
@pytest.mark.parametrize("allowed", [1500, 9_999, 40_000])
def test_growing_ends_within_a_sixteenth_of_the_end(allowed: int, size: float) -> None:
    memory = Memory(size)
    found = grow(memory, 100, 100_000, allowed)
    assert found == Trial(found.tokens, 300 + 10 * found.tokens)
    assert found.needed <= allowed < 300 + 10 * (found.tokens * 17 / 16 + 1)
    assert len(memory.asked) <= 20


def test_growing_never_goes_far_beyond_what_fitted() -> None:
    memory = Memory()
    grow(memory, 100, 100_000, allowed=40_000)
    fitting = [tokens for tokens in memory.asked if 300 + 10 * tokens <= 40_000]
    assert max(memory.asked) <= 2 * max(fitting)


@pytest.mark.parametrize("search", [grow, extrapolate])
def test_the_search_stays_between_its_ends(search: Callable[..., Trial]) -> None:
    assert search(Memory(), 100, 700, 1_000_000) == Trial(700, 7300)
    assert search(Memory(), 700, 700, 1_000_000) == Trial(700, 7300)
    beyond = search(Memory(), 700, 5000, 2000)
    assert (beyond.tokens, beyond.needed > 2000) == (700, True)


def test_running_out_of_memory_at_the_smallest_pack_is_too_much() -> None:
    assert grow(Memory(size=500), 100, 700, allowed=9000).needed > 9000


def test_two_measurements_are_enough_for_a_line() -> None:
    memory = Memory(group=90)
    found = extrapolate(memory, 90, 100_000, allowed=400_000)
    assert found == Trial((400_000 - 300) // 10, 400_000)
    assert len(memory.asked) == 2
    assert max(memory.asked) <= 1024


@pytest.mark.parametrize("allowed", range(1000, 9000, 157))
def test_what_is_extrapolated_down_fits_too(allowed: int) -> None:
    found = extrapolate(lambda tokens: Trial(tokens, 300 + round(7.3 * tokens)), 50, 100_000, allowed)
    assert found.needed <= allowed < found.needed + 10


def test_the_hardest_pack_holds_the_longest_groups_that_fit() -> None:
    assert longest_first(np.array([30, 50, 10, 40]), 85) == [1, 0]
    assert longest_first(np.array([30, 50]), 10) == [1]
    assert longest_first(np.array([30, 50]), 1000) == [1, 0]


def settings(**values: Any) -> TrainConfig:
    return TrainConfig(model="", data="", out="", **values)


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(budget, "free_bytes", lambda _device: free)


def find(model: RewardModel, **values: Any) -> Budget:
    return find_budget(model, GROUPS, settings(**values), costs=COSTS, largest_step=int(COSTS.sum()))


@pytest.mark.parametrize("free", [16, 24])
def test_a_pack_of_the_found_size_needs_what_was_foretold(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_reward_model()
    with_free(monkeypatch, free * 2**20)
    found = find(model)
    assert int(COSTS.max()) < found.tokens < int(COSTS.sum())
    pack = [GROUPS[i] for i in longest_first(COSTS, found.tokens)]
    needed = peak_bytes(model, pack) + state_bytes(model.parameters(), eight_bit=False)
    assert needed == pytest.approx(found.needed, rel=0.03)
    assert found.needed == pytest.approx(0.75 * free * 2**20, rel=0.01)
    assert found.trials == 2


def test_options_that_save_memory_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 24 * 2**20)
    model = sharp_reward_model("llama", hidden_size=64, intermediate_size=128, head_dim=16)
    plain = find(model).tokens
    assert plain < COSTS.sum()
    assert find(model, optimizer="adamw-8bit").tokens > plain
    model.backbone.activation_checkpointing_enable({"use_reentrant": False})
    assert find(model).tokens > 1.5 * plain
    frozen = tiny_reward_model()
    frozen.backbone.requires_grad_(False)
    assert find(frozen).tokens == COSTS.sum()


def test_a_group_that_does_not_fit_is_an_error_that_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 2**20)
    with pytest.raises(ConfigError, match=r"the longest group alone, \d+ tokens, .*--activation-checkpointing 1"):
        find(tiny_reward_model())


def test_looking_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 16 * 2**20)
    model = tiny_reward_model("gpt2")  # with dropout, which draws random numbers
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    find(model)
    assert torch.equal(torch.rand(4), expected)
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_a_run_says_keeps_and_uses_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 6 * 2**20)
    lines = Lines()
    result = train(tiny_run(tmp_path, auto_batch=True, dropout=True, kind="gpt2"), display=lines)
    tokens = result.summary["tokens_per_pack"]
    assert result.summary["auto_batch"] is True
    assert read_yaml(result.out / "config.yaml")["tokens_per_pack"] == tokens
    (line,) = [line for line in lines.said if line.startswith("tokens-per-pack is ")]
    assert line.startswith(f"tokens-per-pack is {tokens:,}: {tokens:,} tokens a pack need ")
    assert "of which 25% are left alone" in line
    config = tiny_run(tmp_path, tokens_per_pack=tokens, dropout=True, kind="gpt2", out=str(tmp_path / "given"))
    given = train(config)
    ours, theirs = (load_file(out / "model.safetensors") for out in (result.out, given.out))
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert given.summary["auto_batch"] is False


class Killed(BaseException):
    """Stands for a kill at an exact place."""


def test_a_resumed_run_keeps_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(record: Any) -> None:
        if record.step == 2:
            raise Killed

    config = tiny_run(tmp_path, random_groups(24), auto_batch=True, save_every=1)
    with_free(monkeypatch, 5 * 2**20)
    with monkeypatch.context() as patch:
        patch.setattr("palate.training.run._on_step", lambda *_all: kill)
        with pytest.raises(Killed):
            train(config)
    first = read_yaml(Path(config.out) / "config.yaml")["tokens_per_pack"]
    with_free(monkeypatch, 2**40)
    lines = Lines()
    again = train(config, resume=True, display=lines)
    assert again.summary["tokens_per_pack"] == first
    assert f"tokens-per-pack is {first:,}, as found when the run started" in lines.said


def test_a_resumed_run_may_choose_another_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, 5 * 2**20)
    config = tiny_run(tmp_path, auto_batch=True)
    out = train(config).out
    (out / "summary.json").unlink()
    again = train(config, resume=True, auto_batch=False, tokens_per_pack=500)
    assert json.loads((out / "summary.json").read_text())["tokens_per_pack"] == 500
    assert again.summary["auto_batch"] is False


def test_free_memory_is_that_of_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = free_bytes(torch.device("cpu"))
    assert 2**20 < everything < 2**50
    limits = footprint._container_limits
    (tmp_path / "memory.max").write_text("max\n")
    assert limits(tmp_path) == []
    (tmp_path / "memory.max").write_text(f"{2**34}\n")
    assert limits(tmp_path) == [2**34]
    monkeypatch.setattr(footprint, "_container_limits", lambda _root: [1000])
    assert free_bytes(torch.device("cpu")) == 0  # this process has more than that already
