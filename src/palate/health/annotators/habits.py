"""Habits of annotators: which side they prefer, whatever stands there, and how fast they vote."""

import numpy as np

from palate.health.annotators.ballots import Ballots
from palate.health.annotators.voters import (
    HASTY,
    ONE_SIDED,
    FirstShown,
    first_share,
    preference_for_first,
    time_per_vote,
)
from palate.health.parts import Part
from palate.health.thresholds import Thresholds
from palate.metrics import Estimate, item_bootstrap
from palate.report.findings import Block, Fact, Measure, Paragraph, Table

_SHOWN = 10  # rows of a table


def position(ballots: Ballots, thresholds: Thresholds) -> Part:
    """`position-bias`."""
    first = preference_for_first(ballots)
    if first is None:
        return Part((Paragraph("The data does not say which response was shown first."),), (), {"first_wins": None})
    share = item_bootstrap(first_share, first.items)
    lean = _distance(share)
    facts: dict[str, Fact] = {
        "first_wins": share.value,
        "first_wins_low": share.low,
        "first_wins_high": share.high,
        "first_votes": int(first.seen.sum()),
        "one_sided": int(first.odd.sum()),
    }
    side = "first" if share.value >= 0.5 else "second"
    won = max(share.value, 1 - share.value)
    finding = thresholds.find(
        "position-bias",
        f"The response that was shown {side} is preferred in {won:.1%} of the votes that take a side",
        Measure(
            lean.value, "distance from one half of the share that prefer what was shown first", lean.low, lean.high
        ),
        cure="Show every pair in both orders, or in an order that is drawn for each annotator, and count both. Where "
        "the order follows from something else, such as who wrote the response, this is no bias of position.",
        count=int(first.seen.sum()),
    )
    text = (
        f"The response shown first is preferred in {share.value:.1%} of {first.seen.sum():,} votes ({share.low:.1%} to "
        f"{share.high:.1%}). {first.odd.sum():,} annotators differ from that by more than {ONE_SIDED:.0%}."
    )
    return Part((Paragraph(text), *_one_sided(ballots, first)), finding, facts)


def _distance(share: Estimate) -> Estimate:
    """From one half, with the interval's ends in their order: the nearer one is 0 where the interval holds one half."""
    ends = sorted((abs(share.low - 0.5), abs(share.high - 0.5)))
    return Estimate(abs(share.value - 0.5), 0.0 if share.low <= 0.5 <= share.high else ends[0], ends[1])


def _one_sided(ballots: Ballots, first: FirstShown) -> tuple[Block, ...]:
    odd = np.flatnonzero(first.odd)
    order = odd[np.argsort(-first.seen[odd], kind="stable")][:_SHOWN]
    rows = tuple(
        (ballots.names[who], int(first.seen[who]), float(first.chosen[who] / first.seen[who])) for who in order
    )
    caption = "Annotators with a leaning of their own to one side"
    columns = ("annotator", "votes that take a side", "for what was shown first")
    return (Table(columns, rows, caption, len(odd) - len(rows)),) if rows else ()


def pace(ballots: Ballots, thresholds: Thresholds) -> Part:
    """`hasty-annotators`."""
    found = time_per_vote(ballots)
    if found is None:
        return Part((), (), {"seconds": None})
    votes_A = ballots.per_annotator
    share = float(votes_A[found.odd].sum() / votes_A.sum())
    hasty = np.flatnonzero(found.odd)
    facts: dict[str, Fact] = {"seconds": found.typical, "hasty": len(hasty), "hasty_votes": share}
    finding = thresholds.find(
        "hasty-annotators",
        f"{len(hasty):,} annotators vote over {HASTY:g} times as fast as the typical one ({found.typical:.0f} seconds) "
        f"and cast {share:.1%} of the votes",
        Measure(share, "share of votes by annotators who are far faster than the others"),
        cure="Nobody reads two responses that fast. See whether they agree with the others, and leave their votes out "
        "where they do not.",
        command="palate data aggregate PREFS --method mace --out FILE",
        count=len(hasty),
    )
    order = hasty[np.argsort(found.median[hasty])][:_SHOWN]
    rows = tuple((ballots.names[who], int(votes_A[who]), float(found.median[who])) for who in order)
    table = Table(("annotator", "votes", "median seconds"), rows, "Hasty annotators", len(hasty) - len(rows))
    text = Paragraph(f"The typical annotator takes {found.typical:.0f} seconds for a vote.")
    return Part((text, table) if rows else (text,), finding, facts)
