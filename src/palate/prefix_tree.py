"""Which tokens several sequences have in common, each counted once: a prefix tree in three tuples of integers.

Responses to one prompt share the prompt; some of them share an opening besides; and groups of one pack often begin
with the same system turn. Sorted, sequences that share the most lie side by side, so the whole tree is told by how many
leading tokens each takes over from the one before it:

    order   shared   tokens of its own              [5 6 7]        5 6 7      row 0 1 2
    0       0        5 6 7                          [5 6 8 9]      . . 8 9    row 3 4
    1       2        8 9                            [5 6 8 4]      . . . 4    row 5
    2       3        4

The number of tokens laid out is the number of nodes of the prefix tree (trie) of the sequences, which is the
least that any layout can do in which a token sees exactly its own sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

WORTH_SHARING = 16
"""Tokens that sequences of different groups must have in common to be laid out as one: each stretch of shared rows
has to be gathered in every layer, which a begin-of-text token alone would not pay for."""


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
        keys = [sort_key(sequence[common:]) for sequence in sequences]
        by_token = tuple(sorted(order, key=keys.__getitem__))
        deeper = (0, *(shared_tokens(sequences[a], sequences[b]) for a, b in pairwise(by_token)))
        if sum(deeper) > sum(shared):
            order, shared = by_token, deeper
    return PrefixTree(order, shared, total - sum(shared))


def join_trees(groups: Sequence[tuple[Sequence[Ints], PrefixTree]]) -> PrefixTree:
    """One layout of several groups, in which groups that begin alike follow each other and share what they begin with.

    That is the system turn, as a rule: templates write one even where the data has none. Groups keep their order
    unless sorting them saves tokens, and fewer than `WORTH_SHARING` tokens are not taken over.

    Args:
        groups: the sequences of each and their tree. The joint tree's indices count through all of them.

    >>> opening = list(range(16))
    >>> groups = [[np.array([*opening, *own]) for own in owns] for owns in ([[5, 6], [5, 7]], [[8]])]
    >>> join_trees([(sequences, find_prefix_tree(sequences)) for sequences in groups])
    PrefixTree(order=(0, 1, 2), shared=(0, 17, 16), num_tokens=20)
    """
    firsts = [sequences[tree.order[0]] for sequences, tree in groups]
    lasts = [sequences[tree.order[-1]] for sequences, tree in groups]

    def taken_over(order: Sequence[int]) -> list[int]:
        shared = [shared_tokens(lasts[a], firsts[b]) for a, b in pairwise(order)]
        return [0, *(length if length >= WORTH_SHARING else 0 for length in shared)]

    as_given = range(len(groups))
    by_token = sorted(as_given, key=lambda g: sort_key(firsts[g]))
    order, openings = max(((o, taken_over(o)) for o in (as_given, by_token)), key=lambda found: sum(found[1]))
    before = [0, *accumulate(len(sequences) for sequences, _ in groups)]
    return PrefixTree(
        order=tuple(before[g] + number for g in order for number in groups[g][1].order),
        shared=tuple(
            n for g, opening in zip(order, openings, strict=True) for n in (opening, *groups[g][1].shared[1:])
        ),
        num_tokens=sum(tree.num_tokens for _, tree in groups) - sum(openings),
    )


def common_prefix_length(sequences: Sequence[Ints]) -> int:
    """Longest prefix that all sequences share, leaving each at least one token of its own.

    >>> common_prefix_length((np.array([1, 2, 3]), np.array([1, 2, 4, 5])))
    2
    >>> common_prefix_length((np.array([1, 2]), np.array([1, 2])))
    1
    """
    shared = len(sequences[0]) - 1
    for other in sequences[1:]:
        shared = min(shared, shared_tokens(sequences[0], other))
    return shared


def sort_key(ids: Ints) -> bytes:
    """Bytes that sort as the token ids do.

    >>> sort_key(np.array([1, 300])) < sort_key(np.array([2]))
    True
    """
    return ids.astype(">i4").tobytes()  # big-endian, and no vocabulary needs more


def shared_tokens(first: Ints, second: Ints) -> int:
    """Length of the common prefix that leaves both at least one token of their own.

    >>> shared_tokens(np.array([1, 2, 3]), np.array([1, 2, 4, 5])), shared_tokens(np.array([1, 2]), np.array([1, 2]))
    (2, 1)
    """
    limit = max(min(len(first), len(second)) - 1, 0)
    differs = first[:limit] != second[:limit]
    at = int(differs.argmax()) if limit else 0
    return at if limit and differs[at] else limit
