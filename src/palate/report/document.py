"""The report: what was checked, what the checks came to, and how it was made.

Written as JSON for machines, as one page for people, and as a short Markdown summary for a pull request; all three
from the same nouns.
"""

import json
import math
import platform
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from palate import __version__
from palate.atomic import write_text
from palate.report.findings import SEVERITIES, Check, Fact, Finding, Section
from palate.report.markdown import render_markdown
from palate.report.render import render_page

SCHEMA = "palate.report/1"
"""The number grows when a key of the JSON goes or changes its meaning; new keys leave it as it is."""

Verdict = Literal["fail", "warn", "sound"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that was checked: a file, or a model.

    Attributes:
        name: its path or id.
        what: its part, such as `training pairs` or `dev`.
        counts: how large it is, by unit: `{"rows": 43835}`.
    """

    name: str
    what: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a report came about: palate's version, the command, when (ISO 8601, UTC), how long, and what it ran on."""

    palate: str
    command: str
    time: str
    seconds: float
    versions: Mapping[str, str]


def gather_provenance(command: Sequence[str], seconds: float, packages: Sequence[str] = ("numpy",)) -> Provenance:
    """Provenance of a run that ends now; `packages` are those whose versions matter to its result."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in packages}
    return Provenance(
        __version__, shlex.join(command), datetime.now(UTC).isoformat(timespec="seconds"), seconds, versions
    )


@dataclass(frozen=True, slots=True)
class Placed:
    """A finding, its number counted from the worst, and the section that it belongs to."""

    number: int
    finding: Finding
    section: Section


@dataclass(frozen=True, slots=True)
class Report:
    """What checks came to, together.

    Attributes:
        title: what kind of report it is, such as `Preference data`.
        subject: what was checked.
        checks: what each check came to, in the order of the page.
        provenance: how it came about.
        headline: the verdict in words; by default, whether it is fit for use.

    Raises:
        ValueError: two checks have the same section key, or state the same fact.
    """

    title: str
    subject: tuple[Subject, ...]
    checks: tuple[Check, ...]
    provenance: Provenance
    headline: str = ""

    def __post_init__(self) -> None:
        named = Counter(check.section.key for check in self.checks)
        stated = Counter(name for check in self.checks for name in check.facts)
        for what, count in (("section", named), ("fact", stated)):
            if twice := [name for name, times in count.items() if times > 1]:
                raise ValueError(f"{what} {twice[0]!r} comes from more than one check")

    @property
    def placed(self) -> tuple[Placed, ...]:
        """All findings, worst first; within a severity in the order of the checks."""
        found = [(finding, check.section) for check in self.checks for finding in check.findings]
        found.sort(key=lambda one: SEVERITIES.index(one[0].severity))
        return tuple(Placed(number, *one) for number, one in enumerate(found, start=1))

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity, worst first."""
        found = Counter(one.finding.severity for one in self.placed)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def verdict(self) -> Verdict:
        """The worst severity that was found; what is only worth knowing leaves it sound."""
        return "fail" if self.counts["fail"] else "warn" if self.counts["warn"] else "sound"

    @property
    def facts(self) -> dict[str, Fact]:
        """Every figure of every check, by its dotted name."""
        return {name: fact for check in self.checks for name, fact in check.facts.items()}

    @property
    def skipped(self) -> tuple[Check, ...]:
        """The checks that could not look."""
        return tuple(check for check in self.checks if check.skipped)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `docs/report-schema.md` describes them; NaN and infinities are None.

        Raises:
            TypeError: a fact is of a kind that JSON does not have.
        """
        plain = {
            "schema": SCHEMA,
            "title": self.title,
            "verdict": self.verdict,
            "subject": [asdict(one) for one in self.subject],
            "findings": [{**_finding_json(one.finding), "section": one.section.key} for one in self.placed],
            "facts": self.facts,
            "skipped": [{"section": check.section.key, "why": check.skipped} for check in self.skipped],
            "provenance": asdict(self.provenance),
        }
        return {key: _plain(value, key) for key, value in plain.items()}

    def to_markdown(self) -> str:
        """A short summary for a pull request: verdict, findings, and what to do."""
        return render_markdown(self)

    def write_json(self, path: Path) -> None:
        """Write `to_json()`, whole or not at all."""
        write_text(path, json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=2) + "\n")

    def write_markdown(self, path: Path) -> None:
        """Write `to_markdown()`, whole or not at all."""
        write_text(path, self.to_markdown())

    def write_html(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        write_text(path, render_page(self))


def _finding_json(finding: Finding) -> dict[str, Any]:
    examples = [
        {"where": one.where, "texts": [{"what": what, "text": text} for what, text in one.texts], "note": one.note}
        for one in finding.examples
    ]
    return {**asdict(finding), "examples": examples}


def _plain(value: Any, name: str) -> Any:
    """The value as JSON has it; NumPy's numbers, which checks compute with, are numbers."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(one, f"{name}.{key}") for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, name) for one in value]
    raise TypeError(f"{name}: {type(value).__name__} is no value of JSON")
