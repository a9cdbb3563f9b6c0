"""What the benchmarks share: turns, medians, targets, peaks of memory, and a Markdown that says what the JSON says."""

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.report import Report, Target, alternate, median_ratio, render
from benchmarks.turns import take_turns

from benchmarks import data, report, scaling
from palate.data.load import read_groups

SUBJECT = """
import os
import sys
from benchmarks.turns import Turns

turns = Turns()
print("noise of a library")
turns.ready(name=sys.argv[1])
for step in range(2):
    turns.wait()
    if sys.argv[1] == "broken" and step:
        raise ValueError("out of luck")
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
    open(sys.argv[2], "a").write(sys.argv[1])
    turns.done(step=step)
turns.wait()
"""


@pytest.mark.parametrize("module", [report, scaling], ids=lambda module: module.__name__)
def test_docstrings(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted
    assert not found.failed


def test_subjects_alternate_and_the_warm_up_is_thrown_away() -> None:
    calls: list[str] = []

    def subject(name: str) -> object:
        def measure() -> float:
            calls.append(name)
            return float(len(calls))

        return measure

    kept = alternate({name: subject(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    assert "".join(calls) == "ababab"
    assert kept == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_the_ratio_is_of_neighbours() -> None:
    """A machine that slows down for one turn slows both: 2, 2, 3 here, and not 6 / 4 of the medians."""
    assert median_ratio([1, 10, 1], [2, 20, 3]) == 2


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (Target("x", "at least", 4.0, 4.0), "reached"),
        (Target("x", "at least", 4.0, 3.99), "not reached"),
        (Target("x", "at most", 1.0, 0.5), "reached"),
        (Target("x", "at most", 1.0, 1.01), "not reached"),
        (Target("x", "at most", 1.0, None), "not measured"),
    ],
)
def test_targets_are_judged_by_their_sense(target: Target, verdict: str) -> None:
    assert target.verdict == verdict


def test_the_markdown_is_the_json(tmp_path: Path) -> None:
    made = Report("name", "Title", {"pairs": [2, 8]}, ["a note"])
    made.add("Speed", data="x", seconds=0.25, missing=None)
    made.targets = [Target("speed-up", "at least", 4.0, 3.0)]
    content = json.loads(made.write(tmp_path).read_text())
    text = (tmp_path / "name.md").read_text()
    assert text == render(content)
    assert "| data | seconds | missing |" in text
    assert "| x | 0.25 | - |" in text
    assert "| speed-up | at least | 4 | 3 | not reached |" in text
    assert "- pairs: 2 8" in text
    assert {"cpu", "cores", "memory_gib", "torch", "transformers", "palate", "revision", "command"} <= set(
        content["environment"]
    )


def test_the_peak_is_the_programs_own() -> None:
    """A child of a large process starts small: `ru_maxrss` would begin with its parent's peak."""
    child = "from benchmarks.report import peak_memory; print(peak_memory())"
    root = str(Path(report.__file__).parents[1])
    ballast = bytearray(b"x" * 2**28)
    done = subprocess.run([sys.executable, "-c", child], cwd=root, capture_output=True, text=True, check=True)
    assert 2**20 < int(done.stdout) < len(ballast) < report.peak_memory()


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_subject.py").write_text(SUBJECT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_subject"


def test_programs_take_turns(subject: str, tmp_path: Path) -> None:
    order = tmp_path / "order"
    said, measured = take_turns(subject, {name: [name, str(order)] for name in "AB"}, steps=2)
    assert order.read_text() == "ABAB"
    assert said == {"A": {"name": "A"}, "B": {"name": "B"}}
    assert [row["step"] for row in measured["B"]] == [0, 1]
    assert all(row["peak_bytes"] > 2**20 for row in measured["A"])


def test_a_program_that_fails_says_why(subject: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        take_turns(subject, {"broken": ["broken", str(tmp_path / "order")]}, steps=2)


def test_a_program_that_is_killed_says_by_what(subject: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="was killed by SIGKILL; it had, as a rule, more memory"):
        take_turns(subject, {"killed": ["killed", str(tmp_path / "order")]}, steps=2)


def test_random_pairs_have_the_lengths_asked_for(tmp_path: Path) -> None:
    groups = read_groups(str(data.random_pairs(tmp_path / "pairs.jsonl", 300, ratio=3, total=80))).groups
    prompts = [len(group.prompt[0].content.split()) for group in groups]
    responses = [len(turns[0].content.split()) for group in groups for turns in group.responses]
    assert sum(prompts) / len(prompts) == pytest.approx(60, rel=0.1)
    assert sum(responses) / len(responses) == pytest.approx(20, rel=0.1)
    assert len(set(responses)) > 10
