"""Labels that cannot all be right: turned pairs, cycles, pairs of one text, copies."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from palate.health.contradictions.conflicts import Conflicts, find_conflicts, labels_of
from palate.health.corpus import Corpus
from palate.health.thresholds import Thresholds
from palate.report.findings import Check, Example, Fact, Finding, Measure, Section, Table

SHOWN = 5
"""Examples of each finding."""

_WHY = (
    "A reward is one number for each response, so a model can satisfy comparisons only if some order of the responses "
    "does. Where the data says both that A is better than B and that B is better than A, or goes round in a circle, "
    "part of it teaches nothing but noise."
)


def check_contradictions(corpus: Corpus, thresholds: Thresholds) -> Check:
    """Turned pairs, cycles, pairs of one text and copies, over all groups of the data that share a prompt.

    Cycles are judged by how many comparisons the best order of the responses leaves unsatisfied, and not by how many
    lie on a cycle: where all of thirty responses are compared, 5 % of wrong labels put 93 % of them on one.
    """
    section = Section("contradictions", "Contradictions", _WHY, ())
    labels = labels_of(corpus)
    if not len(labels.row):
        return Check(section, skipped="no comparisons")
    found = find_conflicts(corpus, labels, cycles=SHOWN)
    findings = (
        *_turned(corpus, found, thresholds),
        *_cycles(corpus, found, thresholds),
        *_identical(corpus, found, thresholds),
        *_repeated(corpus, found, thresholds),
        *_margins(corpus, found, thresholds),
    )
    section = Section(section.key, section.title, _WHY, (_table(found),))
    return Check(section, findings, {f"contradictions.{name}": value for name, value in _facts(found).items()})


def _turned(corpus: Corpus, found: Conflicts, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(found.turned):
        return ()
    return thresholds.find(
        "contradiction",
        f"{len(found.turned):,} of {found.decided:,} decided comparisons are about {len(found.turned_pairs):,} pairs "
        "that other comparisons turn round.",
        Measure(len(found.turned) / found.decided, "share of the decided comparisons"),
        cure="Where several people judged a pair, make one label of their votes; otherwise find out which is wrong, or "
        "remove both.",
        command="palate data aggregate DATA --out FILE",
        count=len(found.turned_pairs),
        examples=_two_places(corpus, found.turned_pairs, "labelled both ways"),
    )


def _cycles(corpus: Corpus, found: Conflicts, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not found.in_cycles:
        return ()
    return thresholds.find(
        "cycle",
        f"{found.in_cycles:,} of {found.ordered:,} compared pairs lie on cycles, such as A over B, B over C and C over "
        f"A; the best order found leaves {found.against_order:,} unsatisfied.",
        Measure(found.against_order / found.ordered, "share of the compared pairs that no order satisfies"),
        cure="No reward model can be right on those pairs. Collect more votes on them, or leave out the least certain "
        "comparison of each cycle.",
        command="palate data aggregate DATA --out FILE",
        count=found.in_cycles,
        examples=tuple(_cycle(corpus, cycle) for cycle in found.cycles),
    )


def _identical(corpus: Corpus, found: Conflicts, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(found.identical):
        return ()
    return thresholds.find(
        "identical-pair",
        f"{len(found.identical):,} of {found.comparisons:,} comparisons have the same text on both sides.",
        Measure(len(found.identical) / found.comparisons, "share of comparisons"),
        cure="Remove them: neither of the two is better.",
        count=len(found.identical),
        examples=tuple(corpus.example(row, "one text twice") for row in found.identical[:SHOWN].tolist()),
    )


def _repeated(corpus: Corpus, found: Conflicts, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(found.repeated):
        return ()
    return thresholds.find(
        "duplicate",
        f"{len(found.repeated):,} of {found.comparisons:,} comparisons repeat an earlier one: same prompt, same "
        "responses, same outcome.",
        Measure(len(found.repeated) / found.comparisons, "share of comparisons"),
        cure="Copies count twice in training: remove them. Where they are judgements of several people, make one label "
        "of them.",
        command="palate data aggregate DATA --out FILE",
        count=len(found.repeated),
        examples=_two_places(corpus, found.repeated, "the same again"),
    )


def _margins(corpus: Corpus, found: Conflicts, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(found.margins):
        return ()
    return thresholds.find(
        "unequal-margins",
        f"{len(found.margins):,} of {found.pairs:,} pairs have different margins in different places.",
        Measure(len(found.margins) / found.pairs, "share of the compared pairs"),
        cure="Keep one of the margins, or their mean; or train without margins.",
        count=len(found.margins),
        examples=_two_places(corpus, found.margins, "the least and the largest margin"),
    )


def _two_places(corpus: Corpus, rows: NDArray[np.int64], note: str) -> tuple[Example, ...]:
    """Examples of two comparisons of the same two texts: the texts once, the places of both."""
    examples = []
    for one, other in rows[:SHOWN].tolist():
        shown = corpus.example(one)
        other_place = corpus.where(int(corpus.comparisons.group[other]))
        examples.append(Example(shown.where, shown.texts, f"{note}: {shown.where} and {other_place}"))
    return tuple(examples)


def _cycle(corpus: Corpus, rows: Iterable[int]) -> Example:
    """The winners of a cycle's comparisons, each of which beats the next, and the last the first."""
    labels = corpus.comparisons
    places = [corpus.where(int(labels.group[row])) for row in rows]
    texts = [("prompt", corpus.prompt(int(labels.group[next(iter(rows))])))]
    for row, place in zip(rows, places, strict=True):
        texts.append((f"beats the next, by {place}", corpus.response(int(labels.winner[row]))))
    return Example(places[0], tuple(texts), f"a cycle of {len(places)}; the last beats the first")


