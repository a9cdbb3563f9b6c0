"""The data commands as a user runs them: exit codes, files and what is said."""

import json
from pathlib import Path

import pytest

from palate.cli.main import main
from palate.data.load import read_groups
from palate.data.simulate import Flaws, simulate, write_jsonl


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "votes.jsonl"
    write_jsonl(simulate(120, seed=7), path)
    return path


def test_check_gives_0_or_1_and_prints_what_to_do(
    votes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(votes), "--workers", "1", "--out", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["verdict"] in ("sound", "warn")
    planted = tmp_path / "planted.jsonl"
    write_jsonl(simulate(120, seed=7, flaws=Flaws(duplicates=0.5)), planted)
    capsys.readouterr()
    assert main(["data", "check", str(planted), "--workers", "1", "--threshold", "duplicate=0.1"]) == 1
    said = capsys.readouterr().out
    assert "fail" in said
    assert "duplicate" in said
    assert "not looked at: tokens" in said


def test_check_says_what_it_cannot_read_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "./missing.jsonl"]) == 2
    assert "no such file" in capsys.readouterr().err


def test_split_writes_sides_that_share_nothing(votes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "split"
    assert main(["data", "split", str(votes), "--out", str(out), "--fractions", "train=0.8", "dev=0.2"]) == 0
    train, dev = (read_groups(str(out / f"{side}.jsonl")).groups for side in ("train", "dev"))
    assert len(train) + len(dev) == 120
    assert not {group.prompt_hash for group in train} & {group.prompt_hash for group in dev}
    assert f"dev: {out / 'dev.jsonl'}" in capsys.readouterr().out.replace("\n", "")
    assert main(["data", "split", str(votes), "--out", str(tmp_path / "b"), "--fractions", "train"]) == 2
    assert "write NAME=SHARE" in capsys.readouterr().err


def test_aggregate_balance_and_convert(votes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels, balanced, pairs = (tmp_path / name for name in ("labels.jsonl", "balanced.jsonl", "pairs.csv"))
    assert main(["data", "aggregate", str(votes), "--out", str(labels)]) == 0
    assert main(["data", "balance", str(labels), "--out", str(balanced), "--unit", "words"]) == 0
    assert main(["data", "convert", str(balanced), "--to", "trl-standard", "--out", str(pairs)]) == 0
    said = capsys.readouterr().out
    assert "labels by majority" in said
    assert "the longer response wins" in said
    assert read_groups(str(pairs)).groups
    assert main(["data", "convert", str(balanced), "--to", "nothing", "--out", str(pairs)]) == 2
    assert "nothing" in capsys.readouterr().err
