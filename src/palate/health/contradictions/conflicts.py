"""Which comparisons of the data cannot all be right, over all groups that share a prompt.

Responses are told apart by prompt and text, letter for letter: two groups with the same prompt are one set of
responses, and the same words in capitals are another response.

Shape legend: C comparisons of the data, P distinct pairs of texts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.health.contradictions.orders import against_order, in_cycles, short_cycles, triangles
from palate.health.corpus import Corpus
from palate.health.leaks.repeats import prompt_and_response_keys
from palate.health.texts.neighbours import NEAR, Neighbours

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Labels:
    """The comparisons of the data, by what is compared.

    Attributes:
        row: [C], their numbers in the corpus.
        pair: [C], number of the pair of texts, whichever won.
        forward: [C], whether the text of the smaller number won.
        decided: [C], whether one of two different texts won.
        identical: [C], whether both are one text.
        same_but_form: [C], whether they differ in case, Unicode form or white space alone.
        low, high: [P], numbers of the texts of a pair.
        texts: how many texts there are.
    """

    row: Ints
    pair: Ints
    forward: Bools
    decided: Bools
    identical: Bools
    same_but_form: Bools
    low: Ints
    high: Ints
    texts: int


@dataclass(frozen=True, slots=True)
class Conflicts:
    """Comparisons by their numbers in the corpus, and what there is to count.

    Attributes:
        comparisons: all of them.
        decided: those in which one of two different texts wins.
        pairs: distinct pairs of texts among the decided.
        turned: the decided comparisons of pairs that go both ways.
        turned_pairs: [.., 2], of each such pair a comparison for each way, the earlier first.
        repeated: [.., 2], an earlier comparison and one that repeats it, outcome included.
        margins: [.., 2], of pairs with different margins for the same winner the least and the largest.
        identical: comparisons of a text with itself.
        same_but_form: comparisons of texts that differ in case, Unicode form or white space alone, which may be the
            very point of them.
        alike: comparisons of near-duplicates.
        ordered: pairs with more comparisons one way than the other: what can form cycles.
        in_cycles: how many of those lie on a cycle.
        against_order: how many of those the best order found leaves unsatisfied.
        threes, cyclic_threes: texts all compared with each other; those of them that form a cycle.
        cycles: the comparisons of some cycles, shortest first.
    """

    comparisons: int
    decided: int
    pairs: int
    turned: Ints
    turned_pairs: Ints
    repeated: Ints
    margins: Ints
    identical: Ints
    same_but_form: Ints
    alike: Ints
    ordered: int
    in_cycles: int
    against_order: int
    threes: int
    cyclic_threes: int
    cycles: tuple[tuple[int, ...], ...]


def labels_of(corpus: Corpus) -> Labels:
    """The comparisons of the data proper."""
    every = corpus.comparisons
    row = np.flatnonzero(~corpus.groups.against[every.group])
    names, text = np.unique(prompt_and_response_keys(corpus), return_inverse=True)
    winner, loser = text[every.winner[row]], text[every.loser[row]]
    low, high = np.minimum(winner, loser), np.maximum(winner, loser)
    normalised = corpus.responses.key[every.winner[row]] == corpus.responses.key[every.loser[row]]
    code, pair = np.unique(low * len(names) + high, return_inverse=True)
    return Labels(
        row=row,
        pair=pair,
        forward=winner == low,
        decided=every.decided[row] & (winner != loser),
        identical=winner == loser,
        same_but_form=normalised & (winner != loser),
        low=code // max(1, len(names)),
        high=code % max(1, len(names)),
        texts=len(names),
    )


def find_conflicts(corpus: Corpus, labels: Labels, *, cycles: int = 5) -> Conflicts:
    """Look for them.

    Args:
        corpus: the data.
        labels: of it.
        cycles: how many to give as examples.
    """
    ahead = np.bincount(labels.pair[labels.decided & labels.forward], minlength=len(labels.low))
    back = np.bincount(labels.pair[labels.decided & ~labels.forward], minlength=len(labels.low))
    both_ways = (ahead > 0) & (back > 0)
    turned = labels.decided & both_ways[labels.pair]
    one_way, other_way = _first_of(labels, forward=True), _first_of(labels, forward=False)
    stands_for = np.where(ahead > back, one_way, other_way)
    edge = np.flatnonzero(ahead != back)
    edge = edge[np.argsort(stands_for[edge])]  # in the order of the data, so that examples come from its beginning
    upward = ahead[edge] > back[edge]
    winner, loser = np.where(upward, [labels.low[edge], labels.high[edge]], [labels.high[edge], labels.low[edge]])
    threes, cyclic_threes = triangles(winner, loser, labels.texts)
    return Conflicts(
        comparisons=len(labels.row),
        decided=int(labels.decided.sum()),
        pairs=int((ahead + back > 0).sum()),
        turned=labels.row[turned],
        turned_pairs=_in_order(np.sort(np.stack([one_way, other_way], axis=1)[both_ways], axis=1)),
        repeated=_repeated(labels),
        margins=_margins(labels, corpus.comparisons.margin[labels.row]),
        identical=labels.row[labels.identical],
        same_but_form=labels.row[labels.same_but_form],
        alike=_alike(corpus, labels),
        ordered=len(edge),
        in_cycles=int(in_cycles(winner, loser, labels.texts).sum()),
        against_order=int(against_order(winner, loser, labels.texts).sum()),
        threes=threes,
        cyclic_threes=cyclic_threes,
        cycles=tuple(tuple(stands_for[edge[c]].tolist()) for c in short_cycles(winner, loser, labels.texts, cycles)),
    )


def _first_of(labels: Labels, *, forward: bool) -> Ints:
    """[P], the first decided comparison of each pair that goes this way, -1 where there is none."""
    first = np.full(len(labels.low), -1)
    these = np.flatnonzero(labels.decided & (labels.forward == forward))[::-1]
    first[labels.pair[these]] = labels.row[these]
    return first


def _outcome(labels: Labels) -> Ints:
    """[C], equal for comparisons of one pair with one outcome; a tie has no direction."""
    return labels.pair * 3 + np.where(labels.decided, labels.forward, 2)


def _repeated(labels: Labels) -> Ints:
    _, first, which = np.unique(_outcome(labels), return_index=True, return_inverse=True)
    later = np.flatnonzero(first[which] != np.arange(len(which)))
    return np.stack([labels.row[first[which[later]]], labels.row[later]], axis=1)


def _margins(labels: Labels, margin: NDArray[np.float64]) -> Ints:
    decided = np.flatnonzero(labels.decided)
    outcome = _outcome(labels)[decided]
    order = np.lexsort((margin[decided], outcome))
    starts = np.flatnonzero(np.diff(outcome[order], prepend=-1))
    ends = np.append(starts[1:], len(order)) - 1
    least, largest = decided[order[starts]], decided[order[ends]]
    unequal: Ints = labels.row[np.stack([least, largest], axis=1)[margin[least] < margin[largest]]]
    return _in_order(unequal)


def _in_order(pairs: Ints) -> Ints:
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


def _alike(corpus: Corpus, labels: Labels) -> Ints:
    every, bands = corpus.comparisons, corpus.responses.bands
    rows = labels.row[~(labels.identical | labels.same_but_form)]
    winner, loser = every.winner[rows], every.loser[rows]
    candidate = np.zeros(len(rows), np.bool_)
    for band in range(bands.shape[1]):
        candidate |= (bands[winner, band] == bands[loser, band]) & (bands[winner, band] != 0)
    pairs = np.stack([winner, loser], axis=1)[candidate]
    near: Ints = rows[candidate][Neighbours.plain(bands, corpus.response).similarity(pairs) >= NEAR]
    return near
