"""A report as a short Markdown summary: what a reviewer reads in a pull request."""

import re
from typing import TYPE_CHECKING

from palate.report.findings import Finding
from palate.report.measures import say_numbers

if TYPE_CHECKING:
    from palate.report.document import Report, Subject

_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~$&<>])")


def render_markdown(report: "Report") -> str:
    """Verdict, a table of findings, the first line of each cure with its command, and what was not checked."""
    counts = ", ".join(f"{count} {severity}" for severity, count in report.counts.items() if count)
    parts = [f"**{escape_markdown(report.title)}: {report.verdict}**" + (f" ({counts})" if counts else "")]
    findings = [one.finding for one in report.placed]
    if findings:
        header = "| | finding | how bad | threshold |\n|---|---|---|---|"
        parts.append("\n".join([header, *map(_row, findings)]))
        parts.append("\n".join(["What to do:", "", *map(_cure, findings)]))
    skipped = [(escape_markdown(check.section.title), escape_markdown(check.skipped)) for check in report.skipped]
    parts += [f"Not checked: {title} ({why})." for title, why in skipped]
    if report.subject:
        version = escape_markdown(report.provenance.palate)
        parts.append(f"palate {version} on {'; '.join(map(_subject, report.subject))}.")
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line, and that calls nobody and links nothing.

    >>> escape_markdown("a|b\n<script> *x* @someone")
    'a\\|b \\<script\\> \\*x\\* @\u2060someone'
    """
    text = _MARKS.sub(r"\\\1", " ".join(text.split()))
    # A word joiner, which is not seen: forges look for names and links in the text that is left after escaping.
    return re.sub(r"@|:(?=//)|(?i:www)(?=\.)", lambda found: found.group() + "\u2060", text)


def _subject(subject: "Subject") -> str:
    sizes = ", ".join(f"{count:,} {escape_markdown(unit)}" for unit, count in subject.counts.items())
    return escape_markdown(subject.name) + (f" ({sizes})" if sizes else "")


def _row(finding: Finding) -> str:
    said = say_numbers(finding.measure)
    bad = said.value + (f" ({said.interval})" if said.interval else "")
    title, unit = escape_markdown(finding.title), escape_markdown(finding.measure.unit)
    return f"| {finding.severity} | {title} | {bad} {unit} | {said.threshold} |"


def _cure(finding: Finding) -> str:
    first = next(iter(finding.cure.strip().splitlines()), "")
    said = f"- {escape_markdown(finding.id)}: {escape_markdown(first)}"
    if not finding.command:
        return said
    # A fence longer than any within keeps a command from ending its block.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", finding.command)), default=0))
    command = "\n".join(f"  {line}" for line in finding.command.splitlines())
    return f"{said}\n  {fence}sh\n{command}\n  {fence}"
