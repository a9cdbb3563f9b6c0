"""Published figures of known reward models, from the JSON beside this module: facts, each with its source."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from palate.auditing.benchmarks.lines import Sheet, line_values


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures stand.

    Attributes:
        title, address: for people.
        date: when it was published, as far as it says; may be empty.
        read: when it was looked up.
        remark: how it was read; empty where there is nothing to say.
    """

    title: str
    address: str
    date: str
    read: str
    remark: str = ""

    def __str__(self) -> str:
        notes = [f"published {self.date}"] if self.date else []
        notes += [f"looked up {self.read}", *([self.remark] if self.remark else [])]
        return f"{self.title}, {self.address} ({'; '.join(notes)})"


@dataclass(frozen=True, slots=True)
class Published:
    """One model's figures on one benchmark.

    Attributes:
        benchmark: key of its `Sheet`.
        model: its id.
        figures: by name of a cell or line, as shares.
        source: where they stand.
        note: in what they may differ; empty where in nothing.
    """

    benchmark: str
    model: str
    figures: Mapping[str, float]
    source: Source
    note: str = ""

    def values(self, sheet: Sheet) -> dict[str, float]:
        """The published figures, and the lines of the sheet that follow from all of their parts."""
        known = {name: np.array([value]) for name, value in self.figures.items()}
        whole = []
        names = set(known)
        for line in sheet.lines:
            if line.name not in names and all(part in names for part, _ in line.parts):
                whole.append(line)
                names.add(line.name)
        return {name: float(value[0]) for name, value in line_values(known, whole).items()}


@cache
def published() -> tuple[Published, ...]:
    """All of them, in the order of the file."""
    document = json.loads((files("palate.auditing.benchmarks") / "published.json").read_text(encoding="utf-8"))
    sources = {key: Source(**source) for key, source in document["sources"].items()}
    return tuple(
        Published(one["benchmark"], one["model"], one["figures"], sources[one["source"]], one.get("note", ""))
        for one in document["figures"]
    )
