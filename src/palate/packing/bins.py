"""Groups laid into packs of at most a token budget, by best-fit decreasing: integers only, no tensors."""

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = tuple[int, ...]
Ints = NDArray[np.int64]


def pack(tokens: Sequence[int], budget: int, *, num_ranks: int = 1) -> tuple[Indices, ...]:
    """Best-fit decreasing: positions in `tokens` laid into bins of at most `budget` tokens.

    An item above the budget gets a bin of its own. With several ranks the number of bins is a multiple of
    `num_ranks` (the largest bins are halved, empty bins come last), and bins are sorted by load, so that the
    ranks' bins of a round weigh about the same and every rank runs equally many.

    >>> pack([5, 4, 3, 3], 8)
    ((0, 2), (1, 3))
    """
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (room left, bin), sorted
    for item in sorted(range(len(tokens)), key=lambda i: (-tokens[i], i)):
        at = bisect_left(room, (tokens[item], -1))
        if at < len(room):
            left, target = room.pop(at)
        else:
            left, target = budget, len(bins)
            bins.append([])
        bins[target].append(item)
        insort(room, (left - tokens[item], target))
    while len(bins) % num_ranks:
        split_largest(bins, tokens)
    return tuple(tuple(items) for items in sorted(bins, key=lambda items: -load_of(items, tokens)))


def pack_padded(rows: Sequence[int], longest: Sequence[int], budget: int, *, num_ranks: int = 1) -> tuple[Indices, ...]:
    """Groups of similar length into batches of at most `budget` tokens, padding to the longest row included.

    A group above the budget gets a batch of its own; several ranks are treated as by `pack`.

    Args:
        rows: of each group.
        longest: tokens of each group's longest row.
        budget: tokens of a batch, padding included.
        num_ranks: the number of batches is a multiple of it.

    >>> pack_padded([2, 2, 2, 2], [9, 2, 8, 1], 36)
    ((0, 2), (1, 3))
    """
    bins: list[list[int]] = []
    width = height = 0
    for item in sorted(range(len(rows)), key=lambda i: (-longest[i], i)):
        if not bins or (height + rows[item]) * width > budget:
            bins.append([])
            width, height = longest[item], 0
        bins[-1].append(item)
        height += rows[item]
    while len(bins) % num_ranks:
        split_largest(bins, [n * length for n, length in zip(rows, longest, strict=True)])
    if num_ranks > 1:
        bins.sort(key=lambda items: -sum(rows[i] for i in items) * max((longest[i] for i in items), default=0))
    return tuple(tuple(items) for items in bins)


def split_largest(bins: list[list[int]], tokens: Sequence[int] | Ints) -> None:
    """One bin more, in place: half of the heaviest that can be halved, or an empty one where none can."""
    candidates = [index for index, items in enumerate(bins) if len(items) > 1]
    if not candidates:
        bins.append([])
        return
    largest = max(candidates, key=lambda index: load_of(bins[index], tokens))
    items = bins[largest]
    bins[largest], other = items[::2], items[1::2]
    bins.append(other)


def load_of(items: Sequence[int], tokens: Sequence[int] | Ints) -> int:
    """Tokens of a bin."""
    return sum(int(tokens[item]) for item in items)