def _facts(found: Conflicts) -> dict[str, Fact]:
    counts: dict[str, Fact] = {
        "comparisons": found.comparisons,
        "decided": found.decided,
        "pairs": found.pairs,
        "turned_comparisons": len(found.turned),
        "turned_pairs": len(found.turned_pairs),
        "repeated": len(found.repeated),
        "unequal_margins": len(found.margins),
        "identical": len(found.identical),
        "same_but_form": len(found.same_but_form),
        "nearly_identical": len(found.alike),
        "pairs_in_cycles": found.in_cycles,
        "pairs_against_order": found.against_order,
        "threes": found.threes,
        "cyclic_threes": found.cyclic_threes,
    }
    shares = {
        "turned_share": (len(found.turned), found.decided),
        "repeated_share": (len(found.repeated), found.comparisons),
        "identical_share": (len(found.identical), found.comparisons),
        "nearly_identical_share": (len(found.alike), found.comparisons),
        "in_cycles_share": (found.in_cycles, found.ordered),
        "against_order_share": (found.against_order, found.ordered),
        "cyclic_threes_share": (found.cyclic_threes, found.threes),
    }
    return counts | {name: count / total if total else None for name, (count, total) in shares.items()}


def _table(found: Conflicts) -> Table:
    rows = (
        ("comparisons", found.comparisons),
        ("of one text with itself", len(found.identical)),
        ("of texts that differ in case or white space alone", len(found.same_but_form)),
        ("of near-duplicates", len(found.alike)),
        ("that repeat an earlier one", len(found.repeated)),
        ("decided comparisons", found.decided),
        ("that others turn round", len(found.turned)),
        ("pairs with a winner", found.ordered),
        ("on a cycle", found.in_cycles),
        ("left unsatisfied by the best order found", found.against_order),
        ("threes of responses all compared with each other", found.threes),
        ("that go in a circle (a quarter, where labels are drawn by lot)", found.cyclic_threes),
    )
    return Table(("labels", "number"), rows, "what cannot all be right")
