"""The same texts in training and in held-out data, and what repeats within the data."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.leaks.distinct import Distinct, index_texts
from palate.health.leaks.repeats import HELD_OUT, Repeats, find_repeats
from palate.health.leaks.shared import TELLING, Alike, Shared, find_shared
from palate.health.leaks.turned import Turned, turned
from palate.health.thresholds import Thresholds
from palate.metrics import wilson_interval
from palate.report.findings import Block, Check, Example, Fact, Finding, Measure, Section, Table
from palate.report.plots import Bars

Ints = NDArray[np.int64]

SHOWN = 5
"""Examples of each finding."""
_FEW = 50  # prompts: a tenth of them, held out, says little, however many rows they have

_WHY = (
    "A reward model that has seen a prompt in training remembers which of its responses won, so held-out data with the "
    "same prompts shows a better model than there is. Near-duplicates do the same, a little less, and comparing files "
    "line by line misses them."
)
_SPLIT = "palate data split DATA --out DIR"


def check_leaks(corpus: Corpus, thresholds: Thresholds) -> Check:
    """Prompts and responses on both sides, and prompts, groups and responses that repeat within the data."""
    section = Section("leaks", "Leaks and duplicates", _WHY, ())
    if corpus.groups.against.all():
        return Check(section, skipped="no groups")
    index = index_texts(corpus)
    repeats = find_repeats(corpus, index)
    findings = _repeated(repeats, thresholds)
    facts: dict[str, Fact] = {f"leaks.{name}": value for name, value in asdict(repeats).items()}
    blocks: list[Block] = [_repeats_table(repeats)]
    if corpus.groups.against.any():
        shared, labels = find_shared(corpus, index), turned(corpus)
        findings = (
            *_same_prompts(corpus, shared, index.prompts, thresholds),
            *_near_prompts(corpus, shared, index.prompts, thresholds),
            *_responses(corpus, shared, index.responses, thresholds),
            *_turned(corpus, labels, thresholds),
            *findings,
        )
        facts |= _shared_facts(shared, labels)
        blocks = [_shared_bars(shared, labels), _shared_table(shared, labels), *blocks]
    return Check(Section(section.key, section.title, _WHY, tuple(blocks)), findings, facts)


def _repeated(repeats: Repeats, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not repeats.prompts:
        return ()
    cure = (
        "Nothing is wrong with that; but hold out whole prompts, as palate train and palate data split do, and never "
        "single rows."
    )
    if repeats.prompts == 1:
        cure = "One prompt cannot be held out: split by annotator, source or time, or add other prompts."
    elif repeats.prompts <= _FEW:
        cure += " With so few prompts, held-out figures say more about the prompts drawn than about the model."
    return thresholds.find(
        "repeated-prompt",
        f"{repeats.repeated_prompts:,} of {repeats.prompts:,} prompts have several groups: a split by row would train "
        f"on the prompts of {repeats.row_split_leak:.1%} of its held-out rows.",
        Measure(repeats.row_split_leak, f"share of the rows of a random {HELD_OUT:.0%} whose prompt is in the rest"),
        cure=cure,
        command=_SPLIT,
        count=repeats.groups_of_repeated_prompts,
    )


def _same_prompts(corpus: Corpus, shared: Shared, prompts: Distinct, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(shared.same):
        return ()
    return thresholds.find(
        "prompt-leak",
        f"The data holds {len(shared.same):,} of {shared.prompts:,} held-out prompts; they make up "
        f"{shared.same_groups:,} of {shared.groups:,} held-out groups.",
        Measure(len(shared.same) / shared.prompts, "share of the held-out prompts"),
        cure="Split the two together again, so that each prompt is on one side, and do not trust figures from before.",
        command=_SPLIT,
        count=len(shared.same),
        examples=tuple(
            _both(corpus, int(prompts.against[p]), int(prompts.first[p]), "prompt", corpus.prompt, "the same prompt")
            for p in shared.same[:SHOWN]
        ),
    )


def _near_prompts(corpus: Corpus, shared: Shared, prompts: Distinct, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(shared.near.text):
        return ()
    return thresholds.find(
        "near-duplicate",
        f"The data holds near-duplicates of {len(shared.near.text):,} further of {shared.prompts:,} held-out prompts, "
        "which differ in a few words.",
        _estimate(len(shared.near.text), shared.prompts, "share of the held-out prompts"),
        cure="Split the two together again: near-duplicates are then kept on one side.",
        command=_SPLIT,
        count=len(shared.near.text),
        examples=tuple(_alike(corpus, shared.near, prompts, "prompt", corpus.prompt)),
    )


def _responses(corpus: Corpus, shared: Shared, responses: Distinct, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(shared.found.text):
        return ()
    return thresholds.find(
        "response-leak",
        f"The data holds, equal or nearly and with other prompts, {len(shared.found.text):,} of {shared.responses:,} "
        f"held-out responses of {TELLING} words or more.",
        _estimate(len(shared.found.text), shared.responses, "share of the held-out responses"),
        cure="Where answers to other questions serve as bad answers, this is as it should be. Otherwise find out what "
        "the texts have in common, such as a model that repeats itself, and split by that source.",
        command=f"{_SPLIT} --by source",
        count=len(shared.found.text),
        examples=tuple(_alike(corpus, shared.found, responses, "response", corpus.response)),
    )


def _turned(corpus: Corpus, labels: Turned, thresholds: Thresholds) -> tuple[Finding, ...]:
    if not len(labels.comparison):
        return ()
    places = zip(labels.comparison[:SHOWN].tolist(), labels.earlier[:SHOWN].tolist(), strict=True)
    return thresholds.find(
        "label-leak",
        f"The data contradicts {len(labels.comparison):,} of {labels.decided:,} held-out comparisons: for the same "
        "prompt it chooses what they reject, or rejects what they choose; "
        f"{labels.pairs:,} are the same pair turned round.",
        Measure(len(labels.comparison) / labels.decided, "share of the decided held-out comparisons"),
        cure="A model that has learnt the data is counted wrong on these. Keep each prompt on one side, and look at "
        "the pairs that people judged both ways.",
        command=_SPLIT,
        count=len(labels.comparison),
        examples=tuple(_both_labels(corpus, held_out, ours) for held_out, ours in places),
    )


def _estimate(count: int, total: int, unit: str) -> Measure:
    interval = wilson_interval(count, total)
    return Measure(count / total, unit, interval.low, interval.high)


def _alike(corpus: Corpus, alike: Alike, texts: Distinct, what: str, text: Callable[[int], str]) -> Iterator[Example]:
    for held_out, ours, similarity in zip(alike.text[:SHOWN], alike.match, alike.similarity, strict=False):
        note = "the same" if held_out == ours else f"similarity {similarity:.2f}"
        yield _both(corpus, int(texts.against[held_out]), int(texts.first[ours]), what, text, note)


def _both(corpus: Corpus, held_out: int, ours: int, what: str, text: Callable[[int], str], note: str) -> Example:
    """Two rows of one kind, with the places of both."""
    group = corpus.responses.group if what == "response" else np.arange(len(corpus.groups.start) - 1)
    there, here = corpus.where(int(group[held_out])), corpus.where(int(group[ours]))
    return Example(there, ((f"{what} at {there}", text(held_out)), (f"{what} at {here}", text(ours))), note)


def _both_labels(corpus: Corpus, held_out: int, ours: int) -> Example:
    one, other = corpus.example(held_out), corpus.example(ours)
    texts = ((f"{what} at {other.where}", text) for what, text in other.texts[1:])
    return Example(one.where, (*one.texts, *texts), "opposite labels for one response")


def _shared_facts(shared: Shared, labels: Turned) -> dict[str, Fact]:
    return {
        "leaks.against_prompts": shared.prompts,
        "leaks.against_groups": shared.groups,
        "leaks.same_prompts": len(shared.same),
        "leaks.same_prompts_share": _share(len(shared.same), shared.prompts),
        "leaks.same_prompt_groups": shared.same_groups,
        "leaks.same_prompt_groups_share": _share(shared.same_groups, shared.groups),
        "leaks.near_duplicate_prompts": len(shared.near.text),
        "leaks.near_duplicate_prompts_share": _share(len(shared.near.text), shared.prompts),
        "leaks.duplicate_groups_across": shared.duplicate_groups,
        "leaks.against_long_responses": shared.responses,
        "leaks.shared_responses": int((shared.found.text == shared.found.match).sum()),
        "leaks.near_duplicate_responses_across": int((shared.found.text != shared.found.match).sum()),
        "leaks.shared_responses_share": _share(len(shared.found.text), shared.responses),
        "leaks.turned_comparisons": len(labels.comparison),
        "leaks.turned_comparisons_share": _share(len(labels.comparison), labels.decided),
        "leaks.turned_pairs": labels.pairs,
        "leaks.turned_with_any_prompt": labels.anywhere,
    }


def _share(count: int, total: int) -> float | None:
    return count / total if total else None


def _shared_bars(shared: Shared, labels: Turned) -> Bars:
    shown = {
        "prompts: the same": (len(shared.same), shared.prompts),
        "prompts: nearly": (len(shared.near.text), shared.prompts),
        "groups with the same prompt": (shared.same_groups, shared.groups),
        f"other responses of {TELLING} words or more": (len(shared.found.text), shared.responses),
        "comparisons with a turned label": (len(labels.comparison), labels.decided),
    }
    return Bars(
        "What the held-out data shares with the data",
        "share of the held-out data",
        tuple(shown),
        tuple(count / max(1, total) for count, total in shown.values()),
        labels=tuple(f"{count:,} of {total:,}" for count, total in shown.values()),
    )


def _shared_table(shared: Shared, labels: Turned) -> Table:
    rows = (
        ("distinct prompts", shared.prompts),
        ("that are in the data too", len(shared.same)),
        ("of which the data has a near-duplicate", len(shared.near.text)),
        ("groups", shared.groups),
        ("with a prompt of the data", shared.same_groups),
        ("with prompt and responses of one of its groups", shared.duplicate_groups),
        (f"distinct responses of {TELLING} words or more to other prompts", shared.responses),
        ("that are in the data too, equal or nearly", len(shared.found.text)),
        ("decided comparisons", labels.decided),
        ("against a label of the data, same prompt", len(labels.comparison)),
        ("against a label of the data, any prompt", labels.anywhere),
    )
    return Table(("held-out data", "number"), rows, "what it shares with the data")


def _repeats_table(repeats: Repeats) -> Table:
    rows: list[tuple[str, float]] = [
        ("groups", repeats.groups),
        ("that have no prompt", repeats.without_prompt),
        ("with prompt and responses of an earlier one", repeats.duplicate_groups),
        ("distinct prompts", repeats.prompts),
        ("of several groups", repeats.repeated_prompts),
        ("with a near-duplicate", repeats.near_prompts),
        ("compared without their boilerplate", repeats.boilerplate_prompts),
        ("share of held-out rows with a leaked prompt, split by row", repeats.row_split_leak),
        ("the same, near-duplicates included", repeats.row_split_leak_near),
        ("distinct responses", repeats.responses),
        ("with a near-duplicate", repeats.near_responses),
        ("compared without their boilerplate", repeats.boilerplate_responses),
    ]
    return Table(("the data", "number"), tuple(rows), "what repeats within it")
