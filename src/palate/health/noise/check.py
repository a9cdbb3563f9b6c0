"""Labels that are probably wrong, ranked for somebody to look at, and how many there may be in all.

Shape legend: C comparisons, A decided comparisons, D those of them that have a margin.
"""

import numpy as np

from palate.health.corpus import Corpus
from palate.health.noise.flips import FlipModel, fit_flips, minority_probability, wrong_probability
from palate.health.pairs import DecidedPairs, decided_pairs, half_for_ties
from palate.health.tables import Floats, Ints
from palate.health.thresholds import Thresholds
from palate.report.findings import Block, Check, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Histogram

LISTED = 200
"""Suspects in `noise.suspects`, the likeliest first."""
_SHOWN, _EXAMPLES, _BINS = 20, 10, 40

_WHY = (
    "A wrong label teaches a reward model the opposite of what was meant, and puts a limit on the accuracy that any "
    "model can have on such data. Labels that contradict a model which has not seen them are the ones to look at first."
)


def check_noise(corpus: Corpus, thresholds: Thresholds, margins: Floats | None = None, scores_from: str = "") -> Check:
    """Rank labels by the probability that they are wrong, and estimate the share that is.

    Args:
        corpus: the data.
        thresholds: what `label-noise` is held to.
        margins: [C], reward of the labelled winner minus the loser by a model that was not fitted to the pair, in any
            unit; NaN where there is none. Without them labels are ranked by their votes alone.
        scores_from: whose margins they are, for people: `the n-gram baseline`, `runs/rm`.
    """
    section = Section("noise", "Labels that may be wrong", _WHY, ())
    pairs = decided_pairs(corpus)
    minority = vote_minority(corpus)[pairs.comparison]
    margin = np.full(len(pairs), np.nan) if margins is None else margins[pairs.comparison]
    rows = np.flatnonzero(np.isfinite(margin))
    if len(rows) and margin[rows].any():
        contested = _contested(minority[rows])
        fit = fit_flips(margin[rows], pairs.prompt[rows], contested)
        suspicion = np.zeros(len(pairs))
        suspicion[rows] = wrong_probability(margin[rows], fit, contested)
        blocks = (*_estimate(fit, margin[rows], scores_from), _histogram(margin[rows], scores_from))
        facts = _fit_facts(fit, margin[rows], scores_from)
    elif np.isfinite(minority).any():
        fit, suspicion, rows = None, np.nan_to_num(minority), np.flatnonzero(np.isfinite(minority))
        blocks, facts = (Paragraph("No model's margins were given: labels are ranked by their votes."),), {}
    else:
        return Check(section, skipped="no margins of a model, and no votes")
    ranked = rows[np.argsort(-suspicion[rows], kind="stable")]
    table = _table(corpus, pairs, ranked, suspicion, margin)
    facts |= {
        "noise.labels": len(rows),
        "noise.without_margin": len(pairs) - len(rows),
        "noise.with_votes": int(np.isfinite(minority[rows]).sum()),
        "noise.suspects": _suspects(corpus, pairs, ranked[:LISTED], suspicion),
    }
    findings = _finding(corpus, thresholds, pairs, ranked, suspicion, fit) if fit else ()
    return Check(Section(section.key, section.title, _WHY, (*blocks, table)), findings, facts)


def vote_minority(corpus: Corpus) -> Floats:
    """[C], the probability by the votes alone that most people would prefer the loser; NaN without votes.

    See `palate.health.noise.flips.minority_probability`; ties are no votes for either.
    """
    comparisons, votes = corpus.comparisons, corpus.votes
    number = len(comparisons.group)
    cast_C = np.bincount(votes.comparison, minlength=number)
    for_winner = votes.preferred == comparisons.winner[votes.comparison]
    for_loser = votes.preferred == comparisons.loser[votes.comparison]
    pro_C, contra_C = (
        np.bincount(votes.comparison[side], minlength=number).astype(np.int64) for side in (for_winner, for_loser)
    )
    return np.where(cast_C > 0, minority_probability(pro_C, contra_C), np.nan)


