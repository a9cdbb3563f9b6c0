"""Responses that are chosen on one side of the data and rejected on the other.

Shape legend: R responses, C comparisons.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.corpus import Corpus
from palate.health.leaks.repeats import prompt_and_response_keys
from palate.health.tables import Comparisons
from palate.health.texts.words import mixed

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Turned:
    """Comparisons of the other data whose label the data contradicts.

    Attributes:
        decided: comparisons of the other data with a right answer.
        comparison: those with a response that the data has with the same prompt, always in the other role.
        earlier: for each of them, a comparison of the data in which the response has the other role.
        pairs: how many of them are the very same two responses, turned round.
        anywhere: comparisons with a response that the data has in the other role with whatever prompt. Where answers
            to other questions are used as bad answers, there are many of those, and nothing is wrong.
    """

    decided: int
    comparison: Ints
    earlier: Ints
    pairs: int
    anywhere: int


def turned(corpus: Corpus) -> Turned:
    """Compare the labels of both sides.

    A response that the data has in both roles, as those in the middle of a ranking are, contradicts nothing.
    """
    labels = corpus.comparisons
    against = corpus.groups.against[labels.group]
    ours, theirs = np.flatnonzero(labels.decided & ~against), np.flatnonzero(labels.decided & against)
    keys = prompt_and_response_keys(corpus)
    earlier = _contradicted(keys, labels, ours, theirs)
    same_pair = np.isin(
        _pair(keys, labels.winner[theirs], labels.loser[theirs]), _pair(keys, labels.loser[ours], labels.winner[ours])
    )
    return Turned(
        decided=len(theirs),
        comparison=theirs[earlier >= 0],
        earlier=ours[earlier[earlier >= 0]],
        pairs=int(same_pair.sum()),
        anywhere=int((_contradicted(corpus.responses.key, labels, ours, theirs) >= 0).sum()),
    )


def _contradicted(keys: Keys, labels: Comparisons, ours: Ints, theirs: Ints) -> Ints:
    """For each of their comparisons one of ours that has a response of it in the other role, or -1."""
    winner = _other_role(keys, labels.winner[theirs], labels.loser[ours], labels.winner[ours])
    loser = _other_role(keys, labels.loser[theirs], labels.winner[ours], labels.loser[ours])
    return np.where(winner >= 0, winner, loser)


def _other_role(keys: Keys, asked: Ints, other: Ints, same: Ints) -> Ints:
    """For each response asked, the place in `other` of an equal one, or -1; -1 too where `same` has an equal one."""
    if not len(other):
        return np.full(len(asked), -1)
    order = np.argsort(keys[other], kind="stable")
    place = order[np.minimum(np.searchsorted(keys[other], keys[asked], sorter=order), len(other) - 1)]
    hit = (keys[other[place]] == keys[asked]) & ~np.isin(keys[asked], keys[same])
    return np.where(hit, place, -1)


def _pair(keys: Keys, winner: Ints, loser: Ints) -> Keys:
    return mixed(keys[winner] * np.uint64(3) + keys[loser])
