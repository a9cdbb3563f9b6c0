"""The load runs, on a tiny model; every answer is the reward of its own text."""

import json
from pathlib import Path

import pytest
from benchmarks.report import Report

from benchmarks import serve_load
from palate.testing.groups import random_groups


@pytest.mark.slow
def test_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "cache"))
    serve_load.main(["--quick", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "serve_load.json").read_text())["tables"][serve_load.TABLE]
    assert [row["traffic"] for row in rows] == [
        "pairs, offline",
        "pairs, many clients",
        "pairs, one at a time",
        "best of 8",
        "unrelated",
    ]
    assert [row["clients"] for row in rows] == [0, 8, 1, 8, 8]
    assert all(row["lost"] == row["wrong"] == 0 for row in rows)
    assert rows[3]["texts"] == rows[4]["texts"] == 32


def test_both_kinds_of_traffic_hold_the_same_responses() -> None:
    together, apart = serve_load.best_of_n(random_groups(20))
    assert [len(group.responses) for group in together] == [8, 8]
    assert len({group.prompt for group in apart}) == len(apart) == 16
    responses = [response for group in together for response in group.responses]
    assert responses == [group.responses[0] for group in apart]


def test_targets_find_their_rows() -> None:
    report = Report("x", "x", {})
    speeds = {"offline": 10, "many clients": 9.5, "one at a time": 2}
    rows = {f"pairs, {name}": speed for name, speed in speeds.items()} | {"best of 8": 20, "unrelated": 9}
    for name, speed in rows.items():
        report.add(serve_load.TABLE, traffic=name, texts_per_second=speed, lost=0, wrong=int(name == "unrelated"))
    one, offline, best, lost = serve_load.targets(report)
    assert (one.measured, offline.measured, lost.measured) == (4.75, 0.95, 1)
    assert [target.verdict for target in (one, offline, best, lost)] == ["reached"] * 3 + ["not reached"]
