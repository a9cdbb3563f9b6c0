"""Formatting that the responses with the highest rewards share, held against what people prefer."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.auditing.patterns.lift import TOP, Lift, lift_of, split_top
from palate.auditing.patterns.marks import Pattern, patterns_of
from palate.auditing.scorer import Floats, Scored
from palate.health.pairs import DecidedPairs, Share, decided_pairs, share_of
from palate.health.thresholds import Thresholds
from palate.metrics import Estimate, benjamini_hochberg, cluster_bootstrap, cluster_sums
from palate.report.findings import Block, Check, Example, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Bars

_WHY = (
    "A policy is pushed towards whatever the responses with the highest rewards have in common. Where that is a way of "
    "writing that people do not care for, every answer will soon be written so, and no better for it."
)
FEWEST = 50
"""Responses with a reward that are needed."""
_PAIRS = 20  # pairs that differ in a pattern, to say what people prefer
_SURE, _SHOWN, _DRAWN, _EXAMPLES = 0.05, 30, 15, 5


@dataclass(frozen=True, slots=True)
class Taste:
    """What people and the model prefer in pairs of which one response has the pattern.

    Attributes:
        people, model: how often they prefer the one with it; equal rewards count half.
        beyond: model minus people, on the same pairs.
        rows: those pairs in which the model prefers it and people do not, rows of the decided pairs.
    """

    people: Share
    model: Share
    beyond: Estimate
    rows: NDArray[np.int64]

    @property
    def is_supported(self) -> bool:
        """Whether people prefer it beyond doubt."""
        return self.people.low > 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """One pattern with all that is known of it; `p_value` is adjusted, and None where it could not be tested."""

    pattern: Pattern
    lift: Lift
    p_value: float | None
    taste: Taste | None

    @property
    def is_shared(self) -> bool:
        """Whether the top has it more often, beyond doubt."""
        return self.p_value is not None and self.p_value < _SURE and self.lift.ratio.value > 1


def check_patterns(scored: Scored, thresholds: Thresholds) -> Check:
    """Share of each pattern among the most rewarded tenth and the rest, its lift, and whether people prefer it too.

    p-values are adjusted for the number of patterns (Benjamini and Hochberg 1995).

    Facts: `patterns.shared` and `patterns.avoided` with the figures of each, `patterns.unsupported`, and how many
    patterns were tested and could not be.
    """
    section = Section("patterns", "Patterns of the highest rewards", _WHY, ())
    corpus = scored.corpus
    own = np.flatnonzero(np.isfinite(scored.reward_R) & ~corpus.groups.against[corpus.responses.group])
    if len(own) < FEWEST:
        return Check(section, skipped=f"{len(own)} rewards; {FEWEST} are needed")
    split = split_top(scored.reward_R[own], corpus.groups.prompt_key[corpus.responses.group[own]])
    if split is None:
        return Check(section, skipped="too many rewards are equal to tell the highest from the rest")
    size = len(scored.reward_R)
    every = [(pattern, lift_of(split, pattern.mask(size)[own])) for pattern in patterns_of(corpus)]
    found = _judged(scored, every)
    shared = sorted((one for one in found if one.is_shared), key=lambda one: (one.p_value, -one.lift.ratio.value))
    untested = sum(one.p_value is None for one in found)
    facts: dict[str, Fact] = {
        "patterns.responses": len(own),
        "patterns.top": int(split.top_N.sum()),
        "patterns.within_prompt": split.within,
        "patterns.tested": len(found) - untested,
        "patterns.untested": untested,
        "patterns.shared": {one.pattern.name: _fact(one) for one in shared},
        "patterns.avoided": {
            one.pattern.name: _fact(one)
            for one in found
            if one.p_value is not None and one.p_value < _SURE and one.lift.ratio.value < 1
        },
        "patterns.unsupported": [one.pattern.name for one in shared if one.taste and not one.taste.is_supported],
    }
    intro = Paragraph(_what_was_done(facts))
    blocks: tuple[Block, ...] = (intro, *_bars(shared), *_table(shared))
    findings = _found(scored, shared, thresholds)
    return Check(Section(section.key, section.title, section.why, blocks), findings, facts)


def _judged(scored: Scored, every: list[tuple[Pattern, Lift]]) -> list[Found]:
    """With adjusted p-values, and what people prefer where the top has it more often."""
    tested = [lift.p_value for _, lift in every if lift.p_value is not None]
    adjusted = iter(benjamini_hochberg(tested).tolist() if tested else ())
    pairs = decided_pairs(scored.corpus)
    pairs = pairs.at(np.flatnonzero(np.isfinite(scored.margin_C[pairs.comparison])))
    found = []
    for pattern, lift in every:
        p_value = None if lift.p_value is None else next(adjusted)
        is_sure = p_value is not None and p_value < _SURE
        found.append(Found(pattern, lift, p_value, _taste(scored, pairs, pattern) if is_sure else None))
    return found


def _taste(scored: Scored, pairs: DecidedPairs, pattern: Pattern) -> Taste | None:
    has = pattern.mask(len(scored.reward_R))
    winner_has, loser_has = has[pairs.winner], has[pairs.loser]
    rows = np.flatnonzero(winner_has != loser_has)
    if len(rows) < _PAIRS:
        return None
    margin = scored.margin_C[pairs.comparison[rows]]
    people = winner_has[rows].astype(np.float64)
    model = (np.sign(np.where(winner_has[rows], margin, -margin)) + 1) / 2
    prompt = pairs.prompt[rows]
    return Taste(
        share_of(people, prompt),
        share_of(model, prompt),
        _mean_difference(model - people, prompt),
        rows[(model == 1) & (people == 0)],
    )


def _mean_difference(difference_C: Floats, prompt_C: NDArray[np.int64]) -> Estimate:
    """A mean with its interval from resampled prompts."""
    sums = cluster_sums(np.column_stack([difference_C, np.ones(len(difference_C))]), prompt_C)
    return cluster_bootstrap(lambda total: total[..., 0] / total[..., 1], sums)


def _found(scored: Scored, shared: list[Found], thresholds: Thresholds) -> tuple[Finding, ...]:
    """One finding for all patterns that people do not support, judged by the one that goes furthest beyond them."""
    wrong = [one for one in shared if one.taste is not None and not one.taste.is_supported]
    if not wrong:
        return ()
    worst = max(wrong, key=lambda one: one.taste.beyond.low if one.taste else -math.inf)
    taste, lift = worst.taste, worst.lift
    assert taste is not None
    more = f" {len(wrong) - 1} more like it are listed." if len(wrong) > 1 else ""
    return thresholds.find(
        "top-pattern",
        f"{lift.top:.0%} of the most rewarded responses have {worst.pattern.name}, of the others {lift.rest:.0%}. The "
        f"model prefers it in {taste.model.value:.0%} of the pairs that differ in it, people in "
        f"{taste.people.value:.0%}.{more}",
        Measure(taste.beyond.value, "model's share beyond people's", taste.beyond.low, taste.beyond.high),
        cure="Read the examples. Add pairs in which the better response does without it, or leave out those that "
        "taught it.",
        count=len(taste.rows),
        examples=_examples(scored, worst, taste),
    )


def _examples(scored: Scored, found: Found, taste: Taste) -> tuple[Example, ...]:
    """The pairs on which the model goes furthest against people."""
    pairs = decided_pairs(scored.corpus)
    pairs = pairs.at(np.flatnonzero(np.isfinite(scored.margin_C[pairs.comparison])))
    rows = pairs.comparison[taste.rows]
    worst = rows[np.argsort(scored.margin_C[rows], kind="stable")][:_EXAMPLES].tolist()
    note = f"{found.pattern.name} in the rejected one alone"
    return tuple(scored.corpus.example(row, f"{note}: margin {scored.margin_C[row]:+.3f}") for row in worst)


def _what_was_done(facts: dict[str, Fact]) -> str:
    compared = (
        f"the {TOP:.0%} that lie furthest above the mean of their prompt, with the others of their prompts"
        if facts["patterns.within_prompt"]
        else f"the {TOP:.0%} with the highest rewards with all others, since most prompts have one response"
    )
    return (
        f"Of {facts['patterns.responses']:,} responses, {compared}. Patterns tested: {facts['patterns.tested']:,}; too "
        f"rare or too common for it: {facts['patterns.untested']:,}. Lift is how many times as often the top "
        "has it; p-values are adjusted for the number of patterns. Longer responses have more of everything, so a lift "
        "may be due to length."
    )


def _verdict(found: Found) -> str:
    if found.taste is None:
        return "too few pairs"
    return "preferred too" if found.taste.is_supported else "not supported"


def _table(shared: list[Found]) -> tuple[Block, ...]:
    if not shared:
        return (Paragraph("No pattern is more frequent among the highest rewards beyond chance."),)
    rows = tuple(
        (
            one.pattern.name,
            one.lift.top,
            one.lift.rest,
            _number(one.lift.ratio.value),
            _number(one.lift.ratio.low),
            _number(one.lift.ratio.high),
            one.p_value,
            one.taste.model.value if one.taste else None,
            one.taste.people.value if one.taste else None,
            one.taste.people.count if one.taste else None,
            _verdict(one),
        )
        for one in shared[:_SHOWN]
    )
    columns = (
        "pattern",
        "in top",
        "in rest",
        "lift",
        "low",
        "high",
        "adjusted p",
        "model",
        "people",
        "pairs",
        "by people",
    )
    caption = "what the highest rewards share; model, people: how often they prefer the one of a pair that has it"
    return (Table(columns, rows, caption, omitted=max(0, len(shared) - _SHOWN)),)


def _bars(shared: list[Found]) -> tuple[Block, ...]:
    drawn = [one for one in shared if math.isfinite(one.lift.ratio.low)][:_DRAWN]
    if not drawn:
        return ()
    return (
        Bars(
            "What the highest rewards share",
            "lift, 95 % intervals",
            tuple(one.pattern.name for one in drawn),
            tuple(one.lift.ratio.value for one in drawn),
            tuple((one.lift.ratio.low, one.lift.ratio.high) for one in drawn),
            tuple(f"{one.lift.top:.1%} of the top, {one.lift.rest:.1%} of the rest: {_verdict(one)}" for one in drawn),
            reference=1.0,
            reference_label="as often",
        ),
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _fact(found: Found) -> Fact:
    taste = found.taste
    return {
        "top": found.lift.top,
        "rest": found.lift.rest,
        "lift": _number(found.lift.ratio.value),
        "low": _number(found.lift.ratio.low),
        "high": _number(found.lift.ratio.high),
        "p": found.p_value,
        "responses": found.lift.count,
        "people": taste.people.to_fact() if taste else None,
        "model": taste.model.to_fact() if taste else None,
        "beyond": taste.beyond.value if taste else None,
    }
