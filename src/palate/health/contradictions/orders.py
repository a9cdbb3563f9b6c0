"""Whether comparisons can all be right at once: a reward is a number, and numbers have an order.

An edge says that one text is better than another. Edges agree with an order of the texts unless they form cycles.

Shape legend: E edges, N texts.
"""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_WORK = 20_000_000  # products held at once
_SWEEPS, _POLISHED = 10, 3000  # over the texts of a component, and the largest for which they take seconds
_TRIES = 200  # edges from which a short cycle is looked for


def in_cycles(winner: Ints, loser: Ints, texts: int) -> Bools:
    """[E], whether an edge lies on a cycle: whether its ends are in one strongly connected component.

    Args:
        winner: [E], numbers of texts.
        loser: [E].
        texts: N.

    >>> in_cycles(np.array([0, 1, 2, 2]), np.array([1, 2, 0, 3]), 4).tolist()
    [True, True, True, False]
    """
    component = _components(winner, loser, texts)
    cyclic: Bools = component[winner] == component[loser]
    return cyclic


def triangles(winner: Ints, loser: Ints, texts: int) -> tuple[int, int]:
    """How many threes of texts are all compared with each other, and how many of those form a cycle.

    Each pair of texts may have one edge. With labels that are wrong with a probability of p, each for itself, p (1 - p)
    of the threes are cyclic; a quarter are where labels say nothing (Kendall and Babington Smith, Biometrika 1940).

    >>> triangles(np.array([0, 1, 2, 2, 1]), np.array([1, 2, 0, 3, 3]), 4)
    (2, 1)
    """
    beats = _graph(winner, loser, texts)
    either = beats + beats.T
    return _paths_closed(either, either) // 6, _paths_closed(beats, beats.T) // 3


def against_order(winner: Ints, loser: Ints, texts: int) -> Bools:
    """[E], edges that an order of the texts has to leave unsatisfied; nearly as few as possible.

    Fewest is a hard problem. Here each strongly connected component is put in the order of wins less losses, and single
    texts are then moved to where they are best, as long as that helps (components of up to 3,000 texts).

    >>> against_order(np.array([0, 1, 2, 2]), np.array([1, 2, 0, 3]), 4).tolist()
    [False, False, True, False]
    """
    component = _components(winner, loser, texts)
    cyclic = np.flatnonzero(component[winner] == component[loser])
    against = np.zeros(len(winner), np.bool_)
    order = cyclic[np.argsort(component[winner[cyclic]], kind="stable")]
    cuts = np.flatnonzero(np.diff(component[winner[order]])) + 1
    for edges in np.split(order, cuts) if len(order) else []:
        names, ends = np.unique(np.stack([winner[edges], loser[edges]]), return_inverse=True)
        better, worse = ends.reshape(2, -1)
        place = _order(better, worse, len(names))
        against[edges] = place[better] > place[worse]
    return against


def short_cycles(winner: Ints, loser: Ints, texts: int, most: int) -> Iterator[list[int]]:
    """Up to `most` cycles, shortest first, each as the numbers of its edges in order.

    Looked for from the first edges that lie on any.

    >>> [cycle] = short_cycles(np.array([0, 1, 2, 2]), np.array([1, 2, 0, 3]), 4, most=5)
    >>> cycle
    [0, 1, 2]
    """
    edges = np.flatnonzero(in_cycles(winner, loser, texts))
    out: dict[int, list[int]] = {}
    for edge in edges.tolist():
        out.setdefault(int(winner[edge]), []).append(edge)
    seen: set[int] = set()
    found = []
    for edge in edges[:_TRIES].tolist():
        if edge not in seen:
            cycle = [edge, *_way(int(loser[edge]), int(winner[edge]), out, loser)]
            seen.update(cycle)
            found.append(cycle)
    yield from sorted(found, key=len)[:most]


def _way(start: int, goal: int, out: dict[int, list[int]], loser: Ints) -> list[int]:
    """The fewest edges from one text to another, by breadth-first search."""
    came: dict[int, int] = {}
    before: dict[int, int] = {start: start}
    waiting = deque([start])
    while waiting:
        text = waiting.popleft()
        for edge in out.get(text, ()):
            to = int(loser[edge])
            if to not in before:
                before[to], came[to] = text, edge
                waiting.append(to)
        if goal in before:
            break
    way = []
    while goal != start:
        way.append(came[goal])
        goal = before[goal]
    return way[::-1]


def _order(winner: Ints, loser: Ints, texts: int) -> Ints:
    """[N], each text's place."""
    beats = _graph(winner, loser, texts)
    beaten = csr_array(beats.T)
    order = np.argsort(np.diff(beaten.indptr) - np.diff(beats.indptr), kind="stable")
    place = np.empty(texts, np.int64)
    for _ in range(_SWEEPS if texts <= _POLISHED else 0):
        before = order.copy()
        for text in range(texts):
            now = int(np.flatnonzero(order == text)[0])
            rest = np.delete(order, now)
            place[rest] = np.arange(texts - 1)
            # standing behind one that it beats costs one, and behind one that beats it saves one
            step = np.zeros(texts, np.int64)
            step[place[beats.indices[beats.indptr[text] : beats.indptr[text + 1]]] + 1] += 1
            step[place[beaten.indices[beaten.indptr[text] : beaten.indptr[text + 1]]] + 1] -= 1
            cost = np.cumsum(step)
            if cost.min() < cost[now]:
                order = np.insert(rest, int(cost.argmin()), text)
        if (order == before).all():
            break
    place[order] = np.arange(texts)
    return place


def _components(winner: Ints, loser: Ints, texts: int) -> Ints:
    _, component = connected_components(_graph(winner, loser, texts), directed=True, connection="strong")
    numbers: Ints = component.astype(np.int64)
    return numbers


def _graph(winner: Ints, loser: Ints, texts: int) -> csr_array:
    return csr_array((np.ones(len(winner), np.int64), (winner, loser)), shape=(texts, texts))


def _paths_closed(one: csr_array, back: csr_array) -> int:
    """The sum over all i, j of (one @ one)[i, j] back[i, j], some rows at a time."""
    work = one @ np.diff(one.indptr)
    block = np.cumsum(work) // _WORK
    bounds = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), one.shape[0]]
    total = 0
    for start, end in pairwise(bounds):
        total += int(((one[start:end] @ one) * back[start:end]).sum())
    return total
