"""Small files in the benchmarks' formats, and a scorer whose reward stands in the response: its last word."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from palate.auditing.benchmarks import check_benchmarks, formats_of
from palate.data.read import read_preferences
from palate.records import PreferenceGroup
from palate.report.findings import Check, Fact

Judge = Callable[..., Check]


def rewards(groups: tuple[PreferenceGroup, ...]) -> np.ndarray:
    return np.array([float(response[-1].content.split()[-1]) for group in groups for response in group.responses])


def judge_source(source: Path) -> Check | None:
    data = read_preferences(str(source))
    formats = formats_of(str(source), data.groups, data.formats)
    return check_benchmarks(data.groups, rewards(data.groups), formats)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """From rows, or from rows by path, to the check."""

    def judged(rows: list[dict] | dict[str, list[dict]]) -> Check | None:
        by_path = {"held.jsonl": rows} if isinstance(rows, list) else rows
        for path, own in by_path.items():
            (tmp_path / "held" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "held" / path).write_text("".join(json.dumps(row) + "\n" for row in own))
        return judge_source(tmp_path / "held")

    return judged


@pytest.fixture
def value() -> Callable[[Check, str, str], Fact]:
    """The value of a figure by benchmark and name."""
    return lambda check, key, name: check.facts[f"benchmarks.{key}.figures"][name]["value"]
