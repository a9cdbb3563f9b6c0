"""How far votes agree, and the ceiling that this puts on any reward model's accuracy."""

import math
from collections.abc import Callable

import numpy as np

from palate.health.annotators.ballots import TIE, Ballots
from palate.health.corpus import Corpus
from palate.health.parts import Part
from palate.health.tables import Floats
from palate.health.thresholds import Thresholds
from palate.metrics import (
    Estimate,
    accuracy_of_majorities,
    accuracy_of_votes,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    item_bootstrap,
    krippendorff_alpha,
    pairwise_agreement,
)
from palate.report.findings import Block, Example, Fact, Measure, Paragraph, Table
from palate.report.plots import Histogram

FEW_VOTES = 3
"""Votes below which a majority is no more than one or two opinions."""
_EXAMPLES = 5


def votes_per_comparison(ballots: Ballots, thresholds: Thresholds) -> Part:
    """How many votes there are on each comparison: `few-votes`."""
    votes_I = ballots.per_item
    few = float((votes_I < FEW_VOTES).mean())
    facts: dict[str, Fact] = {
        "votes": len(ballots.item),
        "comparisons": len(votes_I),
        "annotators": len(ballots.names),
        "votes_per_comparison": float(votes_I.mean()),
        "tie_votes": float(ballots.counts[:, TIE].sum() / len(ballots.item)),
        "few_votes": few,
    }
    most = min(int(votes_I.max()), 50)
    edges = tuple(float(votes) - 0.5 for votes in range(1, most + 2))
    heights = tuple(np.bincount(np.minimum(votes_I, most), minlength=most + 1)[1:].astype(float).tolist())
    finding = thresholds.find(
        "few-votes",
        f"{few:.0%} of the comparisons with votes have fewer than {FEW_VOTES} of them",
        Measure(few, f"share of comparisons with fewer than {FEW_VOTES} votes"),
        cure="With one or two votes nobody is outvoted: a slip of the hand is a label. Have them judged again, or "
        "leave them out.",
        command=f"palate data aggregate PREFS --min-votes {FEW_VOTES} --out FILE",
        count=int((votes_I < FEW_VOTES).sum()),
    )
    text = (
        f"{len(ballots.item):,} votes of {len(ballots.names):,} annotators on {len(votes_I):,} comparisons, "
        f"{votes_I.mean():.1f} on each; {facts['tie_votes']:.0%} of the votes are ties."
    )
    last = " (the last bar holds all above)" if votes_I.max() > most else ""
    plot = Histogram(f"Votes on each comparison{last}", "votes", edges, (("comparisons", heights),))
    return Part((Paragraph(text), plot), finding, facts)


def agreement(corpus: Corpus, ballots: Ballots, thresholds: Thresholds) -> Part:
    """Coefficients with intervals from resampling comparisons, and the ceiling: `low-agreement`."""
    counts = ballots.counts
    sides = counts[:, :TIE]
    estimates = {
        "agreement": item_bootstrap(pairwise_agreement, counts),
        "agreement_without_ties": item_bootstrap(pairwise_agreement, sides),
        "alpha": item_bootstrap(krippendorff_alpha, counts),
        "ac1": item_bootstrap(gwet_ac1, counts),
    }
    if ballots.per_item.min() == ballots.per_item.max() > 1:
        estimates["fleiss_kappa"] = item_bootstrap(fleiss_kappa, counts)
    facts: dict[str, Fact] = {"fleiss_kappa": None}  # where all comparisons have equally many votes
    for name, estimate in estimates.items():
        facts |= _facts(name, estimate)
    facts["cohen_kappa"] = _known(_kappa_of_two(ballots))
    without_ties = estimates["agreement_without_ties"]
    if math.isnan(without_ties.value):
        text = Paragraph("No two annotators took a side on the same comparison: agreement cannot be measured.")
        return Part((text,), (), facts)
    vote = _of(without_ties, accuracy_of_votes)
    ceiling = _of(without_ties, lambda value: label_ceiling(value, ballots))
    facts |= _facts("vote_accuracy", vote) | _facts("ceiling", ceiling)
    finding = thresholds.find(
        "low-agreement",
        f"Two annotators who take a side agree {without_ties.value:.0%} of the time; tossing coins would give 50 %",
        Measure(
            without_ties.value, "share of pairs of votes that agree, ties left out", without_ties.low, without_ties.high
        ),
        cure="Look at the comparisons below: unclear instructions show there. More votes on each, or a model of who is "
        "reliable, make labels better; the ceiling stays as it is until people agree more.",
        command="palate data aggregate PREFS --method mace --out FILE",
        count=int((sides.min(axis=1) > 0).sum()),
        examples=_most_split(corpus, ballots),
    )
    return Part((_table(estimates), _explained(vote, ceiling)), finding, facts)


