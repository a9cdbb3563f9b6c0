"""The figures of the comparison with published labels, on three pairs of our own."""

import gzip
import json
from pathlib import Path

import pytest

from benchmarks import aggregate_ukp

VALUES = {"both": ["a1", "a1", "a1", "a2"], "turned": ["a2", "a2", "a2", "a1"], "split": ["a1", "a2", "equal", "equal"]}
GOLD = {"both": "a1", "turned": "a1", "split": "equal"}


def ukp_row(name: str) -> dict[str, object]:
    votes = [{"annotator": f"w{n}", "value": value} for n, value in enumerate(VALUES[name])]
    texts = {"a1": f"First {name}.", "a2": f"Second {name}.", "debate": "Tea or coffee", "stance": "Tea"}
    return {"id": name, "gold": GOLD[name], "votes": votes, **texts}


def test_labels_are_compared_with_the_published_ones() -> None:
    found = aggregate_ukp.compared({"both": "a1", "turned": "a2", "split": "equal", "new": "a1"}, GOLD)
    assert found == {"sides": 2, "decided": 2, "coverage": 1.0, "accuracy": 0.5, "three_way": pytest.approx(2 / 3)}
    assert aggregate_ukp.compared({"both": "a1", "turned": "equal"}, GOLD)["coverage"] == 0.5


def test_it_runs(tmp_path: Path) -> None:
    pytest.importorskip("crowdkit", reason="crowd-kit is not installed")
    data = tmp_path / "pairs.jsonl.gz"
    with gzip.open(data, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(ukp_row(name)) + "\n" for name in VALUES)
    aggregate_ukp.main(["--data", str(data), "--out", str(tmp_path)])
    content = json.loads((tmp_path / "aggregate_ukp.json").read_text())
    rows = content["tables"][aggregate_ukp.TABLE]
    assert [row["method"] for row in rows] == list(aggregate_ukp.METHODS)
    assert (rows[0]["decided"], rows[0]["accuracy"]) == (2, 0.5)
