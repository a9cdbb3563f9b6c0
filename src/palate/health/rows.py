"""Rows that cannot be used, and rows that can but look wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from palate.data.read import ReadReport
from palate.health.corpus import Corpus
from palate.health.texts.turns import NO_SHARED_PROMPT, ODDITIES
from palate.health.thresholds import Thresholds
from palate.records import DroppedRow
from palate.report.findings import Check, Example, Fact, Finding, Measure, Section, Table

SHOWN = 100
"""Most places listed under one finding; `rows.dropped_places` in the facts has all of them."""

_WHY = (
    "A reward model can only learn from rows that say clearly which response is better. Rows that say nothing, or that "
    "a chat template would render wrongly, are best mended before anything is trained on them."
)


@dataclass(frozen=True, slots=True)
class Odd:
    """A group with odd turns: its row, its place, and numbers of `ODDITIES`."""

    group: int
    where: str
    kinds: tuple[int, ...]


def check_rows(corpus: Corpus, thresholds: Thresholds, reports: Sequence[ReadReport]) -> Check:
    """Rows that reading left out, by reason and with their places, and odd turns of those it kept."""
    dropped = [row for report in reports for row in report.dropped]
    total = sum(report.rows for report in reports)
    by_reason = Counter(row.reason for row in dropped)
    identical = [row for row in dropped if row.reason == "identical-pair"]
    others = [row for row in dropped if row.reason != "identical-pair"]
    odd = _odd_groups(corpus)
    findings = (
        *_dropped(thresholds, "identical-pair", identical, total, "the same text as chosen and as rejected"),
        *_dropped(thresholds, "unusable-row", others, total, "that cannot be used"),
        *_odd(corpus, odd, thresholds),
    )
    places = _by_kind(odd)
    found = tuple((name, len(where)) for name, where in places.items() if where)
    tables = (
        Table(("what", "number"), _sizes(corpus, total, len(dropped)), "What was read"),
        Table(("reason", "rows"), tuple(by_reason.most_common()), "Rows left out"),
        Table(("in the turns", "groups"), found, "Kept, but odd"),
    )
    facts: dict[str, Fact] = {
        "rows.read": total,
        "rows.groups": len(corpus.groups.prompt_key),
        "rows.comparisons": len(corpus.comparisons.group),
        "rows.dropped": {**by_reason},
        "rows.dropped_places": {**_places(dropped)},
        "rows.formats": {**_summed(report.formats for report in reports)},
        "rows.notes": {**_summed(report.notes for report in reports)},
        "rows.oddities": {name: len(where) for name, where in places.items()},
        "rows.odd_places": {name: [*where] for name, where in places.items() if where},
    }
    return Check(Section("rows", "Rows and turns", _WHY, tuple(t for t in tables if t.rows)), findings, facts)


def _sizes(corpus: Corpus, rows: int, dropped: int) -> tuple[tuple[str, int], ...]:
    return (
        ("rows", rows),
        ("rows left out", dropped),
        ("groups of one prompt", int((~corpus.groups.against).sum())),
        ("groups of the data compared against", int(corpus.groups.against.sum())),
        ("responses", len(corpus.responses.key)),
        ("comparisons", len(corpus.comparisons.group)),
        ("comparisons that are ties", int((~corpus.comparisons.decided).sum())),
        ("votes", len(corpus.votes.comparison)),
    )


def _dropped(thresholds: Thresholds, id: str, rows: list[DroppedRow], total: int, what: str) -> tuple[Finding, ...]:
    if not rows:
        return ()
    return thresholds.find(
        id,
        f"{len(rows):,} of {total:,} rows {'have ' if id == 'identical-pair' else ''}{what}.",
        Measure(len(rows) / total, "share of rows"),
        cure="Mend or remove them; palate train --on-bad-row skip leaves them out, and lists them too.",
        count=len(rows),
        examples=tuple(Example(row.where, (("what is wrong", row.message),), row.reason) for row in rows[:SHOWN]),
    )


def _odd(corpus: Corpus, odd: list[Odd], thresholds: Thresholds) -> tuple[Finding, ...]:
    parted = [one for one in odd if NO_SHARED_PROMPT in one.kinds]
    wrong = [one for one in odd if set(one.kinds) - {NO_SHARED_PROMPT}]
    total = len(corpus.texts)
    findings = thresholds.find(
        "template",
        f"{len(wrong):,} of {total:,} groups have turns that chat templates refuse or render wrongly.",
        Measure(len(wrong) / max(1, total), "share of groups"),
        cure="Look at the examples: escape or remove special tokens, merge or remove empty and repeated turns.",
        count=len(wrong),
        examples=_examples(corpus, wrong),
    )
    return findings + thresholds.find(
        "no-shared-prompt",
        f"In {len(parted):,} of {total:,} groups the conversations part before the last turn.",
        Measure(len(parted) / max(1, total), "share of groups"),
        cure="They are compared from where they part; remove them if only the last answer was judged.",
        count=len(parted),
        examples=_examples(corpus, parted),
    )


def _examples(corpus: Corpus, odd: list[Odd]) -> tuple[Example, ...]:
    return tuple(
        Example(one.where, (("prompt", corpus.prompt(one.group)),), "; ".join(ODDITIES[kind] for kind in one.kinds))
        for one in odd[:SHOWN]
    )


def _odd_groups(corpus: Corpus) -> list[Odd]:
    cells = (cell for column in corpus.texts.column("oddities") for cell in column.to_pylist())
    return [Odd(group, corpus.where(group), tuple(kinds)) for group, kinds in enumerate(cells) if kinds]


def _by_kind(odd: list[Odd]) -> dict[str, list[str]]:
    return {name: [one.where for one in odd if kind in one.kinds] for kind, name in enumerate(ODDITIES)}


def _places(dropped: list[DroppedRow]) -> dict[str, list[Fact]]:
    places: dict[str, list[Fact]] = defaultdict(list)
    for row in dropped:
        places[row.reason].append(row.where)
    return dict(places)


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
