"""The matrix runs on a tiny body; what it finds of a real one is in benchmarks/results."""

import json
from pathlib import Path

import pytest

from benchmarks import detection_matrix
from palate.testing.tiny import save_tiny_causal_lm

MECHANICAL = {
    "padding-side bug": "padding-side",
    "stale chat template": "template-mismatch",
    "one annotator dominates": "dominant-annotator",
    "same prompt in train and dev": "prompt-leak",
    "bias left on the head": "head-bias",
    "two towers: dropout left on": "dropout-on",
}


@pytest.mark.slow
def test_what_needs_no_learning_is_caught_on_a_tiny_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "cache"))
    save_tiny_causal_lm(tmp_path / "body")
    detection_matrix.main(["--quick", "--model", str(tmp_path / "body"), "--out", str(tmp_path)])
    tables = json.loads((tmp_path / "detection_matrix.json").read_text())["tables"]
    caught = {row["pathology"]: row["finding"] for row in tables["Planted pathologies"] if row["caught"] == "yes"}
    assert {name: caught.get(name) for name in MECHANICAL} == MECHANICAL
    assert [row["fails"] for row in tables["Sound reward models"]] == ["none"] * 10
