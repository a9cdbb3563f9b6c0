"""Whether rewards are further apart where people said that one response is better by far."""

import numpy as np

from palate.auditing.scorer import Floats, Scored
from palate.health.parts import Part
from palate.health.tables import Keys
from palate.metrics import Estimate, cluster_bootstrap, cluster_sums, correlation, share_estimate
from palate.report.findings import Fact, Paragraph, Table
from palate.report.plots import Bars

_MOST = 6
"""Labelled margins that are shown one by one; of more of them, `_PARTS` parts with equally many pairs."""
_PARTS = 5


def strength_labels(scored: Scored) -> Part:
    """Mean margin and accuracy by labelled strength, and Spearman's correlation of labelled with reward margins.

    The correlation is Pearson's of ranks among all pairs, whose interval resamples prompts and leaves the ranks as they
    are. Facts: `strength.spearman` with its ends, `strength.steps`. Nothing where labels do not differ in strength.
    """
    usable = scored.usable_C
    labels = scored.corpus.comparisons
    strength, margin = labels.margin[usable], scored.margin_C[usable]
    if len(np.unique(strength)) < 2:
        return Part()
    # not at the top: evaluation needs no SciPy, which takes 0.3 s to import
    from scipy.stats import rankdata

    prompt = scored.corpus.groups.prompt_key[labels.group[usable]]
    spearman = correlation(rankdata(strength), rankdata(margin), prompt).r
    steps = [(name, *_figures(margin[member], prompt[member])) for name, member in _steps(strength)]
    by_step: dict[str, Fact] = {
        name: {
            "pairs": pairs,
            "accuracy": right.value,
            "margin": mean.value,
            "margin_low": _known(mean.low),
            "margin_high": _known(mean.high),
        }
        for name, pairs, right, mean in steps
    }
    facts: dict[str, Fact] = {
        "strength.spearman": _known(spearman.value),
        "strength.spearman_low": _known(spearman.low),
        "strength.spearman_high": _known(spearman.high),
        "strength.steps": by_step,
    }
    rows = tuple(
        (name, pairs, right.value, right.low, right.high, mean.value, _known(mean.low), _known(mean.high))
        for name, pairs, right, mean in steps
    )
    names = ("labelled strength", "pairs", "accuracy", "low", "high", "mean margin", "low", "high")
    said = Paragraph(
        f"Labelled strength and reward margin have a rank correlation of {spearman.value:.2f} "
        f"({spearman.low:.2f} to {spearman.high:.2f}); 0 means that the margin says nothing about the strength."
    )
    return Part((_bars(steps), Table(names, rows, "By the strength that people stated"), said), (), facts)


def _steps(strength: Floats) -> list[tuple[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]]:
    """Labelled strengths one by one, or in parts where there are many."""
    values = np.unique(strength)
    if len(values) <= _MOST:
        return [(f"{value:.3g}", strength == value) for value in values.tolist()]
    inner = np.unique(np.quantile(strength, np.arange(1, _PARTS) / _PARTS, method="higher"))
    part = np.searchsorted(inner, strength, side="right")
    members = [part == number for number in range(len(inner) + 1)]
    return [
        (f"{strength[member].min():.3g} to {strength[member].max():.3g}", member) for member in members if member.any()
    ]


def _figures(margin: Floats, prompt: Keys) -> tuple[int, Estimate, Estimate]:
    sums = cluster_sums(np.column_stack([margin, np.ones_like(margin)]), prompt)
    mean = cluster_bootstrap(lambda sums: sums[..., 0] / sums[..., 1], sums)
    return len(margin), share_estimate((1 + np.sign(margin)) / 2, prompt), mean


def _bars(steps: list[tuple[str, int, Estimate, Estimate]]) -> Bars:
    return Bars(
        "Reward margin by how much better people said the response is",
        "mean margin, reward units, 95 % intervals",
        tuple(name for name, *_ in steps),
        tuple(mean.value for *_, mean in steps),
        tuple((mean.low, mean.high) for *_, mean in steps),
        tuple(f"{pairs:,} pairs, accuracy {right.value:.2f}" for _, pairs, right, _ in steps),
        reference=0.0,
        reference_label="equal rewards",
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
