import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate import prefix_tree
from palate.prefix_tree import PrefixTree, common_prefix_length, find_prefix_tree, join_trees, shared_tokens
from palate.records import TokenizedGroup

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=7)


def arrays(*sequences: list[int]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(sequence, dtype=np.int64) for sequence in sequences)


@settings(max_examples=200, deadline=None)
@given(SEQUENCES)
def test_the_shared_prefix_is_the_longest_that_leaves_each_sequence_a_token(sequences: list[list[int]]) -> None:
    shared = common_prefix_length(arrays(*sequences))
    assert all(sequence[:shared] == sequences[0][:shared] for sequence in sequences)
    assert all(len(sequence) > shared for sequence in sequences)
    longer = shared + 1
    assert any(sequence[:longer] != sequences[0][:longer] or len(sequence) == longer for sequence in sequences)
    assert TokenizedGroup("g", "h", arrays(*sequences), (0,) * len(sequences), ()).shared == shared


@settings(max_examples=300, deadline=None)
@given(SEQUENCES)
def test_tokens_are_the_nodes_of_the_trie_with_each_last_token_apart(sequences: list[list[int]]) -> None:
    nodes = {tuple(sequence[:end]) for sequence in sequences for end in range(1, len(sequence))}
    assert find_prefix_tree(arrays(*sequences)).num_tokens == len(nodes) + len(sequences)


@settings(max_examples=300, deadline=None)
@given(SEQUENCES)
def test_every_sequence_can_be_read_back_off_the_tree(sequences: list[list[int]]) -> None:
    tree = find_prefix_tree(arrays(*sequences))
    assert sorted(tree.order) == list(range(len(sequences)))
    before: list[int] = []
    laid_out = 0
    for number, shared in zip(tree.order, tree.shared, strict=True):
        sequence = sequences[number]
        assert shared < len(sequence)  # its last token is its own
        assert before[:shared] == sequence[:shared]
        laid_out += len(sequence) - shared
        before = sequence
    assert laid_out == tree.num_tokens


@settings(max_examples=300, deadline=None)
@given(groups=st.lists(SEQUENCES, min_size=1, max_size=4), worth=st.integers(1, 4))
def test_every_sequence_of_several_groups_can_be_read_back_off_the_joint_tree(
    groups: list[list[list[int]]], worth: int
) -> None:
    trees = [(arrays(*sequences), find_prefix_tree(arrays(*sequences))) for sequences in groups]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "WORTH_SHARING", worth)
        tree = join_trees(trees)
    sequences = [sequence for group in groups for sequence in group]
    assert sorted(tree.order) == list(range(len(sequences)))
    before: list[int] = []
    laid_out = 0
    for number, shared in zip(tree.order, tree.shared, strict=True):
        assert shared < len(sequences[number])
        assert before[:shared] == sequences[number][:shared]
        laid_out += len(sequences[number]) - shared
        before = sequences[number]
    assert laid_out == tree.num_tokens <= sum(one.num_tokens for _, one in trees)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=7))
def test_groups_of_one_sequence_joined_are_the_tree_of_all(sequences: list[list[int]]) -> None:
    alone = [(arrays(sequence), find_prefix_tree(arrays(sequence))) for sequence in sequences]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix_tree, "WORTH_SHARING", 1)
        assert join_trees(alone).num_tokens == find_prefix_tree(arrays(*sequences)).num_tokens


def test_groups_are_sorted_only_where_that_saves_tokens() -> None:
    one, other = list(range(20)), list(range(50, 70))
    groups = [
        (arrays([*start, n]), find_prefix_tree(arrays([*start, n]))) for n, start in enumerate((other, one, other))
    ]
    assert join_trees(groups) == PrefixTree((1, 0, 2), (0, 0, 20), 43)
    assert join_trees(groups[:2]).order == (0, 1)
    short = [(arrays([*one[:15], n]), find_prefix_tree(arrays([*one[:15], n]))) for n in (9, 8)]
    assert join_trees(short) == PrefixTree((0, 1), (0, 0), 32)  # one token fewer than is worth it


@pytest.mark.parametrize(
    ("sequences", "shared"),
    [
        (([1, 2, 3], [1, 2, 4, 5]), 2),
        (([1, 2], [1, 2]), 1),
        (([1, 2], [1, 2, 3]), 1),
        (([1, 2, 3, 4], [1, 2, 3], [1, 9]), 1),
        (([5], [1, 2]), 0),
        (([7, 1], [8, 1]), 0),
        (([1, 2, 3],), 2),
    ],
)
def test_prefixes_by_hand(sequences: tuple[list[int], ...], shared: int) -> None:
    assert common_prefix_length(arrays(*sequences)) == shared


@pytest.mark.parametrize(
    ("sequences", "tree"),
    [
        (([1, 2, 3],), PrefixTree((0,), (0,), 3)),
        (([1, 9, 3], [1, 2, 4, 5]), PrefixTree((0, 1), (0, 1), 6)),  # a pair keeps its order: chosen, then rejected
        (([1, 9], [1, 2], [1, 5]), PrefixTree((0, 1, 2), (0, 1, 1), 4)),  # nothing more to save: order kept
        (([1, 9, 9], [1, 2, 4], [1, 9, 8]), PrefixTree((1, 2, 0), (0, 1, 2), 6)),
    ],
)
def test_trees_by_hand(sequences: tuple[list[int], ...], tree: PrefixTree) -> None:
    assert find_prefix_tree(arrays(*sequences)) == tree


@pytest.mark.parametrize(
    ("first", "second", "same"), [([1, 2], [1, 2], 1), ([1], [2], 0), ([1, 2, 3], [1, 3, 3], 1), ([1, 2], [1], 0)]
)
def test_shared_tokens(first: list[int], second: list[int], same: int) -> None:
    assert shared_tokens(np.array(first), np.array(second)) == same