def _contested(minority_D: Floats) -> Floats | None:
    """Relative to the mean of those that have votes, 1 for the others; None where that tells none from another."""
    known = np.isfinite(minority_D)
    if not known.any() or np.ptp(minority_D[known]) == 0:
        return None
    return np.where(known, minority_D / minority_D[known].mean(), 1.0)


def _finding(
    corpus: Corpus,
    thresholds: Thresholds,
    pairs: DecidedPairs,
    ranked: Ints,
    suspicion_A: Floats,
    fit: FlipModel,
) -> tuple[Finding, ...]:
    likely = int(np.count_nonzero(suspicion_A > 0.5))
    return thresholds.find(
        "label-noise",
        f"An estimated {fit.rate:.1%} of the labels are wrong.",
        Measure(fit.rate, "estimated share of wrong labels", fit.low, fit.high),
        cure="Have the pairs at the top of the list judged again, then train with --label-smoothing at about the share "
        "that remains.",
        count=likely,
        examples=tuple(
            corpus.example(int(pairs.comparison[row]), f"wrong with probability {suspicion_A[row]:.2f}")
            for row in ranked[:_EXAMPLES]
        ),
    )


def _estimate(fit: FlipModel, margin_D: Floats, scores_from: str) -> tuple[Block, ...]:
    right = float(half_for_ties(margin_D).mean())
    return (
        Paragraph(
            f"Margins of {scores_from or 'a model'} agree with {right:.1%} of {len(margin_D):,} labels. If they are "
            "its log-odds up to a factor, and labels are turned round whatever they are about, "
            f"{fit.rate:.1%} of them are [{fit.low:.1%}, {fit.high:.1%}]. A model that is systematically wrong about "
            "something makes the share too large; labels that are wrong in a way that it has learned are not found."
        ),
    )


def _histogram(margin_D: Floats, scores_from: str) -> Histogram:
    reach = float(np.quantile(np.abs(margin_D), 0.995)) or 1.0
    edges = np.linspace(-reach, reach, _BINS + 1)
    counts, _ = np.histogram(np.clip(margin_D, -reach, reach), edges)
    return Histogram(
        title="By how much a model that has not seen the labels agrees with them",
        axis=f"margin of the labelled winner{f', by {scores_from}' if scores_from else ''}",
        edges=tuple(edges.tolist()),
        counts=(("labels", tuple(counts.astype(float).tolist())),),
        marker=0.0,
        marker_label="disagreement on the left",
    )


def _table(corpus: Corpus, pairs: DecidedPairs, ranked: Ints, suspicion_A: Floats, margin_A: Floats) -> Table:
    return Table(
        ("where", "id", "probability that it is wrong", "margin"),
        tuple(
            (
                corpus.where(int(group)),
                corpus.id(int(group)),
                float(suspicion_A[row]),
                float(margin_A[row]) if np.isfinite(margin_A[row]) else None,
            )
            for row in ranked[:_SHOWN]
            for group in (corpus.comparisons.group[pairs.comparison[row]],)
        ),
        "labels to look at first",
        omitted=max(0, len(ranked) - _SHOWN),
    )


def _suspects(corpus: Corpus, pairs: DecidedPairs, rows: Ints, suspicion_A: Floats) -> list[Fact]:
    comparisons, start = corpus.comparisons, corpus.groups.start
    suspects: list[Fact] = []
    for row in rows:
        comparison = int(pairs.comparison[row])
        group = int(comparisons.group[comparison])
        suspects.append(
            {
                "where": corpus.where(group),
                "id": corpus.id(group),
                "winner": int(comparisons.winner[comparison] - start[group]),
                "loser": int(comparisons.loser[comparison] - start[group]),
                "probability": float(suspicion_A[row]),
            }
        )
    return suspects


def _fit_facts(fit: FlipModel, margin_D: Floats, scores_from: str) -> dict[str, Fact]:
    return {
        "noise.scores_from": scores_from,
        "noise.agreement": float(half_for_ties(margin_D).mean()),
        "noise.temperature": 1 / fit.scale,
        "noise.wrong": fit.rate,
        "noise.wrong_low": fit.low,
        "noise.wrong_high": fit.high,
        "noise.wrong_contested": fit.contested,
    }
