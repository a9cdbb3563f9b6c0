"""Each command from its flags to what it prints and writes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from palate.cli.main import main
from palate.records import Message
from palate.testing.groups import random_groups
from palate.testing.runs import write_groups
from palate.testing.tiny import save_tiny_causal_lm, tiny_reward_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_causal_lm(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rm") / "rm"
    tiny_reward_model().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write_groups(tmp_path / "data.jsonl", random_groups(12)))


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_train_says_how_to_go_on(model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rm"
    assert main(["train", "--model", model, "--data", data, "--out", str(out), "--eval-fraction", "0.3"]) == 0
    printed = capsys.readouterr().out
    for part in (
        "held-out before: accuracy 0.500",
        "step 1/1 loss 0.6931",
        "held-out after: accuracy",
        f"saved in {out}",
    ):
        assert part in printed
    assert printed.rstrip().endswith(f"palate score {out} --data FILE --out SCORES.jsonl")
    assert (out / "model.safetensors").exists()


def test_simulate_writes_what_train_reads(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sim.jsonl"
    assert main(["data", "simulate", "--out", str(file), "--num-prompts", "30", "--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith("30 prompts, ")
    assert len(file.read_text().splitlines()) == 30
    train = ["train", "--model", model, "--data", str(file), "--out", str(tmp_path / "rm"), "--max-steps", "2"]
    assert main([*train, "--dtype", "fp32", "--pairs-per-step", "4"]) == 0
    summary = json.loads((tmp_path / "rm" / "summary.json").read_text())
    assert summary["steps"] == 2
    assert summary["dropped"] == {}


def test_simulate_refuses_rates_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "simulate", "--out", str(tmp_path / "x.jsonl"), "--flipped", "2"]) == 2
    assert capsys.readouterr().err.startswith("palate data simulate: error: ")


def test_eval_prints_the_whole_and_the_buckets(
    reward_model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "eval.json"
    assert main(["eval", reward_model, "--data", data, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    found = json.loads(file.read_text())
    assert f"{found['accuracy']:.3f}" in printed
    assert f"[{found['accuracy_low']:.3f}, {found['accuracy_high']:.3f}]" in printed
    assert "100 to 200" in printed
    assert f"loss {found['loss']:.4f}" in printed
    assert f"figures in {file}" in printed


def test_eval_says_what_was_left_out(reward_model: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Path(data).open("a") as file:
        file.write('{"prompt": "a", "chosen": "b"}\n')
    assert main(["eval", reward_model, "--data", data, "--on-bad-row", "skip"]) == 0
    assert "warning: left out: 1 (missing-column)" in capsys.readouterr().out


def test_score_says_what_it_did_and_did_not(
    reward_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = list(random_groups(4))
    groups[1] = replace(groups[1], prompt=(Message("user", "word " * 500),), comparisons=())
    data, out = write_groups(tmp_path / "d.jsonl", groups), tmp_path / "scores.jsonl"
    assert main(["score", reward_model, "--data", str(data), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"4 prompts scored in {out}" in printed
    assert "warning: rewards null: 1 (over-long)" in printed
    assert len(out.read_text().splitlines()) == 4


def test_poolings_prints_a_table_of_all_poolings(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--dtype", "fp32", "--eval-fraction", "0.3", "--max-steps", "1"]
    assert main(["poolings", "--model", model, "--data", data, "--out", str(tmp_path / "all"), *flags]) == 0
    printed = capsys.readouterr().out
    table = printed[printed.index("held-out accuracy by pooling") :].splitlines()[2:]
    assert {line.split()[0] for line in table} == {"last", "mean", "mean-response", "attention", "cls"}
    accuracies = [float(line.split()[1]) for line in table]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"last", "mean", "mean-response", "attention", "cls"}


def test_poolings_needs_held_out_data(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["poolings", "--model", model, "--data", data, "--out", str(tmp_path / "all"), "--eval-fraction", "0"]
    assert main(arguments) == 2
    assert "comparing needs held-out data" in capsys.readouterr().err


def test_poolings_refuses_what_it_would_ignore(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "all"
    assert main(["poolings", "--model", model, "--data", data, "--out", str(out), "--pooling", "mean"]) == 2
    assert "leave --pooling out" in capsys.readouterr().err
    assert not out.exists()


def test_poolings_refuses_several_processes(
    model: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("palate.training.run.train", lambda *_, **__: pytest.fail("a run was begun"))
    out = tmp_path / "all"
    arguments = ["poolings", "--model", model, "--data", data, "--out", str(out), "--eval-fraction", "0.3"]
    assert main(arguments) == 2
    assert "start it without a launcher" in capsys.readouterr().err


def test_poolings_needs_more_than_one_prompt(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    groups = [replace(group, prompt=(Message("user", "again"),)) for group in random_groups(8)]
    data = write_groups(tmp_path / "data.jsonl", groups)
    assert main(["poolings", "--model", model, "--data", str(data), "--out", str(tmp_path / "all")]) == 2
    assert "nothing was held out to compare on" in capsys.readouterr().err


def test_walkthrough_prints_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["walkthrough"]) == 0
    printed = capsys.readouterr().out
    for number in ("0.693147", "-0.200000", "0.470000", "0.110000", "0.589040", "0.5292"):
        assert number in printed


def test_walkthrough_as_json(tmp_path: Path) -> None:
    out = tmp_path / "step.json"
    assert main(["walkthrough", "--json", str(out)]) == 0
    numbers = json.loads(out.read_text())
    for side in ("by_hand", "autograd"):
        assert numbers[side]["after"]["weights"] == pytest.approx([0.2, 0.3, -0.1, 0.2])


def test_names_are_shown_as_they_are_and_not_as_emoji(reward_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", reward_model, "--data", "simulated:100", "--max-groups", "3"]) == 0
    assert "simulated:100: 3 rows" in capsys.readouterr().out
