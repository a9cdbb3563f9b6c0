"""A run that is killed and resumed ends bit for bit where the uninterrupted run ends."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from palate.config import TrainConfig, write_yaml
from palate.errors import ConfigError, NonFiniteError
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run, write_groups
from palate.training import checkpoints, loop
from palate.training.outcome import TrainResult
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

VARYING = ("seconds", "pairs_per_second", "tokens_per_second")


class Killed(BaseException):
    """Stands for a kill where a test wants one at an exact place."""


def config_in(folder: Path, **settings: Any) -> TrainConfig:
    """48 steps with dropout, a random head and held-out data: everything that a resumed run could get wrong."""
    random_parts = {"dropout": True, "head_init": "normal", "kind": "gpt2"}
    ours = {"pairs_per_step": 4, "epochs": 8, "save_every": 2, "eval_every": 5, "eval_fraction": 0.1}
    return tiny_run(folder, random_groups(28), **random_parts, **{**ours, **settings})


def log_of(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in VARYING} for line in lines]


def assert_same_model(ours: Path, theirs: Path) -> None:
    a, b = load_file(ours / "model.safetensors"), load_file(theirs / "model.safetensors")
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def assert_same_end(result: Path, reference: TrainResult) -> None:
    assert_same_model(result, reference.out)
    assert log_of(result) == log_of(reference.out)
    summary = json.loads((result / "summary.json").read_text())
    for name in ("first_loss", "eval", "eval_before", "best", "pairs", "steps", "tokens", "reward_mean"):
        assert summary[name] == reference.summary[name], name


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(config_in(tmp_path_factory.mktemp("reference")))


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_killed_at_a_random_moment(share: float, reference: TrainResult, tmp_path: Path) -> None:
    steps = reference.summary["steps"]
    at = int(steps * share) + random.randrange(steps // 5)
    config = config_in(tmp_path, save_every=1 if share < 0.5 else 2)
    write_yaml(config, tmp_path / "run.yaml")
    command = [sys.executable, "-m", "palate", "train", "--config", str(tmp_path / "run.yaml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    log = Path(config.out) / "log.jsonl"
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < at):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert not (log.parent / "summary.json").exists()
    assert checkpoints.find(log.parent)
    with log.open("a") as file:
        file.write('{"step": 99')  # torn, as a kill in the middle of a line leaves it
    train(config, resume=True)
    assert_same_end(log.parent, reference)


@pytest.mark.parametrize("where", ["fsync", "rename"])
def test_killed_while_writing_a_checkpoint(
    where: str, reference: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path)
    out = Path(config.out)

    def save_state(trainer: loop.Trainer, progress: checkpoints.Progress) -> None:
        if progress.step < 8:
            return original(trainer, progress)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", kill) if where == "fsync" else patch.setattr(Path, "rename", kill)
            return original(trainer, progress)

    def kill(*_arguments: Any) -> None:
        raise Killed

    original = loop.save_state
    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", save_state)
        with pytest.raises(Killed):
            train(config)
    assert (out / "checkpoints" / ".step-00000008.tmp").is_dir()
    assert [path.name for path in checkpoints.find(out)] == ["step-00000004", "step-00000006"]
    train(config, resume=True)
    assert not list((out / "checkpoints").glob(".*"))
    assert_same_end(out, reference)


def test_killed_after_the_last_step_and_before_the_model_is_saved(
    reference: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path, save_every=1)
    with monkeypatch.context() as patch:
        patch.setattr("palate.training.outcome.summarise", lambda **_known: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(config)
    train(config, resume=True)
    assert_same_end(Path(config.out), reference)


def test_resume_without_a_checkpoint_starts_from_the_beginning(reference: TrainResult, tmp_path: Path) -> None:
    assert_same_end(train(config_in(tmp_path), resume=True).out, reference)


def test_resume_with_other_settings_names_them(tmp_path: Path) -> None:
    config = config_in(tmp_path, max_steps=3)
    train(config)
    with pytest.raises(ConfigError, match=r"other settings: lr: 0.001 -> 0.1; loss: 'bradley-terry' -> 'hinge'"):
        train(config, resume=True, lr=0.1, loss="hinge")


def interrupted(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, *, at: int) -> None:
    def refuse(record: Any) -> None:
        if record.step == at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("palate.training.run._on_step", lambda *_all: refuse)
        with pytest.raises(Killed):
            train(config)


def test_resume_may_change_what_does_not_change_the_result(
    reference: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path)
    interrupted(config, monkeypatch, at=7)
    result = train(config, resume=True, save_every=3, keep_last=1, on_non_finite="skip")
    assert_same_end(result.out, reference)


def test_resume_with_changed_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path)
    interrupted(config, monkeypatch, at=7)
    write_groups(Path(config.data), random_groups(28, seed=1))
    with pytest.raises(ConfigError, match="the training data is not what it was"):
        train(config, resume=True)


def test_resume_of_a_finished_run_changes_nothing(reference: TrainResult) -> None:
    files = {path: path.stat().st_mtime_ns for path in reference.out.rglob("*") if path.is_file()}
    config = TrainConfig(**{**asdict(config_in(reference.out.parent)), "resume": True})
    again = train(config)
    assert {path: path.stat().st_mtime_ns for path in reference.out.rglob("*") if path.is_file()} == files
    assert (again.summary, again.before, again.after) == (reference.summary, reference.before, reference.after)
    assert again.model.score("a", ["b"]) == pytest.approx(reference.model.score("a", ["b"]), abs=1e-6)


def test_the_evaluation_before_training_survives(
    reference: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_in(tmp_path)
    interrupted(config, monkeypatch, at=7)
    result = train(config, resume=True)
    assert result.before == reference.before
    assert result.before is not None


def test_a_stopped_run_goes_on_with_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path)

    def spoil(trainer: loop.Trainer) -> float:
        norm = original(trainer)
        return float("nan") if trainer.schedule.last_epoch == 8 else norm

    original = loop._clip
    monkeypatch.setattr(loop, "_clip", spoil)
    with pytest.raises(NonFiniteError, match=r"step 9: .*the last checkpoint is .*step-00000008"):
        train(config)
    result = train(config, resume=True, on_non_finite="skip")
    assert result.summary["skipped_steps"] == 1
    assert [line["step"] for line in log_of(result.out) if line["skipped"]] == [9]


def interrupted_with_best(folder: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """Killed after step 7, with a checkpoint of step 6 and a best model of step 5."""
    config = config_in(folder)
    original = loop.run_step

    def run_step(trainer: loop.Trainer, step: Any, number: int) -> Any:
        if number == 8:
            raise Killed
        return original(trainer, step, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "run_step", run_step)
        with pytest.raises(Killed):
            train(config)
    assert [path.name for path in checkpoints.find(Path(config.out), "best")] == ["best-00000005"]
    return config


def test_a_best_model_of_steps_that_were_taken_back_is_not_kept(
    reference: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = interrupted_with_best(tmp_path, monkeypatch)
    (Path(config.out) / "checkpoints" / "best-00000099").mkdir()
    result = train(config, resume=True)
    best = f"best-{result.summary['best']['step']:08d}"
    assert [path.name for path in checkpoints.find(result.out, "best")] == [best]
    assert_same_end(result.out, reference)


def test_a_best_model_that_is_gone_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = interrupted_with_best(tmp_path, monkeypatch)
    shutil.rmtree(checkpoints.best_directory(Path(config.out), 5))
    result = train(config, resume=True)
    assert result.summary["best"]["step"] > 5
    assert checkpoints.best_directory(result.out, result.summary["best"]["step"]).exists()
