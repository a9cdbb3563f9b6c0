"""Which groups form an optimiser step, and which share a row: integers only, no tensors.

Two decisions. A **step** is statistical: whole groups in a shuffled order, cut so that each holds as near to the
wanted number of comparisons as whole groups allow. A **pack** is computational: groups laid into rows of at most a
token budget, by best-fit decreasing.

By default the two are kept apart: a step's groups are drawn first and packed when it runs, so the budget changes speed
and memory, never the trajectory. The last pack of a step is then rarely full. With a `Packing`, groups of a large
shuffled window are packed first and a step takes whole packs, nearly all of them full; the budget then decides which
groups meet in a step.

A plan is a pure function of its arguments. It holds the arrays of one epoch at a time and makes a step when it is
asked for one, so a million groups cost megabytes and any step can be resumed at.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

import numpy as np

from palate.packing.bins import Indices, Ints, load_of, pack, split_largest

_SAMPLED = 200  # steps whose fill is measured: packing every step of a long run beforehand would take minutes


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One optimiser step.

    Attributes:
        epoch: that it belongs to.
        groups: that it takes, in order.
        packs: positions in `groups` of each row, heaviest first; empty where the step is packed when it runs.
    """

    epoch: int
    groups: Indices
    packs: tuple[Indices, ...] = ()


@dataclass(frozen=True, slots=True)
class Packing:
    """How to pack before steps are cut.

    Attributes:
        tokens: what each group costs.
        budget: tokens of a pack.
        window: groups laid into packs together.
        num_ranks: a step takes a multiple of so many packs.
    """

    tokens: Ints
    budget: int
    window: int
    num_ranks: int = 1


@dataclass(frozen=True, slots=True)
class _Epoch:
    """One epoch: groups in order, where each pack begins among them (or None), and where each step begins.

    Steps begin at groups, or, where there are packs, at packs. Both kinds of bounds end with the total.
    """

    order: Ints
    packs: Ints | None
    steps: Ints


