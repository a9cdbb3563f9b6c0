"""Which groups form an optimiser step, and which share a row: integers only, no tensors.

Two decisions, kept apart. A **step** is statistical: whole groups in a shuffled order, cut so that each holds
as near to the wanted number of comparisons as whole groups allow. A **pack** is computational: the groups of a
step laid into rows of at most a token budget, by best-fit decreasing. Because the step decides what is averaged,
the budget changes speed and memory, never the trajectory.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Indices = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One optimiser step: which epoch it belongs to and which groups it takes, in order."""

    epoch: int
    groups: Indices


def plan_steps(
    comparisons: Sequence[int], pairs_per_step: int, *, epochs: int, seed: int, max_steps: int | None = None
) -> tuple[StepPlan, ...]:
    """Cut each epoch's shuffled groups into steps; a pure function of its arguments, so any step can be resumed.

    Args:
        comparisons: number of comparisons of each group; groups without any are left out.
        pairs_per_step: wanted comparisons a step; a step ends where the next group would carry it further away.
        epochs: passes over the data.
        seed: of the shuffle; epoch e uses (seed, e).
        max_steps: stop after that many.

    >>> [step.groups for step in plan_steps([1] * 5, 2, epochs=1, seed=0)]
    [(2, 4), (3, 0), (1,)]
    """
    steps: list[StepPlan] = []
    usable = np.flatnonzero(np.asarray(comparisons))
    for epoch in range(epochs):
        order = np.random.default_rng((seed, epoch)).permutation(usable)
        current: list[int] = []
        count = 0
        for group in order.tolist():
            size = comparisons[group]
            if current and abs(count + size - pairs_per_step) > abs(count - pairs_per_step):
                steps.append(StepPlan(epoch, tuple(current)))
                current, count = [], 0
            current.append(group)
            count += size
        if current:
            steps.append(StepPlan(epoch, tuple(current)))
        if max_steps is not None and len(steps) >= max_steps:
            break
    return tuple(steps[:max_steps])


def pack(tokens: Sequence[int], budget: int, *, num_ranks: int = 1) -> tuple[Indices, ...]:
    """Best-fit decreasing: positions in `tokens` laid into bins of at most `budget` tokens.

    An item above the budget gets a bin of its own. With several ranks the number of bins is a multiple of
    `num_ranks` (the largest bins are halved, empty bins come last), and bins are sorted by load, so that the
    ranks' bins of a round weigh about the same and every rank runs equally many.

    >>> pack([5, 4, 3, 3], 8)
    ((0, 2), (1, 3))
    """
    bins: list[list[int]] = []
    loads: list[int] = []
    room: list[tuple[int, int]] = []  # (room left, bin), sorted
    for item in sorted(range(len(tokens)), key=lambda i: (-tokens[i], i)):
        at = bisect_left(room, (tokens[item], -1))
        if at < len(room):
            left, target = room.pop(at)
        else:
            left, target = budget, len(bins)
            bins.append([])
            loads.append(0)
        bins[target].append(item)
        loads[target] += tokens[item]
        insort(room, (left - tokens[item], target))
    while len(bins) % num_ranks:
        _split_largest(bins, tokens)
    return tuple(tuple(items) for items in sorted(bins, key=lambda items: -_load(items, tokens)))


def _load(items: Sequence[int], tokens: Sequence[int]) -> int:
    return sum(tokens[item] for item in items)


def _split_largest(bins: list[list[int]], tokens: Sequence[int]) -> None:
    candidates = [index for index, items in enumerate(bins) if len(items) > 1]
    if not candidates:
        bins.append([])
        return
    largest = max(candidates, key=lambda index: _load(bins[index], tokens))
    items = bins[largest]
    bins[largest], other = items[::2], items[1::2]
    bins.append(other)
