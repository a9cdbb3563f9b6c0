"""Benchmarks in the training data: runs of words that both have.

A run of 13 words hardly occurs twice by chance (Brown et al. 2020, appendix C, who introduced this measure; 8 words are
the laxer figure of later reports). What is said all the time does, so runs that come with more than ten different
prompts, in the data or in the benchmarks, are left out, as they were there.

Shape legend: G groups of the data, I items of the benchmarks, J runs of items, H finds, K benchmarks.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.texts.forms import normalised, plain_text
from palate.health.texts.overlap import Finds, Sought, find, seek
from palate.health.thresholds import Thresholds
from palate.records import PreferenceGroup
from palate.report.findings import Check, Example, Fact, Finding, Measure, Section, Table

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Keys = NDArray[np.uint64]

LAX = 8
"""Words of a run for the second figure."""
COMMON = 10
"""Runs with more different prompts than this are common phrases."""
SHOWN = 5
"""Examples of each finding."""

_WHY = (
    "A benchmark measures what a model does with texts that it has not seen. Where the training data holds texts of "
    "the benchmark, the score is memory, and says nothing beside the scores of other models."
)


@dataclass(frozen=True, slots=True)
class Overlap:
    """What runs of one size found.

    Attributes:
        judged: [I], items with a run of that size: the others are too short to be found.
        hit: [I], items with a run that the data has.
        prompt_hit: [I], items with such a run in the prompt.
        group_hit: [G, K], groups with a run of a benchmark.
        common: runs left out as common phrases.
        finds: the others, by text: prompts of the data, then its responses.
        runs: of the items; twice the number of an item stands for its prompt, and one more for its responses.
    """

    judged: Bools
    hit: Bools
    prompt_hit: Bools
    group_hit: Bools
    common: int
    finds: Finds
    runs: Sought


@dataclass(frozen=True, slots=True)
class _Items:
    """The items of all benchmarks, in memory: benchmarks are small."""

    group: list[PreferenceGroup]
    benchmark: Ints
    prompt: Keys

    def texts(self) -> Iterator[tuple[int, str]]:
        for number, group in enumerate(self.group):
            yield 2 * number, plain_text(group.prompt)
            for response in group.responses:
                yield 2 * number + 1, plain_text(response)


def check_contamination(
    corpus: Corpus, benchmarks: Mapping[str, Iterable[PreferenceGroup]], thresholds: Thresholds, n: int = 13
) -> Check:
    """Look for prompts and responses of benchmarks in those of the data.

    Args:
        corpus: the data; its texts are streamed once.
        benchmarks: by name.
        thresholds: for `contamination`.
        n: words of a run; the laxer figure takes `LAX`.
    """
    section = Section("contamination", "Benchmarks in the data", _WHY, ())
    numbered = [(number, group) for number, groups in enumerate(benchmarks.values()) for group in groups]
    if not benchmarks:
        return Check(section, skipped="no benchmark given (--benchmark FILE)")
    items = _Items(
        [group for _, group in numbered],
        np.array([number for number, _ in numbered], np.int64),
        np.array([int(group.prompt_hash, 16) for _, group in numbered], np.uint64),
    )
    strict, lax = _overlaps(corpus, items, len(benchmarks), (n, LAX))
    findings: list[Finding] = []
    facts: dict[str, Fact] = {"contamination.words": n, "contamination.common_runs": strict.common}
    rows = []
    for number, name in enumerate(benchmarks):
        figures = _figures(items, number, strict)
        laxer = _figures(items, number, lax)
        facts[f"contamination.{name}"] = {**figures, **{f"{key}_at_{LAX}_words": value for key, value in laxer.items()}}
        rows.append((name, *(figures[key] for key in _SHOWN_FIGURES), laxer["items_hit"], laxer["groups_hit"]))
        findings += _finding(corpus, items, number, name, strict, thresholds)
    columns = (
        "benchmark",
        "items",
        "long enough",
        "found",
        "by the prompt",
        "groups with it",
        "found",
        "groups with it",
    )
    caption = f"items with {n} words in a row that the data has too; last two columns: {LAX} words"
    section = Section(section.key, section.title, _WHY, (Table(columns, tuple(rows), caption),))
    return Check(section, tuple(findings), facts)


_SHOWN_FIGURES = ("items", "items_judged", "items_hit", "items_hit_by_prompt", "groups_hit")


def _overlaps(corpus: Corpus, items: _Items, benchmarks: int, sizes: tuple[int, int]) -> tuple[Overlap, Overlap]:
    sought = seek(items.texts(), sizes)
    groups = int((~corpus.groups.against).sum())
    texts = chain(islice(corpus.prompts(), groups), islice(corpus.all_responses(), int(corpus.groups.start[groups])))
    strict, lax = (
        _overlap(corpus, items, benchmarks, kind, finds)
        for kind, finds in zip(sought, find(sought, texts), strict=True)
    )
    return strict, lax


def _overlap(corpus: Corpus, items: _Items, benchmarks: int, runs: Sought, finds: Finds) -> Overlap:
    groups = int((~corpus.groups.against).sum())
    group_H = _group_of(corpus, finds.text, groups)
    # a group without a prompt is a prompt of its own
    prompt_G = np.where(corpus.groups.turns > 0, corpus.groups.prompt_key, np.arange(len(corpus.groups.turns)))
    common = _is_common(finds.run, prompt_G[group_H], runs) | _is_common(runs.run, items.prompt[runs.item // 2], runs)
    kept = ~common[finds.run]
    found = np.zeros(len(runs.values), np.bool_)
    found[finds.run[kept]] = True
    hits = runs.item[found[runs.run]]
    in_benchmark = np.zeros((len(runs.values), benchmarks), np.bool_)
    in_benchmark[runs.run, items.benchmark[runs.item // 2]] = True
    group_hit = np.zeros((groups, benchmarks), np.bool_)
    for number in range(benchmarks):
        group_hit[group_H[kept][in_benchmark[finds.run[kept], number]], number] = True
    return Overlap(
        judged=_marked(runs.item // 2, items),
        hit=_marked(hits // 2, items),
        prompt_hit=_marked(hits[hits % 2 == 0] // 2, items),
        group_hit=group_hit,
        common=int((common & np.isin(np.arange(len(common)), finds.run)).sum()),
        finds=Finds(finds.run[kept], finds.text[kept]),
        runs=runs,
    )


def _group_of(corpus: Corpus, text: Ints, groups: int) -> Ints:
    """The groups of texts: prompts, then responses."""
    return np.where(text < groups, text, corpus.responses.group[np.maximum(text - groups, 0)])


def _is_common(run: Ints, prompt: Keys, runs: Sought) -> Bools:
    """[runs], whether it comes with more than `COMMON` different prompts."""
    order = np.lexsort((prompt, run))
    run, prompt = run[order], prompt[order]
    new = np.ones(len(run), np.bool_)
    new[1:] = (np.diff(run) != 0) | (prompt[1:] != prompt[:-1])
    common: Bools = np.bincount(run[new], minlength=len(runs.values)) > COMMON
    return common


def _marked(numbers: Ints, items: _Items) -> Bools:
    marked = np.zeros(len(items.group), np.bool_)
    marked[numbers] = True
    return marked


def _figures(items: _Items, benchmark: int, found: Overlap) -> dict[str, int | float | None]:
    own = items.benchmark == benchmark
    judged, hit = int((own & found.judged).sum()), int((own & found.hit).sum())
    groups = found.group_hit[:, benchmark]
    return {
        "items": int(own.sum()),
        "items_judged": judged,
        "items_hit": hit,
        "items_hit_share": hit / judged if judged else None,
        "items_hit_by_prompt": int((own & found.prompt_hit).sum()),
        "groups_hit": int(groups.sum()),
        "groups_hit_share": float(groups.mean()) if len(groups) else None,
    }


def _finding(
    corpus: Corpus, items: _Items, benchmark: int, name: str, found: Overlap, thresholds: Thresholds
) -> tuple[Finding, ...]:
    figures = _figures(items, benchmark, found)
    hit, judged = figures["items_hit"], figures["items_judged"]
    if not hit or not judged:
        return ()
    return thresholds.find(
        "contamination",
        f"{hit:,} of {judged:,} items of {name} have {found.runs.n} words in a row that the data has too: in "
        f"{figures['groups_hit']:,} of its {len(found.group_hit):,} groups.",
        Measure(hit / judged, "share of the benchmark's items"),
        cure="Leave those groups out before training, or do not report this benchmark.",
        count=int(hit),
        examples=tuple(_examples(corpus, items, items.benchmark == benchmark, found)),
    )


def _examples(corpus: Corpus, items: _Items, own: Bools, found: Overlap) -> Iterator[Example]:
    """Items with the most runs in the data, each with the text of the data that has most of them."""
    runs, groups = found.runs, len(found.group_hit)
    shared = np.isin(runs.run, found.finds.run) & own[runs.item // 2]
    counts = np.bincount(runs.item[shared], minlength=2 * len(items.group))
    for part in np.argsort(-counts, kind="stable")[:SHOWN].tolist():
        if not counts[part]:
            return
        finds = found.finds.text[np.isin(found.finds.run, runs.run[shared & (runs.item == part)])]
        text = int(np.bincount(finds).argmax())
        item, where = items.group[part // 2], corpus.where(int(_group_of(corpus, np.array([text]), groups)[0]))
        ours = corpus.prompt(text) if text < groups else corpus.response(text - groups)
        theirs = [plain_text(item.prompt)] if part % 2 == 0 else [plain_text(response) for response in item.responses]
        phrase, theirs_best = max((_longest(ours, one), one) for one in theirs)
        kinds = ("prompt" if text < groups else "response", "prompt" if part % 2 == 0 else "response")
        texts = ((f"{kinds[0]} at {where}", ours), (f"{kinds[1]} at {item.where}", theirs_best))
        yield Example(where, texts, f"{phrase[0]} words in a row: {phrase[1]}")


def _longest(one: str, other: str) -> tuple[int, str]:
    """The longest run of words that two texts share, and how long it is."""
    left, right = (re.findall(r"\w+", normalised(text)) for text in (one, other))
    match = SequenceMatcher(None, left, right, autojunk=False).find_longest_match()
    return match.size, " ".join(left[match.a : match.a + match.size])
