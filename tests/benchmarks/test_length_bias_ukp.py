"""The length-bias benchmark whole, with a tiny body and arguments made for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.length_bias_ukp import TABLE, debate, main, merged, squared_correlation, usable

from palate.testing.tiny import save_tiny_causal_lm

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")


def write_arguments(path: Path) -> Path:
    """Four debates of two sides with ten arguments each; the longer one gets the votes in four of five pairs."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        for side in ("yes", "no"):
            arguments = ["so " * int(rng.integers(1, 20)) + str(n) for n in range(10)]
            for a in range(10):
                for b in range(a):
                    longer = len(arguments[a]) > len(arguments[b])
                    value = "a1" if longer == (rng.random() < 0.8) else "a2"
                    row = {"id": f"{number}{side}{a}{b}", "debate": f"debate {number}", "stance": side}
                    row |= {"a1": arguments[a], "a2": arguments[b], "votes": [{"annotator": "w", "value": value}]}
                    rows.append(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_run_is_judged_on_debates_that_it_has_not_seen(tmp_path: Path) -> None:
    data, model = write_arguments(tmp_path / "pairs.jsonl"), tmp_path / "model"
    save_tiny_causal_lm(model, "llama")
    files = ["--model", str(model), "--data", str(data), "--out", str(tmp_path)]
    main([*files, *["--pairs", "24", "--debates", "1", "--pairs-per-step", "8", "--lr", "1e-3", "--dtype", "fp32"]])
    content = json.loads((tmp_path / "length_bias_ukp.json").read_text())
    rows = content["tables"][TABLE]
    assert [row["run"] for row in rows] == ["none", "balance", "covariate", "decorrelation", "both"]
    assert {row["pairs"] for row in rows} == {90}
    assert all(0 <= row["low"] <= row["matched"] <= row["high"] <= 1 for row in rows)
    assert all(0 <= row["r2"] <= 1 for row in rows)
    assert len({row["r2"] for row in rows}) == 5  # they are five models
    assert len(content["targets"]) == 9


def test_arguments_are_scored_once(tmp_path: Path) -> None:
    groups = usable(write_arguments(tmp_path / "pairs.jsonl"), 700)
    held_out = merged([group for group in groups if debate(group) == "debate 2"])
    assert [len(group.responses) for group in held_out.groups] == [10, 10]
    assert [len(group.comparisons) for group in held_out.groups] == [45, 45]
    texts = {group.id: group for group in groups}
    for whole in held_out.groups:
        for one in whole.comparisons:
            pair = (whole.responses[one.winner], whole.responses[one.loser])
            assert any(
                pair == (group.responses[c.winner], group.responses[c.loser])
                for group in texts.values()
                for c in group.comparisons
            )


def test_r2_is_that_of_a_line() -> None:
    assert squared_correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == pytest.approx(1)
    assert squared_correlation(np.zeros(3), np.array([1.0, 2.0, 3.0])) == 0
