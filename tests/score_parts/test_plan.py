"""Files to parts, and the rows of each."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palate.errors import ConfigError, DataError
from palate.score_parts.inputs import find_inputs, take_stamp
from palate.score_parts.plan import Part, open_part, plan_parts

ROWS = [{"prompt": f"p{n}", "response": f"r{n}"} for n in range(7)]


def parts_of(*sources: Path, ending: str = ".jsonl") -> tuple[Part, ...]:
    files = find_inputs([str(source) for source in sources], Path("nowhere")).files
    return plan_parts({file: take_stamp(Path(file.path)) for file in files}, ending)


def write_parquet(path: Path, rows: list[dict[str, Any]], row_group_size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group_size)
    return path


def test_row_groups_are_parts_with_the_rows_numbered_through(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ROWS, 3)
    parts = parts_of(path)
    assert [part.name for part in parts] == [f"a-{n:05d}-of-00003.jsonl" for n in range(3)]
    assert [(part.row_group, part.first_row, part.expected) for part in parts] == [(0, 0, 3), (1, 3, 3), (2, 6, 1)]
    assert sum(part.size for part in parts) <= path.stat().st_size
    groups = [group for part in parts for group in open_part(part, "error")]
    assert [group.where for group in groups] == [f"{path}:{n}" for n in range(1, 8)]
    assert [group.prompt[0].content for group in groups] == [row["prompt"] for row in ROWS]


def test_one_row_group_and_text_are_one_part(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", ROWS, 100)
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "c.json").write_text(json.dumps(ROWS))
    parts = parts_of(tmp_path, ending=".parquet")
    assert [part.name for part in parts] == ["a.parquet", "b.parquet", "c.parquet"]
    assert [(part.row_group, part.expected) for part in parts] == [(None, 7), (None, 7), (None, None)]
    assert [len(list(open_part(part, "error"))) for part in parts] == [7, 7, 7]


def test_rows_that_make_groups_across_row_groups_stay_together(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": f"r{n}", "helpfulness": n} for n in range(4)]
    (part,) = parts_of(write_parquet(tmp_path / "a.parquet", rows, 2))
    (group,) = open_part(part, "error")
    assert (part.row_group, len(group.responses)) == (None, 4)


def test_a_broken_file_is_a_part_that_says_so_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    (part,) = parts_of(tmp_path)
    with pytest.raises(DataError, match="not a sound Parquet file"):
        list(open_part(part, "error"))


def test_a_row_group_that_breaks_off_says_where(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ROWS, 3)
    parts = parts_of(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"not a sound Parquet file after row 6"):
        list(open_part(parts[2], "error"))


def test_equal_names_keep_their_endings_and_equal_paths_are_refused(tmp_path: Path) -> None:
    for name in ("x/a.jsonl", "x/a.csv", "y/a.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [part.name for part in parts_of(tmp_path / "x")] == ["a.csv.jsonl", "a.jsonl.jsonl"]
    assert [part.name for part in parts_of(tmp_path)] == ["x/a.csv.jsonl", "x/a.jsonl.jsonl", "y/a.jsonl"]
    with pytest.raises(ConfigError, match=r"would both be written to a\.jsonl\.jsonl; rename one"):
        parts_of(tmp_path / "x" / "a.jsonl", tmp_path / "y" / "a.jsonl")


def test_a_part_may_not_be_where_dropped_rows_go(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl.dropped.csv"):
        (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match=r"would both be written to a\.jsonl\.dropped\.jsonl"):
        parts_of(tmp_path)
