"""Checkpoints: whole or not there, as many as wished, and the best among them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from palate.data.read import read_preferences
from palate.data.render import tokenize
from palate.data.split import split_by_prompt
from palate.errors import ConfigError, PalateError
from palate.evaluation import evaluate_model
from palate.model.reward_model import RewardModel
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run
from palate.testing.tiny import save_tiny_causal_lm
from palate.training import checkpoints
from palate.training.checkpoints import Progress
from palate.training.display import QuietDisplay
from palate.training.run import train
from palate.training.setup import alone

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")


class Lines(QuietDisplay):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def test_progress_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    before = train(tiny_run(tmp_path, eval_fraction=0.2)).before
    progress = Progress(7, 0.69, 5, 0.6, 56, 999, 1.5, 2, "abc", before)
    checkpoints.save_progress(tmp_path, progress)
    assert checkpoints.load_progress(tmp_path) == progress


def test_progress_that_is_not_there_or_not_palates_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a checkpoint to resume from"):
        checkpoints.load_progress(tmp_path)
    (tmp_path / "progress.json").write_text('{"step": 3}')
    with pytest.raises(ConfigError, match="is not a checkpoint to resume from"):
        checkpoints.load_progress(tmp_path)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    out = train(tiny_run(tmp_path, pairs_per_step=2, save_every=3, keep_last=2)).out
    assert names(out) == ["step-00000009", "step-00000012"]
    out = train(tiny_run(tmp_path, pairs_per_step=2, save_every=1, keep_last=1, overwrite=True)).out
    assert names(out) == ["step-00000012"]


def test_save_every_zero_writes_none(tmp_path: Path) -> None:
    assert not (train(tiny_run(tmp_path, save_every=0)).out / "checkpoints").exists()


def test_half_written_checkpoints_are_not_found(tmp_path: Path) -> None:
    for name in (".step-00000009.tmp", "step-00000003", "step-00000010.old", "best-00000011"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [path.name for path in checkpoints.find(tmp_path)] == ["step-00000003"]


def test_the_best_model_is_kept_and_loads_with_its_accuracy(tmp_path: Path) -> None:
    lines = Lines()
    config = tiny_run(
        tmp_path, random_groups(40), eval_fraction=0.4, eval_every=1, save_every=1, epochs=3, lr=3e-3, seed=1
    )
    result = train(config, display=lines)
    accuracy = re.compile(r"step (\d+): held-out accuracy ([\d.]+)")
    found = [match for line in lines.said if (match := accuracy.match(line))]
    assert len(found) == result.summary["steps"] - 1
    evaluations = {int(match[1]): float(match[2]) for match in found}
    assert result.after is not None
    evaluations[result.summary["steps"]] = round(result.after.accuracy, 3)
    best = result.summary["best"]
    assert round(best["accuracy"], 3) == max(evaluations.values())
    assert evaluations[best["step"]] == max(evaluations.values())
    assert len(set(evaluations.values())) > 2  # else any checkpoint would do

    (directory,) = checkpoints.find(result.out, "best")
    assert directory.name == f"best-{best['step']:08d}"
    model = RewardModel.from_pretrained(directory)
    _, held_out = split_by_prompt(read_preferences(config.data).groups, 0.4, seed=1)
    groups = tokenize(held_out, model.tokenizer, max_length=1024).groups
    assert evaluate_model(model, groups).accuracy == best["accuracy"]
    assert len(checkpoints.find(result.out)) == 2


def test_the_last_model_can_be_the_best(tmp_path: Path) -> None:
    data = tiny_run(tmp_path).data
    result = train(tiny_run(tmp_path, eval_data=data, eval_every=100))
    assert result.summary["best"]["step"] == result.summary["steps"]
    assert result.summary["best"]["accuracy"] == result.summary["eval"]["accuracy"]
    assert names(result.out) == [f"best-{result.summary['steps']:08d}"]


def test_an_earlier_run_is_neither_mixed_with_nor_deleted_unasked(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, max_steps=1)
    out = train(config).out
    before = (out / "log.jsonl").read_text()
    with pytest.raises(ConfigError, match=r"holds an earlier run; choose another --out, or --resume, or --overwrite"):
        train(config)
    assert (out / "log.jsonl").read_text() == before
    (out / "stale").touch()
    train(replace(config, overwrite=True))
    assert len((out / "log.jsonl").read_text().splitlines()) == 1
    assert not (out / "stale").exists()


def test_overwrite_deletes_nothing_but_runs(tmp_path: Path) -> None:
    precious = save_tiny_causal_lm(tmp_path / "precious")
    config = tiny_run(tmp_path, out=str(precious))
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="holds a model that is not of a run of palate train"):
            train(config, overwrite=overwrite)
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").touch()
    train(config, out=str(home), overwrite=True, max_steps=1)
    assert (home / "letter.txt").exists()


def test_a_run_cannot_replace_its_own_input(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, max_steps=1)
    out = train(config).out
    with pytest.raises(ConfigError, match=r"--model .* lies in --out"):
        train(config, model=str(out), overwrite=True)
    (out / "mine.jsonl").write_text(Path(config.data).read_text())
    with pytest.raises(ConfigError, match=r"--data .* lies in --out"):
        train(config, data=str(out / "mine.jsonl"), overwrite=True)
    assert json.loads((out / "summary.json").read_text())["steps"] == 1


def test_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file; --out must be a directory"):
        train(tiny_run(tmp_path, out=str(tmp_path / "file"), overwrite=True))


def test_resume_takes_over_no_foreign_model(tmp_path: Path) -> None:
    precious = save_tiny_causal_lm(tmp_path / "precious")
    with pytest.raises(ConfigError, match="holds a model that is not of a run of palate train"):
        train(tiny_run(tmp_path, out=str(precious)), resume=True)


def test_the_earlier_run_goes_only_when_the_new_one_begins(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, max_steps=1)
    out = train(config).out
    before = (out / "model.safetensors").read_bytes()
    for broken in ({"data": str(tmp_path / "typo.jsonl")}, {"model": str(tmp_path / "typo")}):
        with pytest.raises(PalateError):
            train(config, overwrite=True, seed=1, **broken)
        assert (out / "model.safetensors").read_bytes() == before
    train(config, overwrite=True, seed=1)
    assert (out / "model.safetensors").read_bytes() != before


def test_two_runs_never_write_into_one_directory(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, max_steps=1)
    with alone(config), pytest.raises(ConfigError, match="held by another palate process"):
        train(config)
    train(config)
    assert not list(tmp_path.glob(".*.lock"))


def test_only_half_written_checkpoints_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for name in (".step-00000009.tmp", ".best-00000009.saving", ".trash", "step-00000003"):
        (folder / name).mkdir(parents=True)
    (folder / ".DS_Store").touch()
    checkpoints.sweep(tmp_path)
    assert names(tmp_path) == [".DS_Store", ".trash", "step-00000003"]
