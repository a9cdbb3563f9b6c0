"""How often the reward model ranks as people did, on the whole and where it is worse."""

import numpy as np

from palate.auditing.clouds import chosen_by_rejected
from palate.auditing.probes.effects import independent_count
from palate.auditing.scorer import Floats, Scored
from palate.auditing.slices import FEWEST, Slice, slices_of
from palate.auditing.strengths import strength_labels
from palate.auditing.votes import agreement_ceiling
from palate.health.thresholds import Thresholds
from palate.metrics import Interval, accuracy_interval, wilson_interval
from palate.report.findings import Check, Example, Fact, Finding, Measure, Section, Table
from palate.report.plots import Bars, Histogram

_WHY = (
    "Accuracy is how often the response that people preferred gets the higher reward; 0.5 is guessing, and people who "
    "disagree with each other set a ceiling below 1. A model that is good on the whole may still be at chance on a "
    "part, and a policy that is trained against it will end up there."
)
_EXAMPLES = 20


def check_ranking(scored: Scored, thresholds: Thresholds) -> Check:
    """Accuracy with intervals clustered by prompt, margins, slices, and the pairs it is most wrong on.

    Facts: `ranking.accuracy` (equal rewards count half), `ranking.strict_accuracy` (equal rewards are wrong), their
    interval, `ranking.margin_median`, `ranking.pairs`, `ranking.slices`.
    """
    usable = scored.usable_C
    section = Section("ranking", "Ranking", _WHY, ())
    if not usable.any():
        return Check(section, skipped="no labelled pair has two rewards")
    margin, cluster = scored.margin_C[usable], _prompts(scored)[usable]
    correct = (np.sign(margin) + 1) / 2
    interval = accuracy_interval(correct, cluster)
    parts = [(part, *_accuracy(scored, part)) for part in slices_of(scored)]
    facts: dict[str, Fact] = {
        "ranking.accuracy": float(correct.mean()),
        "ranking.accuracy_low": interval.low,
        "ranking.accuracy_high": interval.high,
        "ranking.interval": interval.method,
        "ranking.strict_accuracy": float((margin > 0).mean()),
        "ranking.reward_ties": int((margin == 0).sum()),
        "ranking.pairs": int(usable.sum()),
        "ranking.prompts": len(np.unique(cluster)),
        "ranking.label_ties": int((~scored.corpus.comparisons.decided).sum()),
        "ranking.unscored": int((scored.corpus.comparisons.decided & ~np.isfinite(scored.margin_C)).sum()),
        "ranking.margin_mean": float(margin.mean()),
        "ranking.margin_median": float(np.median(margin)),
        "ranking.margin_scale": margin_scale(scored),
        "ranking.slices": {
            f"{part.kind}: {part.name}": {"pairs": n, "accuracy": value, "low": held.low, "high": held.high}
            for part, n, value, held in parts
        },
    }
    findings = (*_overall(scored, correct, interval, thresholds), *_worst_slice(scored, parts, correct, thresholds))
    more = (agreement_ceiling(scored), strength_labels(scored))
    facts |= {f"ranking.{name}": value for part in more for name, value in part.facts.items()}
    blocks = (
        _margins(margin),
        chosen_by_rejected(scored),
        _bars(parts),
        _table(parts),
        *(block for part in more for block in part.blocks),
    )
    return Check(Section(section.key, section.title, section.why, blocks), findings, facts)


def margin_scale(scored: Scored) -> float:
    """Median |margin| over the usable comparisons: the model's own unit of "clearly better"; NaN without any."""
    margin = np.abs(scored.margin_C[scored.usable_C])
    return float(np.median(margin)) if len(margin) else float("nan")


def _prompts(scored: Scored) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """[C], what dependent pairs have in common."""
    return scored.corpus.groups.prompt_key[scored.corpus.comparisons.group]


def _accuracy(scored: Scored, part: Slice) -> tuple[int, float, Interval]:
    margin = scored.margin_C[part.member_C]
    correct = (np.sign(margin) + 1) / 2
    return len(margin), float(correct.mean()), accuracy_interval(correct, _prompts(scored)[part.member_C])


