"""A check in parts, each about one question, that end up in one section."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from palate.report.findings import Block, Check, Fact, Finding, Section


@dataclass(frozen=True, slots=True)
class Part:
    """What one question came to.

    Attributes:
        blocks: what it shows.
        findings: none where nothing is wrong.
        facts: by name without the section's key.
    """

    blocks: tuple[Block, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: dict[str, Fact] = field(default_factory=dict)


def joined(key: str, title: str, why: str, parts: Sequence[Part]) -> Check:
    """One check of all parts, in their order; see `Section` for the other arguments."""
    return Check(
        Section(key, title, why, tuple(block for part in parts for block in part.blocks)),
        tuple(finding for part in parts for finding in part.findings),
        {f"{key}.{name}": value for part in parts for name, value in part.facts.items()},
    )
