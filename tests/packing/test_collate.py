import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch

from palate.packing.batch import RewardBatch, Segment
from palate.packing.collate import collate_padded, collate_tree
from palate.records import Comparison, TokenizedGroup
from palate.testing.groups import branching_group, full_ranking, token_group, with_system_turn

GROUPS = (
    token_group(20, (7, 9), seed=0),
    token_group(5, (12, 1, 4), seed=1),
    token_group(0, (6, 11), seed=2),
    token_group(13, (3, 9, 4, 14, 5), opening=2, seed=3),
    branching_group(6, [(5, (3, 1, 4)), (2, (2, 6)), (0, (3,))], seed=4),
    *with_system_turn(
        (token_group(8, (3, 5), seed=5), token_group(0, (2,), seed=6), token_group(3, (7, 1), seed=7)), 16
    ),
)
TURNS = 16 * 2  # tokens of system turns that sharing among groups saves
SEQUENCES = [sequence for group in GROUPS for sequence in group.sequences]


def batches() -> list[RewardBatch]:
    return [
        collate_tree(GROUPS),
        collate_padded(GROUPS, pad_token_id=0),
        collate_padded(GROUPS, pad_token_id=0, padding_side="left"),
    ]


def sequences_of(batch: RewardBatch) -> list[torch.Tensor]:
    tokens = batch.input_ids_BT.flatten()
    bounds = batch.sequence_bounds_N1.tolist()
    return [tokens[batch.token_index_S[start:end]] for start, end in pairwise(bounds)]


def group_of(*sequences: list[int], comparisons: tuple[Comparison, ...] = ()) -> TokenizedGroup:
    arrays = tuple(np.array(sequence, dtype=np.int64) for sequence in sequences)
    return TokenizedGroup("g", "0" * 16, arrays, (0,) * len(arrays), comparisons)


def test_the_layout_of_the_docstring() -> None:
    batch = collate_tree([group_of([5, 6, 7], [5, 6, 8, 9])])
    assert batch.input_ids_BT.tolist() == [[5, 6, 7, 8, 9]]
    assert batch.layout is not None
    assert batch.layout.segments == (Segment(0, 3, ((0, 3),)), Segment(3, 2, ((0, 2), (3, 2))))
    assert batch.layout.position_T.tolist() == [0, 1, 2, 2, 3]
    assert batch.layout.visible_until_T.tolist() == [5, 5, 3, 5, 5]
    assert batch.token_index_S.tolist() == [0, 1, 2, 0, 1, 3, 4]
    assert batch.sequence_bounds_N1.tolist() == [0, 3, 7]


def test_every_batch_holds_the_groups_own_sequences_in_order() -> None:
    for batch in batches():
        found = sequences_of(batch)
        assert len(found) == batch.num_sequences == len(SEQUENCES)
        assert all(f.tolist() == s.tolist() for f, s in zip(found, SEQUENCES, strict=True))


def test_the_tree_computes_every_shared_token_once_and_pads_nothing() -> None:
    batch = collate_tree(GROUPS)
    assert batch.attention_mask_BT is None
    assert batch.num_tokens == batch.input_ids_BT.numel() == sum(group.computed_tokens for group in GROUPS) - TURNS


def test_positions_of_each_sequence_count_from_zero() -> None:
    for batch in (collate_tree(GROUPS), collate_padded(GROUPS, pad_token_id=0, padding_side="left")):
        assert batch.position_ids_BT is not None
        position = batch.position_ids_BT.flatten()[batch.token_index_S]
        for start, end in pairwise(batch.sequence_bounds_N1.tolist()):
            assert position[start:end].tolist() == list(range(end - start))


def test_padded_on_the_right_the_body_counts_positions_itself() -> None:
    assert collate_padded(GROUPS, pad_token_id=0).position_ids_BT is None


