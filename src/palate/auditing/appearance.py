"""How much of the reward is length and style, which say nothing about whether a response is right."""

import numpy as np

from palate.auditing.clouds import reward_by_length
from palate.auditing.scorer import Floats, Scored
from palate.health.texts.style import STYLE
from palate.health.thresholds import Thresholds
from palate.metrics.by_length import LengthRelation, accuracy_by_length
from palate.metrics.dependence import LengthDependence, length_dependence
from palate.metrics.style import StyleControl, style_control
from palate.report.findings import Block, Check, Fact, Finding, Measure, Section, Table
from palate.report.plots import Bars

_WHY = (
    "A policy that is trained against a reward model finds whatever raises the reward most cheaply, and writing more, "
    "or in bullet points, is cheap. What the reward owes to length and form will be in every answer soon."
)
_FEWEST = 50


def check_appearance(scored: Scored, thresholds: Thresholds, *, seed: int = 0) -> Check:
    """Variance of the reward that length explains, accuracy by length relation, and a style-controlled fit.

    Args:
        scored: held-out data with rewards.
        thresholds: for `length-bias` and `style-artifact`.
        seed: of the sample of points that is drawn.
    """
    section = Section("appearance", "Length and style", _WHY, ())
    finite = np.isfinite(scored.reward_R) & ~scored.corpus.groups.against[scored.corpus.responses.group]
    if finite.sum() < _FEWEST:
        return Check(section, skipped=f"{int(finite.sum())} rewards; {_FEWEST} are needed")
    responses = scored.corpus.responses
    reward, length = scored.reward_R[finite], responses.characters[finite].astype(np.float64)
    prompt = scored.corpus.groups.prompt_key[responses.group[finite]]
    label = _label(scored)[finite]
    known = np.isfinite(label)
    dependence = length_dependence(reward, length, prompt)
    given = length_dependence(reward[known], length[known], prompt[known], label=label[known]) if known.any() else None
    usable = scored.usable_C
    relation = _relation(scored) if usable.any() else None
    style = _style(scored) if usable.sum() >= _FEWEST else None
    facts = {**_length_facts(dependence, given, relation), **_style_facts(style)}
    blocks: tuple[Block, ...] = (
        reward_by_length(scored, seed=seed),
        *_relation_bars(relation),
        *_style_table(style),
    )
    findings = (*_length_findings(dependence, relation, thresholds), *_style_findings(style, thresholds))
    return Check(Section(section.key, section.title, _WHY, blocks), findings, facts)


def _label(scored: Scored) -> Floats:
    """[R], 1 for responses that won their decided comparisons, 0 for those that lost, between for both, else NaN."""
    labels = scored.corpus.comparisons
    decided = labels.decided
    size = len(scored.reward_R)
    won = np.bincount(labels.winner[decided], minlength=size)
    lost = np.bincount(labels.loser[decided], minlength=size)
    total = won + lost
    label: Floats = np.where(total > 0, won / np.maximum(total, 1), np.nan)
    return label


def _relation(scored: Scored) -> LengthRelation:
    labels, usable = scored.corpus.comparisons, scored.usable_C
    characters = scored.corpus.responses.characters
    return accuracy_by_length(
        scored.margin_C[usable],
        characters[labels.winner[usable]],
        characters[labels.loser[usable]],
        scored.corpus.groups.prompt_key[labels.group[usable]],
    )


def _style(scored: Scored) -> StyleControl:
    """Style and length together: what is left to the margin is neither."""
    labels, usable = scored.corpus.comparisons, scored.usable_C
    responses = scored.corpus.responses
    marks = np.column_stack([responses.words, responses.style]).astype(np.float64)
    return style_control(
        scored.margin_C[usable],
        marks[labels.winner[usable]],
        marks[labels.loser[usable]],
        ("words", *STYLE),
        scored.corpus.groups.prompt_key[labels.group[usable]],
        probability=labels.probability[usable],
    )


