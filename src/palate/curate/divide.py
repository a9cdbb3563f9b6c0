"""Votes divided among sides: a comparison is on each side as the annotators of that side see it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from palate.records import Comparison, PreferenceGroup, Vote


def divide_votes(
    group: PreferenceGroup, side: Mapping[str, int], notes: Counter[str]
) -> Iterator[tuple[int, PreferenceGroup]]:
    """The group as each side sees it, which has votes on any of its comparisons.

    Each side's labels come from its own votes alone: the majority wins, `probability` is its share, a tie counts half
    for each. A label of all votes would carry what held-out annotators think into training. A margin stays only where
    the label does. A comparison without votes goes to the first side.

    Args:
        group: any group.
        side: of each annotator.
        notes: counts `unvoted` comparisons, those `divided` among sides, and `margins-dropped`.
    """
    by_side: dict[int, list[Comparison]] = {}
    for comparison in group.comparisons:
        votes: dict[int, list[Vote]] = {}
        for vote in comparison.votes:
            votes.setdefault(side[vote.annotator], []).append(vote)
        notes["unvoted"] += not votes
        notes["divided"] += len(votes) > 1
        if not votes:
            by_side.setdefault(0, []).append(comparison)
        for number, own in votes.items():
            label = relabelled(comparison, tuple(own))
            notes["margins-dropped"] += label.margin != comparison.margin
            by_side.setdefault(number, []).append(label)
    for number in sorted(by_side):
        yield number, replace(group, comparisons=tuple(by_side[number]))


def relabelled(comparison: Comparison, votes: tuple[Vote, ...]) -> Comparison:
    """The comparison with some of its votes, and the label that they give.

    >>> votes = (Vote("a", 1), Vote("b", None), Vote("c", 1))
    >>> label = relabelled(Comparison(0, 1, margin=2.0), votes)
    >>> label.winner, round(label.probability, 3), label.margin
    (1, 0.833, 0.0)
    """
    if len(votes) == len(comparison.votes):
        return comparison
    winner, loser = comparison.winner, comparison.loser
    share = sum(0.5 if vote.preferred is None else float(vote.preferred == winner) for vote in votes) / len(votes)
    if share < 0.5:
        winner, loser, share = loser, winner, 1 - share
    stays = winner == comparison.winner and share > 0.5
    margin = comparison.margin if stays else 0.0
    return replace(comparison, winner=winner, loser=loser, probability=share, margin=margin, votes=votes)