def test_what_a_row_may_see_is_its_own_sequence_up_to_itself() -> None:
    batch = collate_tree(GROUPS)
    assert batch.layout is not None
    until, total = batch.layout.visible_until_T.tolist(), batch.num_tokens
    expected = np.zeros((total, total), dtype=bool)
    for start, end in pairwise(batch.sequence_bounds_N1.tolist()):
        rows = batch.token_index_S[start:end].tolist()
        for at, row in enumerate(rows):
            expected[row, rows[: at + 1]] = True
    found = np.array([[k <= q < until[k] for k in range(total)] for q in range(total)])
    np.testing.assert_array_equal(found, expected)


def test_segments_cover_every_row_once_in_order() -> None:
    layout = collate_tree(GROUPS).layout
    assert layout is not None
    rows = [row for s in layout.segments for row in range(s.start, s.start + s.length)]
    assert rows == list(range(len(layout.position_T)))


@pytest.mark.parametrize("pad_token_id", [0, 2, 77])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_mask_marks_the_real_tokens_whatever_the_pad_id(pad_token_id: int, side: str) -> None:
    batch = collate_padded(GROUPS, pad_token_id=pad_token_id, padding_side=side)
    assert batch.attention_mask_BT is not None
    real = torch.zeros(batch.input_ids_BT.numel(), dtype=torch.bool)
    real[batch.token_index_S] = True
    assert torch.equal(batch.attention_mask_BT.flatten().bool(), real)
    assert (batch.input_ids_BT.flatten()[~real] == pad_token_id).all()
    assert batch.num_tokens == len(batch.token_index_S)


def test_the_last_index_is_the_last_real_token_even_where_it_equals_the_pad_id() -> None:
    group = group_of([5, 6, 2], [5, 2, 2, 2])
    for side in ("right", "left"):
        batch = collate_padded([group], pad_token_id=2, padding_side=side)
        assert batch.last_index_N.tolist() == ([2, 7] if side == "right" else [3, 7])
    assert collate_tree([group]).last_index_N.tolist() == [2, 5]


def test_comparisons_point_at_the_sequences_they_name() -> None:
    labels = (Comparison(1, 0, margin=0.5, probability=0.75, weight=2.0), Comparison(1, 2))
    groups = (GROUPS[0], dataclasses.replace(GROUPS[1], comparisons=labels))
    for batch in (collate_tree(groups), collate_padded(groups, pad_token_id=0)):
        assert batch.winner_C.tolist() == [0, 3, 3]
        assert batch.loser_C.tolist() == [1, 2, 4]
        assert batch.group_C.tolist() == [0, 1, 1]
        assert batch.margin_C.tolist() == [0.0, 0.5, 0.0]
        assert batch.probability_C.tolist() == [1.0, 0.75, 1.0]
        assert batch.weight_C.tolist() == [1.0, 2.0, 1.0]
        assert [rows.num_sequences for rows in batch.groups] == [2, 3]
        assert [rows.id for rows in batch.groups] == [group.id for group in groups]


def test_groups_without_comparisons_are_scored_and_compare_nothing() -> None:
    batch = collate_tree([group_of([5, 6, 7]), group_of([5], [5])])
    assert batch.num_sequences == 3
    assert batch.winner_C.shape == batch.margin_C.shape == (0,)
    assert [s.tolist() for s in sequences_of(batch)] == [[5, 6, 7], [5], [5]]


def test_equal_sequences_keep_a_token_of_their_own_each() -> None:
    batch = collate_tree([group_of([5, 6, 7], [5, 6, 7], comparisons=full_ranking(2))])
    assert batch.input_ids_BT.tolist() == [[5, 6, 7, 7]]
    assert batch.last_index_N.tolist() == [2, 3]


def test_moving_a_batch_moves_every_tensor_of_it() -> None:
    moved = collate_tree(GROUPS).to("meta")
    tensors = [getattr(moved, field.name) for field in dataclasses.fields(moved)]
    assert moved.layout is not None
    tensors += [moved.layout.visible_until_T, moved.layout.position_T]
    devices = {tensor.device.type for tensor in tensors if isinstance(tensor, torch.Tensor)}
    assert devices == {"meta"}
