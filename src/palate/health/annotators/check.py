"""Who made the labels, how far they agree, and what that allows a reward model to learn."""

import numpy as np

from palate.health.annotators.agreement import agreement, votes_per_comparison
from palate.health.annotators.ballots import Ballots, ballots_of
from palate.health.annotators.habits import pace, position
from palate.health.annotators.voters import ENOUGH, WORSE, Agreement, agreement_with_rest
from palate.health.corpus import Corpus
from palate.health.parts import Part, joined
from palate.health.tables import Ints
from palate.health.thresholds import Thresholds
from palate.metrics import effective_number, gini, wilson_interval
from palate.report.findings import Block, Check, Fact, Measure, Paragraph, Section, Table
from palate.report.plots import Line, Lines, Scatter

_TITLE = "Annotators and agreement"
_WHY = (
    "A label is somebody's opinion, and a reward model learns the opinions of whoever gave most of them. How far "
    "people agree says how much there is to be learned, and who differs from all others whose labels to read again."
)
_SHOWN = 10  # rows of a table of annotators
_POINTS = 2000  # of a scatter plot


def check_annotators(corpus: Corpus, thresholds: Thresholds) -> Check:
    """Votes per comparison, agreement and its ceiling, and what single annotators do.

    Args:
        corpus: all data; only votes on comparisons that are not there to be compared with count.
        thresholds: for `few-votes`, `low-agreement`, `dominant-annotator`, `deviant-annotators`, `position-bias` and
            `hasty-annotators`.
    """
    ballots = ballots_of(corpus)
    if not len(ballots.item):
        section = Section("annotators", _TITLE, _WHY, (Paragraph("The data has no votes."),))
        return Check(section, skipped="no votes in the data")
    parts = [votes_per_comparison(ballots, thresholds), agreement(corpus, ballots, thresholds)]
    if ballots.anonymous and len(ballots.names) > 1:
        text = "No annotator voted twice, or the data does not name them: nothing can be said about single ones."
        parts.append(Part((Paragraph(text),), (), {"named": False}))
    else:
        parts += [_workload(ballots, thresholds), _deviants(ballots, thresholds), pace(ballots, thresholds)]
    parts.append(position(ballots, thresholds))
    return joined("annotators", _TITLE, _WHY, parts)


def dominance(votes: Ints) -> float:
    """How far the busiest annotator's share s of the votes lies above an even share 1/A: (s - 1/A) / (1 - 1/A).

    0 where all have the same, 1 where one has everything, a single annotator included. An even share has to come off:
    each of five people who share the work holds 20 % of it, and nobody dominates.

    >>> dominance(np.array([20, 20, 20, 20, 20])), dominance(np.array([90, 10])), dominance(np.array([7]))
    (0.0, 0.8, 1.0)
    """
    if len(votes) == 1:
        return 1.0
    even = 1 / len(votes)
    return round(float((votes.max() / votes.sum() - even) / (1 - even)), 12)


def _workload(ballots: Ballots, thresholds: Thresholds) -> Part:
    """`dominant-annotator`."""
    votes_A = ballots.per_annotator
    busiest = int(votes_A.argmax())
    share = float(votes_A[busiest] / votes_A.sum())
    excess = dominance(votes_A)
    facts: dict[str, Fact] = {
        "named": True,
        "busiest": ballots.names[busiest],
        "busiest_votes": int(votes_A[busiest]),
        "busiest_share": share,
        "dominance": excess,
        "gini": gini(votes_A),
        "effective_annotators": effective_number(votes_A),
    }
    finding = thresholds.find(
        "dominant-annotator",
        f"Annotator {ballots.names[busiest]} cast {share:.0%} of the votes; spread evenly over all "
        f"{len(votes_A):,} it would be {1 / len(votes_A):.1%}",
        Measure(excess, "share of the votes beyond an even one: 0 where all cast as many, 1 where one person cast all"),
        cure="A model trained on this learns that person's taste, and a test set of the same mixture does not show it. "
        "Split by annotator to see how much of the accuracy is left on other people's labels.",
        command="palate data split PREFS --by annotator --out DIR",
        count=int(votes_A[busiest]),
    )
    text = (
        f"The busiest annotator cast {share:.1%} of the votes. By concentration, the {len(votes_A):,} annotators are "
        f"worth {facts['effective_annotators']:.1f} who are equally busy; the Gini coefficient is {facts['gini']:.2f}."
    )
    return Part((Paragraph(text), _lorenz(votes_A)), finding, facts)


