"""The comparison runs, on a tiny model; all three give the same rewards."""

import json
from pathlib import Path

import pytest

from benchmarks import onnx_speed
from palate.exporting import graph


def test_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(graph, "_by_export", graph._by_tracing)  # twenty times quicker, and speed is no matter here
    onnx_speed.main(["--quick", "--out", str(tmp_path)])
    content = json.loads((tmp_path / "onnx_speed.json").read_text())
    (row,) = content["tables"][onnx_speed.TABLE]
    assert (row["work"], row["sequences"]) == ("best of 8", 16)
    assert row["computed_by_palate"] < row["tokens"]
    assert row["largest_difference"] < 1e-4
    assert min(row["palate_per_second"], row["torch_per_second"], row["onnx_per_second"]) > 0
    assert any("written by" in note for note in content["notes"])


def test_the_fastest_batch_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {4: [2.0], 8: [1.0], 16: [3.0]}
    monkeypatch.setattr(onnx_speed, "alternate", lambda _tasks, _rounds: seconds)
    assert onnx_speed.fastest(lambda _size: None, [4, 8, 16]) == 8
