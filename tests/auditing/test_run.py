"""The whole audit of a checkpoint, from data on disk to three files and an exit code."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import palate
from palate.cli.main import main
from palate.data.simulate import simulate, write_jsonl
from palate.errors import ConfigError, DataError, ModelError
from palate.model.contract import Contract
from palate.testing.tiny import tiny_reward_model

KEYS = ["mechanics", "ranking", "best_of_n", "calibration", "appearance", "patterns", "battery", "probes"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    tiny_reward_model(max_length=2048).save_pretrained(folder / "rm", reward_mean=0.0, reward_std=1.0)
    made = simulate(70, seed=6)
    write_jsonl(made, folder / "held.jsonl")
    lines = (folder / "held.jsonl").read_text().splitlines(keepends=True)
    write_jsonl(simulate(40, seed=8), folder / "train.jsonl")
    with (folder / "train.jsonl").open("a") as file:
        file.writelines(line.replace('"id": "', '"id": "again-') for line in lines[:20])
    return folder


def test_every_section_and_every_file_is_there(folder: Path, tmp_path: Path) -> None:
    report = palate.audit(
        model=str(folder / "rm"),
        data=str(folder / "held.jsonl"),
        train_data=str(folder / "train.jsonl"),
        out=str(tmp_path / "audit"),
        battery="quick",
        probes=4,
    )
    assert [check.section.key for check in report.checks] == [*KEYS, "leaks", "annotators", "inflation", "people"]
    facts = json.loads((tmp_path / "audit" / "audit.json").read_text())["facts"]
    assert facts["leaks.same_prompt_groups"] == 20
    assert facts["inflation.leaked_pairs"] > 0
    assert facts["ranking.pairs"] == report.facts["ranking.pairs"]
    assert "Mechanics" in (tmp_path / "audit" / "audit.html").read_text()
    assert (tmp_path / "audit" / "audit.md").read_text()
    assert [subject.what for subject in report.subject] == ["reward model", "held-out data", "training data"]


def test_exit_codes_say_sound_findings_or_impossible(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", str(folder / "rm"), "--data", str(folder / "held.jsonl"), "--out", str(tmp_path / "a")]
    cheap = ["--battery", "none", "--probes", "0"]
    assert main([*command, *cheap]) == 0
    assert main([*command, *cheap, "--threshold", "at-chance=0.99"]) == 1
    assert "at-chance" in capsys.readouterr().out
    assert main([*command[:1], "./nowhere", *command[2:], *cheap]) == 2
    assert "no such directory" in capsys.readouterr().err


def test_a_checkpoint_without_a_head_is_a_finding(folder: Path, tmp_path: Path) -> None:
    tiny_reward_model().save_pretrained(tmp_path / "rm")
    tensors = load_file(tmp_path / "rm" / "model.safetensors")
    del tensors["score.weight"]
    save_file(tensors, tmp_path / "rm" / "model.safetensors", metadata={"format": "pt"})
    report = palate.audit(model=str(tmp_path / "rm"), data=str(folder / "held.jsonl"), out=str(tmp_path / "a"))
    assert [placed.finding.id for placed in report.placed] == ["missing-head"]
    assert report.verdict == "fail"


def test_the_temperature_goes_into_the_contract(folder: Path, tmp_path: Path) -> None:
    made = simulate(70, seed=6)
    model = tiny_reward_model(max_length=2048, seed=3)
    model.save_pretrained(tmp_path / "rm")
    write_jsonl(made, tmp_path / "held.jsonl")
    settings = {"data": str(tmp_path / "held.jsonl"), "out": str(tmp_path / "a"), "battery": "none", "probes": 0}
    before = palate.audit(model=str(tmp_path / "rm"), **settings)
    if before.facts["calibration.temperature_status"] == "fitted":
        palate.audit(model=str(tmp_path / "rm"), save_temperature=True, **settings)
        contract = Contract.read(tmp_path / "rm" / "palate.json")
        assert contract.temperature == pytest.approx(before.facts["calibration.temperature"])
        assert palate.RewardModel.from_pretrained(tmp_path / "rm").contract == contract
    else:
        with pytest.raises(ConfigError, match="save-temperature needs"):
            palate.audit(model=str(tmp_path / "rm"), save_temperature=True, **settings)


def test_without_a_temperature_there_are_the_reports_and_then_an_error(folder: Path, tmp_path: Path) -> None:
    settings = {"data": str(folder / "held.jsonl"), "save_temperature": True, "battery": "none", "probes": 0}
    before = (folder / "rm" / "palate.json").read_text()
    with pytest.raises(ConfigError, match="save-temperature needs data that a temperature can be fitted to"):
        palate.audit(model=str(folder / "rm"), max_groups=10, out=str(tmp_path / "a"), **settings)
    assert (folder / "rm" / "palate.json").read_text() == before
    assert json.loads((tmp_path / "a" / "audit.json").read_text())["facts"]["ranking.pairs"] > 0
    tiny_reward_model().save_pretrained(tmp_path / "rm")
    (tmp_path / "rm" / "palate.json").unlink()
    with pytest.raises(ConfigError, match=r"palate\.json, which .*rm does not have"):
        palate.audit(model=str(tmp_path / "rm"), out=str(tmp_path / "b"), **settings | {"data": "./nowhere.jsonl"})
    assert not (tmp_path / "b").exists()


def test_what_cannot_run_is_an_error(folder: Path, tmp_path: Path) -> None:
    settings = {"model": str(folder / "rm"), "out": str(tmp_path / "a")}
    with pytest.raises(DataError, match="no such file"):
        palate.audit(data="./nowhere.jsonl", **settings)
    with pytest.raises(ConfigError, match="there is no finding 'x'"):
        palate.audit(data=str(folder / "held.jsonl"), threshold=("x=1",), **settings)
    with pytest.raises(ModelError, match="nothing answers"):
        palate.audit(data=str(folder / "held.jsonl"), model="http://127.0.0.1:9", out=str(tmp_path / "a"))
