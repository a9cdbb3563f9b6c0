"""Every benchmark runs, on a tiny model in seconds, and writes a JSON and a Markdown with the same figures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kernels, scaling, score_best_of_n, train_vs_trl


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], dict[str, Any]]:
    """Runs a benchmark's `main`; returns its JSON, having compared the Markdown with it."""
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "cache"))  # put back afterwards: the benchmarks set their own

    def run(module: Any) -> dict[str, Any]:
        module.main(["--quick", "--out", str(tmp_path)])
        path = tmp_path / f"{module.__name__.rpartition('.')[2]}.json"
        content: dict[str, Any] = json.loads(path.read_text())
        lines = path.with_suffix(".md").read_text().splitlines()
        assert content["tables"]
        assert content["targets"] == []  # a tiny model on a busy machine is not to be judged
        for title, rows in content["tables"].items():
            header = lines.index(f"## {title}") + 2
            for row in rows:
                assert lines[header] == "| " + " | ".join(row) + " |"
            assert lines[header + len(rows) + 1].startswith("|")
        return content

    return run


def test_kernels(quick: Callable[[Any], dict[str, Any]]) -> None:
    content = quick(kernels)
    with_oracle, without = content["tables"][kernels.TABLE]
    assert with_oracle["largest_error"] < 1e-4
    assert without["dense_forward"] is None
    assert without["tree_forward"] > 0
    assert any("no dense oracle" in note for note in content["notes"])  # what is skipped is said


def test_score_best_of_n(quick: Callable[[Any], dict[str, Any]]) -> None:
    rows = quick(score_best_of_n)["tables"][score_best_of_n.TABLE]
    apart, together = rows
    assert (apart["openings_shared"], together["openings_shared"]) == (False, True)
    assert together["computed_tokens"] < apart["computed_tokens"] < apart["tokens"] == together["tokens"]
    for row in rows:
        assert row["largest_difference"] < 1e-5 < row["largest_reward"]


def test_scaling(quick: Callable[[Any], dict[str, Any]]) -> None:
    tables = quick(scaling)["tables"]
    stages = [row["stage"] for row in tables[scaling.PAIRS]]
    assert stages == 2 * ["read", "tokenize", "plan", "score", "train"]
    assert len(tables[scaling.EXPONENTS]) == 7


@pytest.mark.slow
def test_train_vs_trl(quick: Callable[[Any], dict[str, Any]]) -> None:
    """Both train on the same pairs: the losses of each step agree, and move."""
    pytest.importorskip("trl", reason="TRL is in the dependency group bench")
    tables = quick(train_vs_trl)["tables"]
    for row in tables[train_vs_trl.SPEED]:
        assert row["largest_loss_difference"] < 1e-5
        assert row["palate_tokens"] < row["trl_tokens"]
        assert min(row["palate_peak_gib"], row["trl_peak_gib"]) > 0.1
    losses = [row["palate"] for row in tables[train_vs_trl.LOSSES]]
    assert max(losses) - min(losses) > 1e-4


def test_targets_of_training_find_their_rows() -> None:
    def row(name: str, dtype: str, pairs: int, speed: float) -> dict[str, Any]:
        peaks = {"palate_peak_gib": 1.0, "trl_peak_gib": 2.0}
        key = {"data": name, "dtype": dtype, "pairs_per_step": pairs, "speed_up": speed}
        return {**key, **peaks, "largest_loss_difference": 2e-3 if dtype == "bf16" else 1e-5}

    rows = [row("x", "fp32", 8, 4.2), row("x", "bf16", 8, 3.1), row("ratio 1", "fp32", 8, 0.9)]
    eight, bf16, two, ratios, memory, losses = train_vs_trl.targets(rows)
    assert [eight.verdict, bf16.verdict, two.verdict] == ["reached", "not reached", "not measured"]
    assert (ratios.measured, ratios.verdict) == (0.9, "not reached")
    assert (memory.measured, losses.measured) == (0.5, 1e-5)
