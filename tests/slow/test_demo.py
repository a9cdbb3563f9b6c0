"""The demo is the first thing that a newcomer runs, and the proof that the built-in set has to be read."""

import json
from pathlib import Path

import pytest

from palate.cli.main import main
from palate.model.reward_model import RewardModel

pytestmark = pytest.mark.slow


def test_the_demo_learns_what_neither_length_nor_word_counts_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["first_loss"] == pytest.approx(0.693147, abs=1e-3)
    assert summary["eval_before"]["accuracy"] == 0.5
    # Length and word counts are held to 0.75 at most in test_simulate.py, and reach about 0.6.
    assert summary["eval"]["accuracy"] >= 0.8
    assert summary["eval"]["accuracy_low"] > 0.7
    assert summary["tokens"]["unshared"] / summary["tokens"]["computed"] > 1.7
    shown = capsys.readouterr().out
    for promised in ("held out, before", "held out, after", "It is now on Thursday at 12:00.", f"saved in {out}"):
        assert promised in shown
    model = RewardModel.from_pretrained(out)
    right, astray = model.score("What is 12 + 30?", ["That makes 42.", "The capital of Norway is Oslo."])
    assert right > astray