def _length_findings(
    dependence: LengthDependence, relation: LengthRelation | None, thresholds: Thresholds
) -> tuple[Finding, ...]:
    r2 = max((dependence.pooled_log.r2, dependence.within_log.r2), key=lambda one: np.nan_to_num(one.value))
    gap = ""
    if relation is not None and relation.longer is not None and relation.shorter is not None:
        gap = f" It is right in {relation.longer.value:.0%} of pairs whose longer response was preferred, and in "
        gap += f"{relation.shorter.value:.0%} of the others."
    return thresholds.find(
        "length-bias",
        f"Length explains {r2.value:.0%} of the reward.{gap}",
        Measure(r2.value, "R^2 of the reward on log length", r2.low, r2.high),
        cure="Balance the training data by length, train with length control, or both; then audit again.",
        command="palate train ... --length-control decorrelation",
    )


def _style_findings(style: StyleControl | None, thresholds: Thresholds) -> tuple[Finding, ...]:
    if style is None:
        return ()
    strongest = sorted(style.weights, key=lambda one: -abs(np.nan_to_num(one.in_rewards.value)))[:3]
    named = ", ".join(f"{one.name} {one.in_rewards.value:+.2f}" for one in strongest)
    return thresholds.find(
        "style-artifact",
        f"Length and form explain {style.explained.value:.0%} of the margins; most of all {named} (log-odds).",
        Measure(style.explained.value, "share of the margins' variance", style.explained.low, style.explained.high),
        cure="Look whether people want these marks (palate data check says so); where not, add pairs that differ in "
        "form alone, or leave such pairs out.",
    )


def _length_facts(
    dependence: LengthDependence, given: LengthDependence | None, relation: LengthRelation | None
) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for name in ("pooled", "within", "pooled_log", "within_log"):
        one = getattr(dependence, name)
        facts[f"appearance.length_r2_{name}"] = one.r2.value
        facts[f"appearance.length_r_{name}"] = one.r.value
    if given is not None and given.given_label is not None:
        facts["appearance.length_partial_r"] = given.given_label.r.value
    if relation is not None:
        for name in ("longer", "shorter", "matched", "balanced", "gap"):
            estimate = getattr(relation, name)
            facts[f"appearance.accuracy_{name}"] = None if estimate is None else estimate.value
        facts["appearance.pairs_longer_shorter_matched"] = list(relation.pairs)
    return facts


def _style_facts(style: StyleControl | None) -> dict[str, Fact]:
    if style is None:
        return {}
    weights: dict[str, Fact] = {
        one.name: {"labels": one.in_labels.value, "rewards": one.in_rewards.value, "beyond": one.beyond_rewards.value}
        for one in style.weights
    }
    return {
        "appearance.style_explained": style.explained.value,
        "appearance.margin_alone": style.margin_alone.value,
        "appearance.margin_controlled": style.margin_controlled.value,
        "appearance.style_weights": weights,
    }


def _relation_bars(relation: LengthRelation | None) -> tuple[Bars, ...]:
    if relation is None:
        return ()
    named = (
        ("preferred one longer", relation.longer),
        ("about as long", relation.matched),
        ("preferred one shorter", relation.shorter),
    )
    kept = [(name, one, n) for (name, one), n in zip(named, _reordered(relation.pairs), strict=True) if one is not None]
    return (
        Bars(
            "Accuracy by which response is longer",
            "accuracy, 95 % intervals",
            tuple(name for name, _, _ in kept),
            tuple(one.value for _, one, _ in kept),
            tuple((one.low, one.high) for _, one, _ in kept),
            tuple(f"{n:,} pairs" for _, _, n in kept),
            reference=0.5,
            reference_label="guessing",
        ),
    )


def _reordered(pairs: tuple[int, int, int]) -> tuple[int, int, int]:
    longer, shorter, matched = pairs
    return longer, matched, shorter


def _style_table(style: StyleControl | None) -> tuple[Table, ...]:
    if style is None:
        return ()
    ordered = sorted(style.weights, key=lambda one: -abs(np.nan_to_num(one.in_rewards.value)))
    rows = tuple(
        (one.name, one.in_labels.value, one.in_rewards.value, one.in_rewards.low, one.in_rewards.high)
        for one in ordered
        if np.isfinite(one.in_rewards.low)
    )
    names = ("mark", "worth to people", "worth to the model", "low", "high")
    return (Table(names, rows, "Marks of form, in log-odds for a usual difference"),)
