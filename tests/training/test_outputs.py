"""What a run leaves behind: one log line a step, a summary, what was left out, a model that others load."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import AutoModelForSequenceClassification

from palate.config import TrainConfig, build, read_yaml
from palate.errors import ConfigError, DataError, PalateWarning
from palate.model.reward_model import RewardModel
from palate.records import Comparison, Message, PreferenceGroup
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run, write_groups
from palate.training.display import QuietDisplay
from palate.training.outcome import TrainResult
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")


class Lines(QuietDisplay):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def group(number: int, words: int, *, prompt_words: int = 1) -> PreferenceGroup:
    """A pair whose texts are as long as wished."""
    return PreferenceGroup(
        id=f"long-{number}",
        prompt=(Message("user", f"{number} " + "word " * prompt_words),),
        responses=((Message("assistant", "good " * words),), (Message("assistant", "bad"),)),
        comparisons=(Comparison(0, 1),),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    groups = (*random_groups(20), *random_groups(4, responses=3, seed=1))
    return train(tiny_run(tmp_path_factory.mktemp("run"), groups, eval_fraction=0.25, epochs=2))


def test_the_log_has_one_line_a_step(run: TrainResult) -> None:
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, run.summary["steps"] + 1))
    assert [line["epoch"] for line in lines] == sorted(line["epoch"] for line in lines)
    assert {line["epoch"] for line in lines} == {0, 1}
    for line in lines:
        for name in ("loss", "accuracy", "margin", "grad_norm", "lr", "pairs_per_second", "tokens_per_second"):
            assert isinstance(line[name], float), name
        assert line["pairs_per_second"] == pytest.approx(line["pairs"] / line["seconds"])
        assert line["tokens_per_second"] == pytest.approx(line["tokens"] / line["seconds"])


def test_the_summary_says_what_was_done(run: TrainResult) -> None:
    summary = json.loads((run.out / "summary.json").read_text())
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    assert summary == run.summary
    assert summary["first_loss"] == lines[0]["loss"]
    assert summary["pairs"] == sum(line["pairs"] for line in lines)
    assert summary["steps"] == len(lines)
    assert summary["seconds"] == pytest.approx(sum(line["seconds"] for line in lines))
    assert summary["pairs_per_second"] == pytest.approx(summary["pairs"] / summary["seconds"])
    assert summary["tokens"]["trained"] == sum(line["tokens"] for line in lines)
    assert 0 < summary["tokens"]["computed"] < summary["tokens"]["unshared"]
    assert summary["peak_memory_bytes"] > 10_000_000
    assert summary["dropped"] == {}
    assert run.after is not None
    assert run.before is not None
    for name in ("accuracy", "accuracy_low", "accuracy_high", "margin"):
        assert summary["eval"][name] == getattr(run.after, name)
        assert summary["eval_before"][name] == getattr(run.before, name)


def test_the_resolved_settings_are_saved_and_repeat_the_run(run: TrainResult, tmp_path: Path) -> None:
    config = build(TrainConfig, read_yaml(run.out / "config.yaml"))
    again = train(replace(config, out=str(tmp_path / "again")))
    assert again.summary["eval"] == run.summary["eval"]


def test_the_saved_model_gives_the_rewards_of_the_trained_one_here_and_elsewhere(run: TrainResult) -> None:
    conversation = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "Größe 🙂"}]
    ours = run.model.score("2 + 2?", ["Größe 🙂"])[0]
    loaded = RewardModel.from_pretrained(run.out)
    assert loaded.score("2 + 2?", ["Größe 🙂"])[0] == pytest.approx(ours, abs=1e-6)
    other = AutoModelForSequenceClassification.from_pretrained(run.out).eval()
    text = loaded.tokenizer.apply_chat_template(conversation, tokenize=False)
    tokens = loaded.tokenizer(text, add_special_tokens=False, return_tensors="pt")
    with torch.no_grad():
        assert float(other(**tokens).logits[0, 0]) == pytest.approx(ours, abs=1e-5)


def test_the_contract_knows_the_data_and_the_scale_of_the_rewards(run: TrainResult) -> None:
    contract = RewardModel.from_pretrained(run.out).contract
    assert contract is not None
    assert contract.data_fingerprint == run.summary["data_fingerprint"]
    assert contract.reward_mean == run.summary["reward_mean"]
    assert contract.reward_std == run.summary["reward_std"] > 0
    assert contract.evaluation["accuracy"] == run.summary["eval"]["accuracy"]


def test_over_long_groups_are_dropped_counted_and_listed(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, [*(group(n, 2) for n in range(6)), group(6, 60)], max_length=128)
    summary = train(config).summary
    assert summary["dropped"] == {"over-long": 1}
    assert summary["groups"]["training"] == 6
    (row,) = (json.loads(line) for line in (Path(config.out) / "dropped.jsonl").read_text().splitlines())
    assert row["where"] == f"{config.data}:7"
    assert "more than the maximum of 128" in row["message"]


def test_over_long_prompts_are_cut_and_counted(tmp_path: Path) -> None:
    groups = [*(group(n, 2) for n in range(6)), group(6, 2, prompt_words=60), group(7, 60)]
    lines = Lines()
    result = train(tiny_run(tmp_path, groups, max_length=128, over_long="truncate-prompt"), display=lines)
    assert result.summary["groups"] == {"training": 7, "evaluation": 0, "truncated": 1, "ignored_labels": 0}
    assert result.summary["dropped"] == {"response-over-long": 1}
    assert any("1 group had its prompt cut from the left to 128 tokens" in line for line in lines.said)


def test_over_long_groups_are_an_error_on_request(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.jsonl:2: \d+ tokens, more than the maximum of 128"):
        train(tiny_run(tmp_path, [group(0, 2), group(1, 60)], max_length=128, over_long="error"))


def test_broken_rows_are_left_out_counted_and_listed_on_request(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, on_bad_row="skip")
    lines = Lines()
    with Path(config.data).open("a", encoding="utf-8") as file:
        file.write('{"prompt": "a", "chosen": "b", "rejected": "b"}\n{"prompt"\n')
    summary = train(config, display=lines).summary
    assert summary["dropped"] == {"identical-pair": 1, "broken-json": 1}
    (said,) = (line for line in lines.said if "(broken-json)" in line)
    assert said.startswith(f"warning: 1 left out (broken-json), such as {config.data}:26: not JSON")
    rows = [json.loads(line) for line in (Path(config.out) / "dropped.jsonl").read_text().splitlines()]
    assert [row["where"] for row in rows] == [f"{config.data}:25", f"{config.data}:26"]


def test_nothing_left_to_train_on_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no group is left to train on \(over-long\)"):
        train(tiny_run(tmp_path, [group(0, 60)], max_length=128))


def test_held_out_ties_alone_are_an_error_before_training(tmp_path: Path) -> None:
    ties = [replace(one, comparisons=(Comparison(0, 1, probability=0.5),)) for one in random_groups(3, seed=9)]
    held_out = write_groups(tmp_path / "ties.jsonl", ties)
    with pytest.raises(DataError, match="none of the 3 held-out comparisons has a right answer"):
        train(tiny_run(tmp_path, eval_data=str(held_out)))
    assert not (tmp_path / "rm" / "log.jsonl").exists()


def test_prompts_on_both_sides_are_warned_of(tmp_path: Path) -> None:
    groups = random_groups(8)
    held_out = write_groups(tmp_path / "held_out.jsonl", (*groups[:3], *random_groups(4, seed=5)))
    lines = Lines()
    train(tiny_run(tmp_path, groups, eval_data=str(held_out)), display=lines)
    assert [line for line in lines.said if "3 prompts of eval-data are in the training data too" in line]


def test_groups_of_one_prompt_cannot_be_split_and_that_is_warned_of(tmp_path: Path) -> None:
    groups = [replace(one, prompt=(Message("user", "again"),)) for one in random_groups(8)]
    lines = Lines()
    result = train(tiny_run(tmp_path, groups, eval_fraction=0.2), display=lines)
    assert result.after is None
    assert result.summary["eval"] is None
    assert any(line.startswith("warning: nothing is held out") for line in lines.said)


def test_without_a_display_warnings_are_warned_of(tmp_path: Path) -> None:
    data = tiny_run(tmp_path).data
    with pytest.warns(PalateWarning, match="24 prompts of eval-data are in the training data too"):
        train(tiny_run(tmp_path, eval_data=data))


def test_what_is_said_before_the_first_step(tmp_path: Path) -> None:
    lines = Lines()
    train(tiny_run(tmp_path, eval_fraction=0.2), display=lines)
    text = "\n".join(lines.said)
    for part in (
        "24 groups",
        "held out by prompt",
        "trainable parameters on cpu, float32",
        "self-check",
        "first loss 0.693147",
    ):
        assert part in text


def test_trackers_get_every_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    train(tiny_run(tmp_path, trackers=("tensorboard",)))
    assert list((tmp_path / "rm").rglob("events.out.tfevents*"))


def test_settings_may_be_given_by_name(tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    settings: dict[str, Any] = {"model": config.model, "data": config.data, "out": config.out}
    assert train(**settings, dtype="fp32", max_steps=1, save_every=0).summary["steps"] == 1


def test_a_process_that_another_trainer_has_set_up_is_refused(tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    AcceleratorState._reset_state()
    try:
        Accelerator(mixed_precision="bf16")
        with pytest.raises(ConfigError, match="in a process of its own"):
            train(config)
    finally:
        AcceleratorState._reset_state()


def test_what_was_fitted_to_the_weights_before_is_not_said_of_those_after(tmp_path: Path) -> None:
    first = train(tiny_run(tmp_path, max_steps=1))
    first.model.save_pretrained(first.out, temperature=2.5)
    again = tiny_run(tmp_path, max_steps=2, eval_every=1)
    second = train(again, model=str(first.out), out=str(tmp_path / "second"), eval_data=again.data)
    best = RewardModel.from_pretrained(next((second.out / "checkpoints").glob("best-*")))
    assert first.model.contract is not None
    for contract in (second.model.contract, best.contract):
        assert contract is not None
        assert contract.temperature is None
        assert contract.reward_std is not None
        assert contract.reward_mean != first.model.contract.reward_mean
