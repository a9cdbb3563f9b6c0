"""How often a bag of words is right: without the prompt, and with it.

A response that can be told to be the better one without knowing the question is told by something else than its being
an answer. The model is a logistic regression on differences of hashed n-grams (`palate.health.shortcuts.ngrams`),
judged on prompts that it has not seen, as in the hypothesis-only baselines of natural language inference (Gururangan et
al., 1803.02324).

Shape legend: C comparisons, A decided comparisons that were looked at.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import SGDClassifier

from palate.health.corpus import Corpus
from palate.health.pairs import Share, decided_pairs, half_for_ties, share_of, thinned
from palate.health.shortcuts.held_out import enough, held_out_margins, symmetric_auc
from palate.health.shortcuts.ngrams import MOST_CHARACTERS, crossed_features, response_features
from palate.health.tables import Floats
from palate.health.thresholds import Thresholds
from palate.report.findings import Check, Fact, Measure, Paragraph, Section
from palate.report.plots import Bars

MOST_PAIRS = 50_000
_PASSES = 20  # over 10,000 pairs; fewer over more

_WHY = (
    "A reward model should judge how well a response answers its prompt. If the preferred response can be guessed "
    "without reading the prompt, it can be right without judging that, and will reward such responses to any prompt."
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the two bags of n-grams are worth.

    Attributes:
        response_only, with_prompt: held-out accuracies.
        response_auc, prompt_auc: areas under their ROC curves.
        margins: [C], log-odds of the labelled winner by the model that sees the prompt, fitted without that prompt; NaN
            for comparisons that were not looked at, ties among them.
        decided: how many comparisons could have been looked at.
        cut: responses of which only the beginning was read.
    """

    response_only: Share
    with_prompt: Share
    response_auc: float
    prompt_auc: float
    margins: Floats
    decided: int
    cut: int


def fit_baseline(corpus: Corpus, *, most_pairs: int = MOST_PAIRS, workers: int = 1) -> Baseline | None:
    """Fit both models out of fold; None where there are too few decided comparisons or prompts.

    Args:
        corpus: the data.
        most_pairs: evenly spaced ones are taken where there are more.
        workers: processes that count n-grams.
    """
    everything = decided_pairs(corpus)
    pairs = thinned(everything, most_pairs)
    if not enough(pairs.prompt):
        return None
    rows = np.unique(np.concatenate([pairs.winner, pairs.loser]))
    winner, loser = np.searchsorted(rows, pairs.winner), np.searchsorted(rows, pairs.loser)
    group = corpus.responses.group[rows]
    alone = response_features((corpus.response(int(row)) for row in rows), workers=workers)
    difference = alone[winner] - alone[loser]
    without = held_out_margins(difference, pairs.prompt, lambda: _classifier(len(pairs)))
    del alone
    turns = ((corpus.prompt(int(of)), corpus.response(int(row))) for of, row in zip(group, rows, strict=True))
    crossed = crossed_features(turns, workers=workers)
    both = sparse.hstack([difference, crossed[winner] - crossed[loser]], format="csr")
    del difference, crossed
    margins = held_out_margins(both, pairs.prompt, lambda: _classifier(len(pairs)))
    margins_C = np.full(len(corpus.comparisons.group), np.nan)
    margins_C[pairs.comparison] = margins
    return Baseline(
        response_only=share_of(half_for_ties(without), pairs.prompt),
        with_prompt=share_of(half_for_ties(margins), pairs.prompt),
        response_auc=symmetric_auc(without),
        prompt_auc=symmetric_auc(margins),
        margins=margins_C,
        decided=len(everything),
        cut=int(np.count_nonzero(corpus.responses.characters[rows] > MOST_CHARACTERS)),
    )


def check_baseline(thresholds: Thresholds, baseline: Baseline | None) -> Check:
    """What the baseline says about the data."""
    title = "What a bag of words can guess"
    if baseline is None:
        return Check(
            Section("baseline", title, _WHY, ()), skipped="too few decided comparisons or prompts to hold some out"
        )
    alone, seeing = baseline.response_only, baseline.with_prompt
    bars = Bars(
        title="How often a bag of n-grams is right on held-out prompts",
        axis="accuracy",
        names=("response alone", "prompt and response"),
        values=(alone.value, seeing.value),
        intervals=((alone.low, alone.high), (seeing.low, seeing.high)),
        labels=(
            f"response alone: {alone}, AUC {baseline.response_auc:.3f}",
            f"prompt and response: {seeing}, AUC {baseline.prompt_auc:.3f}",
        ),
        reference=0.5,
        reference_label="a coin toss",
    )
    facts: dict[str, Fact] = {
        "baseline.response_only": {**alone.to_fact(), "auc": baseline.response_auc},
        "baseline.with_prompt": {**seeing.to_fact(), "auc": baseline.prompt_auc},
        "baseline.pairs": alone.count,
        "baseline.decided": baseline.decided,
        "baseline.cut_responses": baseline.cut,
    }
    findings = thresholds.find(
        "response-only",
        f"Without seeing the prompt, a bag of n-grams finds the preferred response in {alone.value:.1%} of the pairs.",
        Measure(alone.value, "held-out accuracy without the prompt", alone.low, alone.high),
        cure="Look for what gives it away in the sections on length and style. Pairs of good answers to the wrong "
        "question against good answers to the right one teach a model to read the prompt.",
    )
    return Check(Section("baseline", title, _WHY, (bars, Paragraph(_scope(baseline)))), findings, facts)


def _scope(baseline: Baseline) -> str:
    used, of = baseline.response_only.count, baseline.decided
    which = f"{used:,}, evenly spaced, of {of:,}" if used < of else f"All {of:,}"
    cut = f", {baseline.cut:,} responses up to {MOST_CHARACTERS:,} characters" if baseline.cut else ""
    return (
        f"{which} decided comparisons were looked at{cut}. The model sees words, pairs of words, characters in threes "
        "and the length. Of the prompt it sees which words of the response occur in it, which share of either those "
        "are, and the response's words beside the first word of the question; it cannot tell whether an answer is "
        "right."
    )


def _classifier(pairs: int) -> Any:
    """Averaged stochastic gradient descent: the less data, the stronger the prior."""
    return SGDClassifier(
        loss="log_loss",
        alpha=min(1e-2, 2 / pairs),
        fit_intercept=False,
        average=True,
        max_iter=max(3, min(_PASSES, _PASSES * 10_000 // pairs)),
        tol=None,
        random_state=0,
    )