def _overall(scored: Scored, correct: Floats, interval: Interval, thresholds: Thresholds) -> tuple[Finding, ...]:
    accuracy = float(correct.mean())
    findings = thresholds.find(
        "swapped-labels",
        f"The response that people preferred gets the lower reward in {1 - accuracy:.1%} of the pairs.",
        Measure(accuracy, "accuracy", interval.low, interval.high),
        cure="Chosen and rejected were exchanged, here or in training, or the reward is a cost; turn one round.",
        examples=_most_wrong(scored),
    )
    if findings:
        return findings
    return thresholds.find(
        "at-chance",
        f"Accuracy is {accuracy:.3f} [{interval.low:.3f}, {interval.high:.3f}]: that may be guessing.",
        Measure(interval.low, "lower end of the accuracy's interval"),
        cure="A dead head, noise for labels, or too little training: look at the training log, then at the data.",
        examples=_most_wrong(scored),
    )


def _most_wrong(scored: Scored) -> tuple[Example, ...]:
    margin = np.where(scored.usable_C, scored.margin_C, np.inf)
    worst = [row for row in np.argsort(margin)[:_EXAMPLES].tolist() if margin[row] < 0]
    return tuple(scored.corpus.example(row, f"margin {margin[row]:+.3f}") for row in worst)


def _worst_slice(
    scored: Scored, parts: list[tuple[Slice, int, float, Interval]], correct: Floats, thresholds: Thresholds
) -> tuple[Finding, ...]:
    """The slice that is furthest below the whole, if it is so beyond doubt, and not because of a few prompts."""
    whole = float(correct.mean())
    held = [(part, n, value, _held(scored, part, len(parts))) for part, n, value, _ in parts]
    sure = [(whole - interval.high, place) for place, (*_, interval) in enumerate(held) if interval is not None]
    gap, place = max(sure, default=(0.0, -1))
    if gap <= 0:
        return ()
    part, n, value, interval = held[place]
    assert interval is not None
    return thresholds.find(
        "weak-slice",
        f"Where {part.kind}: {part.name}, accuracy is {value:.3f} on {n:,} pairs, against {whole:.3f} on the whole.",
        Measure(whole - value, "accuracy below the whole", gap, whole - interval.low),
        cure="Collect or weigh up such pairs in training, or do not use the model there.",
        count=n,
    )


def _held(scored: Scored, part: Slice, parts: int) -> Interval | None:
    """Wilson's interval of a slice's accuracy; None for fewer than `FEWEST` prompts, whose pairs are no sample.

    Its confidence allows for all slices that are looked at, and pairs that share a prompt count as the fewer
    independent ones that they are worth.
    """
    prompt = _prompts(scored)[part.member_C]
    if len(np.unique(prompt)) < FEWEST:
        return None
    correct = (np.sign(scored.margin_C[part.member_C]) + 1) / 2
    independent = independent_count(correct, prompt)
    return wilson_interval(float(correct.mean()) * independent, independent, 1 - 0.05 / max(1, parts))


def _margins(margin: Floats) -> Histogram:
    edges = np.histogram_bin_edges(margin, bins=40)
    counts, _ = np.histogram(margin, edges)
    return Histogram(
        "Reward of the preferred response minus that of the other",
        "margin, reward units; below zero the model disagrees with people",
        tuple(edges.tolist()),
        (("pairs", tuple(counts.astype(float).tolist())),),
        marker=0.0,
        marker_label="equal rewards",
    )


def _bars(parts: list[tuple[Slice, int, float, Interval]]) -> Bars:
    return Bars(
        "Accuracy by part of the data",
        "accuracy, 95 % intervals",
        tuple(f"{part.kind}: {part.name}" for part, *_ in parts),
        tuple(value for _, _, value, _ in parts),
        tuple((held.low, held.high) for *_, held in parts),
        tuple(f"{n:,} pairs" for _, n, _, _ in parts),
        reference=0.5,
        reference_label="guessing",
    )


def _table(parts: list[tuple[Slice, int, float, Interval]]) -> Table:
    rows = tuple((part.kind, part.name, n, value, held.low, held.high) for part, n, value, held in parts)
    return Table(("divided by", "part", "pairs", "accuracy", "low", "high"), rows, "accuracy by part of the data")
