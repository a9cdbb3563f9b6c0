import json
from pathlib import Path

import pytest
import torch

from palate import doctor
from palate.cli.main import main
from palate.doctor import Diagnosis, diagnose, extras


def diagnosis(**changed: object) -> Diagnosis:
    found = diagnose().to_json() | {"extras": ()} | changed
    return Diagnosis(**found)


def test_it_says_what_the_machine_has() -> None:
    found = diagnose()
    assert found.threads == torch.get_num_threads()
    assert found.versions["torch"] == torch.__version__
    assert found.precision in found.gflops
    assert all(speed > 0.1 for speed in found.gflops.values())
    assert 0 < found.memory_free_gib < found.memory_gib
    assert json.loads(json.dumps(found.to_json()))["device"] == found.device


def test_extras_are_those_of_the_package_and_missing_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {extra.name: extra.missing for extra in extras()}
    assert {"demo", "data", "memory", "tensorboard"} <= set(named)
    assert named["data"] == ()  # the tests need it
    monkeypatch.setattr(doctor, "_installed", lambda package: package != "crowd-kit")
    assert {extra.name: extra.missing for extra in extras()}["data"] == ("crowd-kit",)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"device": "cpu", "threads": 64, "cores": 8}, "OMP_NUM_THREADS=8"),
        ({"precision": "float32"}, "bf16 is not native"),
        ({"device": "cuda", "attention": "segments (cuda, bfloat16: ROCm)"}, "ROCm"),
        ({"cache_free_gib": 0.5}, "PALATE_CACHE"),
    ],
)
def test_what_slows_a_run_down_is_said(changed: dict[str, object], said: str) -> None:
    fine = {"device": "cpu", "threads": 2, "cores": 2, "precision": "bfloat16", "cache_free_gib": 9.0}
    assert diagnosis(**fine).remarks == ()
    (remark,) = diagnosis(**(fine | changed)).remarks
    assert said in remark


def test_the_command_prints_it_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", str(tmp_path / "machine.json")]) == 0
    assert json.loads((tmp_path / "machine.json").read_text())["versions"]["torch"] == torch.__version__
    printed = capsys.readouterr().out
    assert "attention" in printed
    assert "extra data" in printed
