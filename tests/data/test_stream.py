"""Groups one by one: the same as in memory, and none of them held."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from palate.data.load import read_groups, stream_groups
from palate.data.read import NOTHING_READ, ReadReport
from palate.errors import ConfigError, DataError
from palate.testing.groups import random_groups
from palate.testing.runs import write_groups

ROW = {"prompt": "a", "chosen": "b", "rejected": "c"}


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_stream_gives_what_reading_gives_and_says_the_same(tmp_path: Path) -> None:
    rows = [ROW | {"id": f"{n % 40}", "odd": "x"} if n % 7 else ROW | {"chosen": "c"} for n in range(100)]
    source = write(tmp_path / "rows.jsonl", rows)
    data = read_groups(source, on_bad_row="skip")
    stream = stream_groups(source, on_bad_row="skip")
    assert stream.report is NOTHING_READ
    for _ in range(2):  # each iteration reads from the beginning
        assert tuple(stream) == data.groups
        report = stream.report
        assert report == ReadReport(
            len(data.groups), len(data.groups), data.dropped, data.formats, data.notes, data.rows
        )
        assert report.summary() == data.summary()
    assert len(report.dropped) == 15
    assert report.notes["duplicate-id"] == 85 - len({n % 40 for n in range(100) if n % 7})


def test_a_stream_stops_reading_where_it_has_enough(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [ROW] * 3)
    with Path(source).open("a") as file:
        file.write("not JSON\n")
    stream = stream_groups(source, max_groups=3)
    assert len(list(stream)) == stream.report.rows == stream.report.groups == 3
    with pytest.raises(DataError, match=r"rows\.jsonl:4"):
        list(stream_groups(source))
    with pytest.raises(ConfigError, match="max-groups is 0"):
        stream_groups(source, max_groups=0)


def test_the_built_in_set_streams_too() -> None:
    stream = stream_groups("simulated:30", max_groups=7)
    assert list(stream) == list(stream) == list(read_groups("simulated:30").groups[:7])
    assert stream.report.summary().startswith("7 rows of format simulated -> 7 groups, ")


PIPELINE = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from palate.data.load import stream_groups
from palate.data.split import held_out
from palate.data.store import TokenStore, write_batches
from palate.data.workers import Job, tokenize_chunks
from palate.packing.plan import Packing, plan_steps

class Tokens:
    is_fast, bos_token_id = True, None
    def apply_chat_template(self, turns, **_options):
        return "".join(turn["content"] for turn in turns)
    def __call__(self, texts, **_options):
        places = [[(at, at + 8) for at in range(0, len(text), 8)] for text in texts]
        return {"offset_mapping": places, "input_ids": [list(range(len(place))) for place in places]}

def run(source):
    groups = stream_groups(source)
    for _ in groups:
        pass
    path = Path(source + ".arrow")
    write_batches(path, (done.batch for done in tokenize_chunks(groups, Job(Tokens(), 999, "drop"))))
    store = TokenStore.open(path)
    training = store.select(~held_out(store.columns.prompt_hash, 0.1))
    packing = Packing(training.columns.computed, 4096, 1024)
    plan = plan_steps(training.columns.comparisons, 32, epochs=2, seed=0, packing=packing)
    assert sum(len(step.groups) for step in plan) == 2 * len(training) > 1.7 * groups.report.groups
    assert training[plan[0].groups[0]].comparisons

def peak():  # of this program: what getrusage gives counts the one that started it too
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024

run(sys.argv[1])
before = peak()
run(sys.argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is missing, from which the peak of memory is read")
def test_memory_stays_flat_from_the_rows_to_the_plan(tmp_path: Path) -> None:
    groups = random_groups(500, words=60)
    sources = []
    for number in (6_000, 24_000):
        path = tmp_path / f"{number}.jsonl"
        lines = write_groups(tmp_path / "some.jsonl", groups).read_text().splitlines()
        with path.open("w") as file:
            for n in range(number):
                row = json.loads(lines[n % 500])
                file.write(json.dumps(row | {"id": f"row-{n}", "prompt": f"{n} {row['prompt']}"}) + "\n")
        sources.append(str(path))
    done = subprocess.run([sys.executable, "-c", PIPELINE, *sources], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    held = Path(sources[1]).stat().st_size / 2**20
    assert held > 15  # MB of text, which as Python objects are more
    assert float(done.stdout) < 8
