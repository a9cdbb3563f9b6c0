"""A folder of data in every format, and what one file at a time gives for it."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palate.testing.groups import random_groups
from palate.testing.separate import sharp_reward_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model") / "rm"
    sharp_reward_model().save_pretrained(folder)
    return str(folder)


def rows_of(number: int, seed: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{seed}-{n}", "prompt": group.prompt[0].content, "responses": [r[0].content for r in group.responses]}
        for n, group in enumerate(random_groups(number, seed=seed))
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_folder(folder: Path, number: int = 5) -> Path:
    """Five files with rows in eight parts' worth of them, and one without; `number` rows a part."""
    write_jsonl(folder / "a.jsonl", rows_of(number, 1))
    write_jsonl(folder / "b.jsonl.gz", rows_of(number, 2))
    (folder / "c.json").write_text(json.dumps(rows_of(number, 3)))
    (folder / "sub").mkdir()
    with (folder / "sub" / "d.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "prompt", "response"])
        writer.writerows([row["id"], row["prompt"], row["responses"][0]] for row in rows_of(number, 4))
    pq.write_table(pa.Table.from_pylist(rows_of(3 * number - 1, 5)), folder / "e.parquet", row_group_size=number)
    (folder / "f.jsonl").write_text("")
    return folder
