import json
from pathlib import Path
from typing import Any

import pytest

import palate
from palate.auditing.battery import battery_summary, run_battery
from palate.auditing.local import LocalScorer
from palate.testing.runs import tiny_run
from palate.training.outcome import TrainResult


class Lines:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args: lambda _done: None


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "battery.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainResult, Lines]:
    display = Lines()
    settings = {"save_every": 1, "eval_every": 2, "eval_fraction": 0.2, "max_length": 400}
    config = tiny_run(tmp_path_factory.mktemp("battery"), battery="quick", **settings)
    return palate.train(config, display=display), display


def test_it_runs_at_every_checkpoint_and_at_the_end(run: tuple[TrainResult, Lines]) -> None:
    result, display = run
    steps = result.summary["steps"]
    assert steps >= 2
    assert [line["step"] for line in lines(result.out)] == list(range(1, steps + 1))
    assert sum(said.startswith("battery after step") for said in display.said) == steps


def test_its_figures_are_those_of_the_saved_model(run: tuple[TrainResult, Lines]) -> None:
    result, _ = run
    again = run_battery(LocalScorer(palate.RewardModel.from_pretrained(result.out), "rm"), only_quick=True)
    expected = battery_summary(again)
    assert result.summary["battery"] == expected
    assert lines(result.out)[-1] == {"step": result.summary["steps"], **result.summary["battery"]}
    assert expected["unscored"] > 0  # the limit of 400 tokens is short, and that is said
    assert 0 < expected["accuracy"] < 1


def test_it_changes_nothing_in_the_training(run: tuple[TrainResult, Lines], tmp_path: Path) -> None:
    result, _ = run
    config = tiny_run(tmp_path, battery="none", save_every=1, eval_every=2, eval_fraction=0.2, max_length=400)
    without = palate.train(config)
    assert without.summary["battery"] is None
    assert not (without.out / "battery.jsonl").exists()
    for name in ("eval", "first_loss", "reward_mean"):
        assert without.summary[name] == result.summary[name]


def test_lines_after_the_checkpoint_are_cut_on_resuming(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, battery="quick", save_every=1, max_steps=2)
    result = palate.train(config)
    (result.out / "summary.json").unlink()  # as if it had been killed after step 2 was logged
    (result.out / "checkpoints" / "step-00000002").rename(tmp_path / "gone")
    again = palate.train(config, resume=True)
    assert [line["step"] for line in lines(again.out)] == [1, 2]


def test_a_run_that_was_killed_at_its_very_end_has_one_line_a_step_too(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, battery="quick", save_every=1, max_steps=2)
    result = palate.train(config)
    (result.out / "summary.json").unlink()  # as if it had been killed while the model was saved
    again = palate.train(config, resume=True)
    assert [line["step"] for line in lines(again.out)] == [1, 2]
