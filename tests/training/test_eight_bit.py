"""AdamW with 8-bit averages: near AdamW, in a quarter of its bytes, and just as resumable."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.utils import counters

from palate.config import TrainConfig
from palate.errors import ConfigError
from palate.model.reward_model import RewardModel
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import tiny_run
from palate.testing.tiny import save_tiny_causal_lm
from palate.training.eight_bit import adamw_8bit, in_8bit, state_bytes
from palate.training.optimizer import make_optimizer
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")
pytest.importorskip("torchao", reason="torchao is not installed: pip install 'palate[memory]'")

# Large enough that every matrix is quantised: 4,096 values at least, in whole blocks of 256.
WIDE = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16, "num_key_value_heads": 4, "vocab_size": 320}


class Killed(BaseException):
    """Stands for a kill at an exact place."""


@pytest.fixture
def eager() -> Iterator[None]:
    """The step is compiled once a shape, which takes seconds each; run as written it computes the same."""
    with torch.compiler.set_stance("force_eager"):
        yield


def wide_run(folder: Path, **settings: Any) -> TrainConfig:
    if not (folder / "model").exists():
        save_tiny_causal_lm(folder / "model", **WIDE)
    return tiny_run(folder, random_groups(24), **{"out": str(folder / settings.get("optimizer", "adamw")), **settings})


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def stored_bytes(optimizer: torch.optim.Optimizer) -> int:
    averages = [state[name] for state in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    parts = [[t.codes, t.scale] if hasattr(t, "codes") else [t] for t in averages]
    return sum(part.nbytes for pieces in parts for part in pieces)


@pytest.fixture
def model(tmp_path: Path) -> RewardModel:
    return train(wide_run(tmp_path, max_steps=1)).model.train()


def stepped(model: RewardModel, config: TrainConfig) -> torch.optim.Optimizer:
    optimizer = make_optimizer(model, config)
    model(model.collate([token_group(9, (4, 5))])).sum().backward()
    optimizer.step()
    return optimizer


@pytest.mark.usefixtures("eager")
def test_the_state_takes_a_quarter_of_the_bytes(model: RewardModel, tmp_path: Path) -> None:
    small = stepped(model, wide_run(tmp_path, optimizer="adamw-8bit"))
    large = stepped(model, wide_run(tmp_path))
    assert stored_bytes(small) == state_bytes(model.parameters(), eight_bit=True)
    assert stored_bytes(large) == state_bytes(model.parameters(), eight_bit=False)
    assert 0.25 < stored_bytes(small) / stored_bytes(large) < 0.27


@pytest.mark.usefixtures("eager")
def test_the_averages_of_every_large_matrix_are_quantised_and_no_others(model: RewardModel, tmp_path: Path) -> None:
    optimizer = stepped(model, wide_run(tmp_path, optimizer="adamw-8bit"))
    for name, parameter in model.named_parameters():
        quantised = hasattr(optimizer.state[parameter]["exp_avg"], "codes")
        assert quantised == in_8bit(parameter), name
        assert quantised == (parameter.ndim > 1 and parameter.shape[0] > 1), name


@pytest.mark.usefixtures("eager")
def test_training_stays_near_adamw(tmp_path: Path) -> None:
    plain = log_of(train(wide_run(tmp_path, epochs=8)).out)
    small = log_of(train(wide_run(tmp_path, epochs=8, optimizer="adamw-8bit")).out)
    fall = plain[0]["loss"] - min(record["loss"] for record in plain)
    gaps = [abs(a["loss"] - b["loss"]) for a, b in zip(plain, small, strict=True)]
    assert fall > 0.3
    assert 0 < max(gaps) < 0.1 * fall
    assert [(a["lr"], a["head_lr"]) for a in plain] == [(b["lr"], b["head_lr"]) for b in small]


@pytest.mark.usefixtures("eager")
def test_a_killed_run_ends_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"optimizer": "adamw-8bit", "epochs": 3, "save_every": 2, "dropout": True, "head_init": "normal"}
    whole = train(wide_run(tmp_path, **ours, out=str(tmp_path / "whole")))

    def kill(record: Any) -> None:
        if record.step == 5:
            raise Killed

    config = wide_run(tmp_path, **ours, out=str(tmp_path / "killed"))
    with monkeypatch.context() as patch:
        patch.setattr("palate.training.run._on_step", lambda *_all: kill)
        with pytest.raises(Killed):
            train(config)
    resumed = train(config, resume=True)
    a, b = (load_file(result.out / "model.safetensors") for result in (whole, resumed))
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
    assert [record["loss"] for record in log_of(whole.out)] == [record["loss"] for record in log_of(resumed.out)]


def test_resuming_with_the_other_optimizer_is_refused(tmp_path: Path) -> None:
    config = wide_run(tmp_path, max_steps=1)
    train(config)
    with pytest.raises(ConfigError, match="optimizer: 'adamw' -> 'adamw-8bit'"):
        train(config, resume=True, optimizer="adamw-8bit")


def test_without_torchao_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'palate\[memory\]'"):
        train(wide_run(tmp_path, optimizer="adamw-8bit"))


@pytest.mark.slow
def test_compiled_the_step_is_the_same_and_a_new_rate_compiles_nothing() -> None:
    results = []
    counters.clear()
    for stance in ("force_eager", "default"):
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 4096).reshape(64, 64))
        optimizer = adamw_8bit([{"params": [weight], "lr": 0.1, "weight_decay": 0.01}])
        for step in range(4):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            weight.grad = torch.cos(weight.detach() * (step + 1))
            with torch.compiler.set_stance(stance):
                optimizer.step()
            assert optimizer.param_groups[0]["lr"] == 0.1 / (step + 1)
        results.append(weight.detach().clone())
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)
    assert counters["stats"]["unique_graphs"] == 1