def label_ceiling(agreement: float, ballots: Ballots) -> float:
    """Accuracy against these labels of a model that always knows the majority of infinitely many.

    A label by majority of n votes, ties left out, agrees with that one as often as `accuracy_of_majorities` says; the
    mean over comparisons that their votes decide. The bound of `accuracy_of_votes` holds for it as well.
    """
    sides = ballots.counts[:, :TIE]
    decided = sides[sides[:, 0] != sides[:, 1]].sum(axis=1)
    return float(accuracy_of_majorities(accuracy_of_votes(agreement), decided).mean()) if len(decided) else math.nan


def _of(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    return Estimate(function(estimate.value), function(estimate.low), function(estimate.high))


def _kappa_of_two(ballots: Ballots) -> float:
    """Cohen's kappa where there are exactly two annotators, on what both judged once."""
    both = ballots.per_item == 2
    if len(ballots.names) != 2 or not both.any():
        return math.nan
    kept = both[ballots.item]
    order = np.lexsort((ballots.annotator[kept], ballots.item[kept]))
    by_item = ballots.choice[kept][order].reshape(-1, 2)
    who = ballots.annotator[kept][order].reshape(-1, 2)
    once = who[:, 0] != who[:, 1]
    return cohen_kappa(by_item[once, 0], by_item[once, 1]) if once.any() else math.nan


def _facts(name: str, estimate: Estimate) -> dict[str, Fact]:
    ends = {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return {key: _known(value) for key, value in ends.items()}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


_MEANINGS = {
    "agreement": "pairs of votes that agree",
    "agreement_without_ties": "the same, tie votes left out (chance: 0.5)",
    "alpha": "Krippendorff's alpha (chance: 0)",
    "ac1": "Gwet's AC1 (chance: 0)",
    "fleiss_kappa": "Fleiss' kappa (chance: 0)",
}


def _table(estimates: dict[str, Estimate]) -> Block:
    rows = []
    for name, estimate in estimates.items():
        ends = (_known(estimate.value), _known(estimate.low), _known(estimate.high))
        rows.append((_MEANINGS[name], *ends))
    return Table(("agreement", "value", "low", "high"), tuple(rows), "95 % intervals, from resampling comparisons")


def _explained(vote: Estimate, ceiling: Estimate) -> Block:
    return Paragraph(
        "If annotators are alike and err independently, one vote agrees with what the majority of infinitely many "
        f"people would say {vote.value:.0%} of the time. A model that always knew that majority would agree with the "
        f"labels of this data in at most {ceiling.value:.1%} of the comparisons ({ceiling.low:.1%} to "
        f"{ceiling.high:.1%}), and in fewer where some are harder than others: no better judgement gets beyond that."
    )


def _most_split(corpus: Corpus, ballots: Ballots) -> tuple[Example, ...]:
    """Comparisons on which the most votes stand against each other."""
    against: Floats = ballots.counts[:, :TIE].min(axis=1).astype(np.float64)
    rows = np.argsort(-against, kind="stable")[:_EXAMPLES]
    return tuple(
        corpus.example(
            int(ballots.comparison[row]),
            "votes {} to {}, {} ties".format(
                *sorted(ballots.counts[row, :TIE].tolist(), reverse=True), ballots.counts[row, TIE]
            ),
        )
        for row in rows
        if against[row]
    )