class Plan(Sequence[StepPlan]):
    """The steps of a run, made when they are asked for; see `plan_steps`. A slice is a tuple of steps."""

    def __init__(
        self,
        comparisons: Sequence[int] | Ints,
        pairs_per_step: int,
        *,
        epochs: int,
        seed: int,
        max_steps: int | None,
        packing: Packing | None,
    ) -> None:
        self._comparisons = np.asarray(comparisons, dtype=np.int64)
        self._pairs_per_step = pairs_per_step
        self._seed = seed
        self._packing = packing
        self._starts = [0]  # first step of each epoch, then the total
        for epoch in range(epochs):
            if max_steps is not None and self._starts[-1] >= max_steps:
                break
            self._drawn = epoch, self._draw(epoch)
            self._starts.append(self._starts[-1] + len(self._drawn[1].steps) - 1)
        self._length = self._starts[-1] if max_steps is None else min(self._starts[-1], max_steps)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> StepPlan: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[StepPlan, ...]: ...
    def __getitem__(self, index: int | slice) -> StepPlan | tuple[StepPlan, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        number = range(len(self))[index]
        at = bisect_right(self._starts, number) - 1
        if self._drawn[0] != at:
            self._drawn = at, self._draw(at)
        epoch = self._drawn[1]
        first, last = epoch.steps[number - self._starts[at] :][:2]
        if epoch.packs is None:
            return StepPlan(at, tuple(epoch.order[first:last].tolist()))
        bounds = epoch.packs[first : last + 1]
        groups = epoch.order[bounds[0] : bounds[-1]]
        return StepPlan(at, tuple(groups.tolist()), self._rows(groups, bounds - bounds[0]))

    def _rows(self, groups: Ints, bounds: Ints) -> tuple[Indices, ...]:
        """Positions of each pack, heaviest pack first, so that the ranks' packs of a round weigh about the same."""
        assert self._packing is not None
        loads = np.diff(np.concatenate(([0], np.cumsum(self._packing.tokens[groups])))[bounds])
        heaviest = np.argsort(-loads, kind="stable").tolist()
        return tuple(tuple(range(bounds[i], bounds[i + 1])) for i in heaviest)

    def _draw(self, epoch: int) -> _Epoch:
        """The whole epoch; nothing but the seed and the epoch's number decides it."""
        rng = np.random.default_rng((self._seed, epoch))
        order = rng.permutation(np.flatnonzero(self._comparisons))
        if self._packing is None:
            return _Epoch(order, None, cut(self._comparisons[order], self._pairs_per_step))
        packs = _window_packs(order, self._packing)
        rng.shuffle(packs)
        _complete_last_round(packs, self._packing)
        bounds = np.cumsum([0, *map(len, packs)])
        order = np.concatenate([order[:0], *packs])
        pairs = np.concatenate(([0], np.cumsum(self._comparisons[order])))
        rounds = bounds[:: self._packing.num_ranks]
        return _Epoch(order, bounds, cut(np.diff(pairs[rounds]), self._pairs_per_step) * self._packing.num_ranks)


def plan_steps(
    comparisons: Sequence[int] | Ints,
    pairs_per_step: int,
    *,
    epochs: int,
    seed: int,
    max_steps: int | None = None,
    packing: Packing | None = None,
) -> Plan:
    """Cut each epoch's shuffled groups into steps.

    With a `Packing`, the shuffled groups of each window are laid into packs, the packs of the epoch are shuffled, and a
    step takes consecutive packs, a multiple of the number of ranks. Where an epoch's packs are no such multiple, the
    largest packs of the last incomplete round are halved until they are; only when nothing is left to halve does a rank
    get an empty one. Every group comes exactly once an epoch either way.

    Args:
        comparisons: number of comparisons of each group; groups without any are left out.
        pairs_per_step: wanted comparisons a step; a step ends where the next group (or round of packs) would carry it
            further away.
        epochs: passes over the data.
        seed: of the shuffle; epoch e uses (seed, e).
        max_steps: stop after that many.
        packing: pack before the steps are cut, instead of within each.

    >>> [step.groups for step in plan_steps([1] * 5, 2, epochs=1, seed=0)]
    [(2, 4), (3, 0), (1,)]
    >>> packing = Packing(np.array([5, 4, 3, 3, 1]), budget=8, window=5)
    >>> [(step.groups, step.packs) for step in plan_steps([1] * 5, 2, epochs=1, seed=0, packing=packing)]
    [((0, 2), ((0, 1),)), ((1, 3, 4), ((0, 1, 2),))]
    """
    return Plan(comparisons, pairs_per_step, epochs=epochs, seed=seed, max_steps=max_steps, packing=packing)


def cut(sizes: Ints, wanted: int) -> Ints:
    """Where steps begin, and the total: each sums to as near to `wanted` as whole sizes allow, in order.

    >>> cut(np.array([1, 1, 3, 1]), 2).tolist()
    [0, 2, 3, 4]
    """
    total = np.concatenate(([0], np.cumsum(sizes)))
    starts = [0]
    while starts[-1] < len(sizes):
        start = starts[-1]
        goal = total[start] + wanted
        end = int(np.searchsorted(total, goal, side="right")) - 1  # the last end that does not go beyond
        if end < len(sizes) and (end == start or total[end + 1] - goal <= goal - total[end]):
            end += 1
        starts.append(end)
    return np.array(starts, dtype=np.int64)


def _window_packs(order: Ints, packing: Packing) -> list[Ints]:
    packs: list[Ints] = []
    emptiest = order[:0]  # of a window: its groups go on to the next one, and fill up there
    for start in range(0, len(order), packing.window):
        window = np.concatenate((emptiest, order[start : start + packing.window]))
        *full, emptiest = (window[list(items)] for items in pack(packing.tokens[window].tolist(), packing.budget))
        packs += full
    return [*packs, emptiest] if len(emptiest) else packs


def _complete_last_round(packs: list[Ints], packing: Packing) -> None:
    first = len(packs) - len(packs) % packing.num_ranks
    last = [items.tolist() for items in packs[first:]]
    while len(last) % packing.num_ranks:
        split_largest(last, packing.tokens)
    packs[first:] = [np.array(items, dtype=np.int64) for items in last]


def fill(
    steps: Sequence[StepPlan],
    tokens: Sequence[int] | Ints,
    budget: int,
    *,
    num_ranks: int = 1,
    pack_step: Callable[[StepPlan], Sequence[Indices]] | None = None,
) -> float:
    """Share of the packs' budget that tokens use, over the first steps of a plan; a pack above it counts as full.

    Args:
        steps: of the plan.
        tokens: of each group.
        budget: tokens of a pack.
        num_ranks: processes that share the packs of a step.
        pack_step: how a step is packed, where not by `pack` or by the plan itself.

    >>> fill(plan_steps([1] * 4, 4, epochs=1, seed=0), [5, 4, 3, 3], 8)
    0.9375
    """
    used = room = 0
    for step in islice(steps, _SAMPLED):
        costs = [int(tokens[group]) for group in step.groups]
        packs = pack_step(step) if pack_step else step.packs or pack(costs, budget, num_ranks=num_ranks)
        for items in packs:
            load = load_of(items, costs)
            used, room = used + load, room + max(load, budget)
    return used / max(room, 1)
