"""The benchmark for GPUs runs, in miniature and on the CPU, and says what it left out."""

import json
from pathlib import Path

import pytest
import torch
from benchmarks.gpu_budget import Budget
from benchmarks.gpu_kernels import KERNELS, PATHS
from benchmarks.gpu_kernels import TINY as TINY_GRID
from benchmarks.gpu_steps import GRADIENTS, LENGTHS, STEPS, TINY, Trainer, pairs_like_harmless, work
from benchmarks.report import Report

from benchmarks import gpu, gpu_kernels


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("gpu")
    gpu.main(["--dry-run", "--no-trl", "--out", str(folder)])
    content: dict = json.loads((folder / "gpu-dry-run.json").read_text())
    return content


@pytest.mark.slow
def test_every_part_has_its_table(dry_run: dict) -> None:
    assert set(dry_run["tables"]) == {gpu.PEAK, GRADIENTS, STEPS, KERNELS}
    assert [row["body"] for row in dry_run["tables"][STEPS]] == [body.name for body in TINY]
    assert len(dry_run["tables"][KERNELS]) == 2 * len(TINY_GRID.numbers)
    for row in dry_run["tables"][KERNELS]:
        assert all(row[f"{name}_ms"] > 0 for name in PATHS if name != "flex")


@pytest.mark.slow
def test_gradients_of_both_layouts_agree(dry_run: dict) -> None:
    for row in dry_run["tables"][GRADIENTS]:
        assert row["difference_by_norm"] < (1e-5 if row["precision"] == "float32" else 0.05)


@pytest.mark.slow
def test_what_was_left_out_is_said(dry_run: dict) -> None:
    notes = " ".join(dry_run["notes"])
    assert "flex left out" in notes
    assert "GPU tests: left out" in notes
    assert dry_run["targets"] == []


def test_both_steps_have_the_same_loss_on_the_same_pairs() -> None:
    trainer = Trainer(TINY[0], torch.device("cpu"))
    trainer.model.compute_dtype, trainer.autocast = torch.float32, False
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    groups = pairs_like_harmless(256)[:3]  # which the padded step takes in two passes
    torch.nn.init.normal_(trainer.model.head.score.weight, std=3.0)
    with torch.no_grad():
        trainer.classifier.score.weight.copy_(trainer.model.head.score.weight)
    shared, padded = (float(step(groups)) for step in (trainer.shared, trainer.padded))
    assert abs(shared - 0.6931) > 1e-3
    assert shared == pytest.approx(padded, abs=1e-5)


def test_work_counts_every_token_once() -> None:
    trainer = Trainer(TINY[0], torch.device("cpu"))
    groups = pairs_like_harmless(256)[:2]
    per_layer = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 64
    tokens = sum(group.computed_tokens for group in groups)
    unread = (per_layer - 2 * 32 * 16) * (tokens - 4)
    lengths = [(group.shared, *(len(s) - group.shared for s in group.sequences)) for group in groups]
    visible = sum((p + c) * (p + c + 1) // 2 + r * p + r * (r + 1) // 2 for p, c, r in lengths)
    read = sum(2 * p + c + r for p, c, r in lengths)
    expected = 6 * (2 * per_layer * tokens - unread) + 12 * 32 * (visible + read)
    assert work(trainer.model, groups) == expected


def test_a_part_without_time_is_left_out_and_said() -> None:
    report = Report("x", "x", {})
    gpu_kernels.kernels(report, Budget(-1), TINY_GRID, torch.device("cpu"))
    assert report.tables == {}
    assert report.notes == ["Attention of one layer: 2 of 2 points left out, no time was left."]


def test_the_lengths_are_those_of_harmless_base() -> None:
    rows = json.loads(Path(LENGTHS).read_text())["rows"]
    assert len(rows) == 512
    shared, chosen, rejected = (sum(column) for column in zip(*rows, strict=True))
    assert (2 * shared + chosen + rejected) / (shared + chosen + rejected) == pytest.approx(1.613, abs=1e-3)
    longest = pairs_like_harmless(256)
    assert 0 < len(longest) < 512
    assert max(len(sequence) for group in longest for sequence in group.sequences) <= 256
