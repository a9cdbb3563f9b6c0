"""Which tokens several sequences have in common, each counted once: a prefix tree in three tuples of integers.

Responses to one prompt share the prompt; some of them share an opening besides. Sorted, sequences that share the
most lie side by side, so the whole tree is told by how many leading tokens each takes over from the one before it:

    order   shared   tokens of its own              [5 6 7]        5 6 7      row 0 1 2
    0       0        5 6 7                          [5 6 8 9]      . . 8 9    row 3 4
    1       2        8 9                            [5 6 8 4]      . . . 4    row 5
    2       3        4

The number of tokens laid out is the number of nodes of the prefix tree (trie) of the sequences, which is the
least that any layout can do in which a token sees exactly its own sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """How sequences are laid out one after the other, what they share once.

    Attributes:
        order: the sequences' indices, in the order in which they are laid out.
        shared: for each of `order`, how many of its leading tokens it takes over from the one laid out before it.
        num_tokens: tokens laid out.
    """

    order: tuple[int, ...]
    shared: tuple[int, ...]
    num_tokens: int


def find_prefix_tree(sequences: Sequence[Ints]) -> PrefixTree:
    """The layout of fewest tokens in which every sequence keeps at least its last token to itself.

    The order of the sequences is kept unless sorting them saves tokens.

    >>> find_prefix_tree([np.array(s) for s in ([5, 6, 7], [5, 6, 8, 9], [5, 6, 8, 4])])
    PrefixTree(order=(0, 2, 1), shared=(0, 2, 3), num_tokens=6)
    """
    total = sum(len(sequence) for sequence in sequences)
    common = common_prefix_length(sequences)
    order = tuple(range(len(sequences)))
    shared = (0,) + (common,) * (len(sequences) - 1)
    if len(sequences) > 2:
        # Big-endian bytes of non-negative integers sort as the integers do.
        keys = [sequence[common:].astype(">i8").tobytes() for sequence in sequences]
        by_token = tuple(sorted(order, key=keys.__getitem__))
        deeper = (0, *(_common(sequences[a], sequences[b]) for a, b in pairwise(by_token)))
        if sum(deeper) > sum(shared):
            order, shared = by_token, deeper
    return PrefixTree(order, shared, total - sum(shared))


def common_prefix_length(sequences: Sequence[Ints]) -> int:
    """Longest prefix that all sequences share, leaving each at least one token of its own.

    >>> common_prefix_length((np.array([1, 2, 3]), np.array([1, 2, 4, 5])))
    2
    >>> common_prefix_length((np.array([1, 2]), np.array([1, 2])))
    1
    """
    shared = len(sequences[0]) - 1
    for other in sequences[1:]:
        shared = min(shared, _common(sequences[0], other))
    return shared


def _common(first: Ints, second: Ints) -> int:
    limit = min(len(first), len(second)) - 1
    differs = first[:limit] != second[:limit]
    at = int(differs.argmax()) if limit else 0
    return at if limit and differs[at] else limit
