"""Several processes take the same steps as one: the same weights, one log, one summary."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from palate.config import TrainConfig, write_yaml
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run
from palate.training.run import train

pytestmark = pytest.mark.slow


def run_two(config: TrainConfig, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    write_yaml(config, folder / "run.yaml")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    launch = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port), "-m", "palate"]
    command = [sys.executable, "-m", *launch, "train", "--config", str(folder / "run.yaml"), *flags]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environment)


@pytest.mark.parametrize("control", ["none", "covariate", "decorrelation"])
def test_two_processes_end_where_one_ends_and_can_be_resumed(control: str, tmp_path: Path) -> None:
    groups = (*random_groups(14), *random_groups(6, responses=4, seed=1))
    ours = {"eval_fraction": 0.2, "eval_every": 3, "save_every": 2, "tokens_per_pack": 600, "lr": 1e-3}
    config = tiny_run(tmp_path, groups, **ours, length_control=control, out=str(tmp_path / "two"))
    alone = train(config, out=str(tmp_path / "one"))

    finished = run_two(config, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("first loss 0.693147") == 1
    assert finished.stdout.count("saved in ") == 1
    assert finished.stdout.count("next: ") == 1

    def assert_same() -> None:
        two = tmp_path / "two"
        ours, theirs = load_file(alone.out / "model.safetensors"), load_file(two / "model.safetensors")
        for name, tensor in ours.items():
            torch.testing.assert_close(theirs[name], tensor, atol=1e-5, rtol=0, msg=name)
        logs = [[json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()] for out in (alone.out, two)]
        for name in ("step", "pairs", "tokens", "ties"):
            assert [line[name] for line in logs[1]] == [line[name] for line in logs[0]]
        for name in ("loss", "accuracy", "margin", "grad_norm"):
            assert [line[name] for line in logs[1]] == pytest.approx([line[name] for line in logs[0]], abs=1e-4), name
        summary = json.loads((two / "summary.json").read_text())
        assert summary["eval"]["margin"] == pytest.approx(alone.summary["eval"]["margin"], abs=1e-5)
        assert summary["eval"]["accuracy"] == alone.summary["eval"]["accuracy"]
        assert summary["pairs"] == alone.summary["pairs"]
        assert summary["length_effect"] == pytest.approx(alone.summary["length_effect"], abs=1e-4)

    assert_same()
    (tmp_path / "two" / "summary.json").unlink()  # as if it had been killed before the end
    (tmp_path / "two" / "model.safetensors").unlink()
    resumed = run_two(config, tmp_path, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed from" in resumed.stdout
    assert_same()