def _lorenz(votes_A: Ints) -> Block:
    ordered = np.sort(votes_A)
    held = np.concatenate([[0.0], np.cumsum(ordered) / ordered.sum()])
    places = np.unique(np.linspace(0, len(ordered), min(200, len(ordered) + 1)).round().astype(int))
    line = Line("annotators", tuple((places / len(ordered)).tolist()), tuple(held[places].tolist()))
    axes = "share of annotators, least busy first", "share of votes"
    return Lines("How the votes are spread over annotators (diagonal: evenly)", *axes, (line,), diagonal=True)


def _deviants(ballots: Ballots, thresholds: Thresholds) -> Part:
    """`deviant-annotators`."""
    rest = agreement_with_rest(ballots)
    if rest is None:
        return Part((Paragraph("No comparison was judged by several annotators."),), (), {"agreement_with_rest": None})
    votes_A = ballots.per_annotator
    share = float(votes_A[rest.odd].sum() / votes_A.sum())
    names = [ballots.names[who] for who in np.flatnonzero(rest.odd)]
    facts: dict[str, Fact] = {
        "agreement_with_rest": rest.usual,
        "tested": int((rest.judged >= ENOUGH).sum()),
        "deviants": len(names),
        "deviant_votes": share,
    }
    finding = thresholds.find(
        "deviant-annotators",
        f"{len(names):,} of {facts['tested']:,} annotators with {ENOUGH} votes or more agree with the others by over "
        f"{WORSE:.0%} less than is usual ({rest.usual:.0%}); they cast {share:.1%} of the votes",
        Measure(share, "share of votes by annotators who agree with the others less than is usual"),
        cure="Read some of their labels: they may be careless, or may have understood the task otherwise. A model of "
        "who is reliable gives their votes less weight.",
        command="palate data aggregate PREFS --method mace --out FILE",
        count=len(names),
    )
    order = np.lexsort((rest.shrunk, ~rest.odd))
    deviant = [who for who in order if rest.judged[who] >= ENOUGH][:_SHOWN]
    busiest = [who for who in np.argsort(-votes_A, kind="stable") if rest.judged[who]][:_SHOWN]
    blocks: tuple[Block, ...] = (_people(ballots, rest, busiest, "The busiest annotators"),)
    if deviant:
        blocks += (
            _people(ballots, rest, deviant, f"Least agreement with the others, of those with {ENOUGH} votes or more"),
            _scatter(ballots, rest),
        )
    return Part(blocks, finding, facts)


def _people(ballots: Ballots, rest: Agreement, shown: list[int], caption: str) -> Block:
    votes_A = ballots.per_annotator
    rows: list[tuple[str | float | int | None, ...]] = []
    for who in shown:
        interval = wilson_interval(float(rest.agreed[who]), int(rest.judged[who]))
        share = float(rest.agreed[who] / rest.judged[who])
        odd = "deviant" if rest.odd[who] else ""
        rows.append(
            (ballots.names[who], int(votes_A[who]), share, interval.low, interval.high, float(rest.shrunk[who]), odd)
        )
    columns = ("annotator", "votes", "agrees with the others", "low", "high", "drawn to the mean", "")
    return Table(columns, tuple(rows), caption, len(ballots.names) - len(rows))


def _scatter(ballots: Ballots, rest: Agreement) -> Block:
    votes_A = ballots.per_annotator
    enough = np.flatnonzero(rest.judged >= ENOUGH)
    shown = enough[np.argsort(-votes_A[enough], kind="stable")][:_POINTS]
    cut = f", the {_POINTS:,} busiest" if len(enough) > _POINTS else ""
    return Scatter(
        f"Agreement with the others against activity (annotators with {ENOUGH} votes or more{cut})",
        "votes, logarithm to base 10",
        "share of votes that agree with the others",
        tuple(np.log10(votes_A[shown]).tolist()),
        tuple((rest.agreed[shown] / rest.judged[shown]).tolist()),
        tuple(f"{ballots.names[who]}: {votes_A[who]:,} votes" for who in shown),
    )
