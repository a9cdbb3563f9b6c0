"""The memory of a server is watched while its answers are compared."""

import json
from pathlib import Path

import pytest

from benchmarks import serve_memory


@pytest.mark.slow
def test_a_few_requests(tmp_path: Path) -> None:
    serve_memory.main(["--requests", "100", "--clients", "4", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "serve_memory.json").read_text())["tables"][serve_memory.TABLE]
    assert [row["requests"] for row in rows] == list(range(5, 101, 5))
    assert all(row["lost"] == row["wrong"] == 0 for row in rows)
    assert all(row["mib"] > 50 for row in rows)
