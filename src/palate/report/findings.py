"""What a check says: findings, figures, and the sections of a report that show them.

A check looks at data or at a model and returns a `Check`. It never prints and never decides an exit code. A report
is made of checks, and is written as JSON, as a page or as Markdown from the same nouns, so that no two of them can
differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from palate.report.plots import Plot

Severity = Literal["fail", "warn", "info"]
SEVERITIES: tuple[Severity, ...] = ("fail", "warn", "info")
"""Worst first."""

Fact: TypeAlias = "float | int | str | bool | list[Fact] | dict[str, Fact] | None"
"""What goes into the JSON under a name."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How bad it is: a number, its 95 % interval where it is an estimate, and the threshold that it is held to.

    Attributes:
        value: the number.
        unit: what it counts or shares, in words: `share of dev prompts`, `Krippendorff's alpha`.
        low, high: the interval, or None for an exact count.
        threshold: the value from which the finding has its severity, or None where any is too much.
    """

    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One place where a finding shows, for a person to read.

    Attributes:
        where: `file:line`.
        texts: (what it is, the text), such as `("prompt", "What is ...")`; never cut here.
        note: why it is shown, in a few words.
    """

    where: str
    texts: tuple[tuple[str, str], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or worth knowing.

    Attributes:
        id: short fixed name, such as `prompt-leak`; tools and thresholds refer to it.
        severity: `fail` where the data or the model should not be used as it is, `warn` where somebody should look.
        title: one sentence with the number in it.
        measure: how bad.
        cure: what to do, in a sentence or two.
        command: the command that does it, ready to be copied; empty where there is none.
        count: how many places there are; `examples` shows the first of them.
        examples: for people.
    """

    id: str
    severity: Severity
    title: str
    measure: Measure
    cure: str
    command: str = ""
    count: int = 0
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header. Cells are text or numbers; numbers are aligned to the right and rounded for people.

    Attributes:
        columns: names.
        rows: as many cells each as there are columns; None is shown as a dash.
        caption: what the table shows.
        omitted: how many further rows there are, said below the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    caption: str = ""
    omitted: int = 0


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text."""

    text: str


Block: TypeAlias = Table | Plot | Paragraph


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page.

    Attributes:
        key: anchor, such as `leaks`.
        title: heading.
        why: two sentences for somebody who has never trained a reward model: what this is and why it matters.
        blocks: what it shows, in order.
    """

    key: str
    title: str
    why: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What one check came to.

    Attributes:
        section: its part of the page.
        findings: none where nothing is wrong.
        facts: every figure, by dotted name, such as `length.longer_wins`; values go into JSON as they are.
        skipped: why the check could not look, such as `no votes in the data`; empty where it did.
    """

    section: Section
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    skipped: str = ""
