"""Token ids of whole groups into a batch: the tree layout, and the padded layout that is its oracle.

`collate_tree` lays a group out as [P | R1 | ... | RK], P being the longest common token prefix of its sequences,
and concatenates groups into one row: every token once, no padding. `collate_padded` gives each sequence a row of
its own, padded on the right: the fallback for bodies that cannot share, and what the tree is checked against.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from palate.packing.batch import GroupRows, RewardBatch, Segment, TreeLayout
from palate.records import TokenizedGroup

Ints = NDArray[np.int64]


def collate_tree(groups: Sequence[TokenizedGroup]) -> RewardBatch:
    """One packed row of all groups.

    Two responses [5 6 | 7] and [5 6 | 8 9] of one group become

        input_ids   5 6 7 8 9        segments   rows 0-2, then rows 3-4 with prefix rows 0-1
        positions   0 1 2 2 3        sequences  (0 1 2), (0 1 3 4)
    """
    tokens: list[Ints] = []
    positions: list[Ints] = []
    visible: list[Ints] = []
    index: list[Ints] = []
    segments: list[Segment] = []
    cursor = 0
    for group in groups:
        shared, total = group.shared, group.computed_tokens
        prefix = np.arange(cursor, cursor + shared, dtype=np.int64)
        tokens.append(group.sequences[0][:shared])
        positions.append(np.arange(shared, dtype=np.int64))
        visible.append(np.full(shared, cursor + total, dtype=np.int64))
        at = cursor + shared
        for k, sequence in enumerate(group.sequences):
            own = len(sequence) - shared
            tokens.append(sequence[shared:])
            positions.append(np.arange(shared, shared + own, dtype=np.int64))
            visible.append(np.full(own, at + own, dtype=np.int64))
            index += [prefix, np.arange(at, at + own, dtype=np.int64)]
            segments.append(Segment(cursor, shared + own) if k == 0 else Segment(at, own, cursor, shared))
            at += own
        cursor += total
    position_T = _join(positions)
    layout = TreeLayout(tuple(segments), _join(visible), position_T)
    return _batch(groups, _join(tokens)[None], position_T[None], None, layout, _join(index))


def collate_padded(groups: Sequence[TokenizedGroup], *, pad_token_id: int, padding_side: str = "right") -> RewardBatch:
    """One row a sequence, padded to the longest. The pad id is never read: the attention mask says what is real."""
    sequences = [sequence for group in groups for sequence in group.sequences]
    width = max(len(sequence) for sequence in sequences)
    tokens = np.full((len(sequences), width), pad_token_id, dtype=np.int64)
    mask = np.zeros((len(sequences), width), dtype=np.int64)
    index: list[Ints] = []
    for row, sequence in enumerate(sequences):
        start = 0 if padding_side == "right" else width - len(sequence)
        tokens[row, start : start + len(sequence)] = sequence
        mask[row, start : start + len(sequence)] = 1
        index.append(np.arange(len(sequence), dtype=np.int64) + row * width + start)
    # Padded on the right, a body counts best by itself: RoBERTa, for one, starts after its pad id and not at 0.
    # Padding on the left would shift that count.
    positions = None if padding_side == "right" else torch.from_numpy(np.maximum(mask.cumsum(axis=1) - 1, 0))
    return _batch(groups, torch.from_numpy(tokens), positions, torch.from_numpy(mask), None, _join(index))


def _join(parts: list[Ints]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts))


def _batch(
    groups: Sequence[TokenizedGroup],
    input_ids_BT: Tensor,
    position_ids_BT: Tensor | None,
    attention_mask_BT: Tensor | None,
    layout: TreeLayout | None,
    token_index_S: Tensor,
) -> RewardBatch:
    lengths = [len(sequence) for group in groups for sequence in group.sequences]
    first = np.cumsum([0, *(len(group.sequences) for group in groups)])
    rows = [(first[g] + c.winner, first[g] + c.loser, g) for g, group in enumerate(groups) for c in group.comparisons]
    comparisons = [comparison for group in groups for comparison in group.comparisons]
    winner_loser_group = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
    return RewardBatch(
        input_ids_BT=input_ids_BT,
        position_ids_BT=position_ids_BT,
        attention_mask_BT=attention_mask_BT,
        layout=layout,
        token_index_S=token_index_S,
        sequence_bounds_N1=torch.from_numpy(np.cumsum([0, *lengths]).astype(np.int64)),
        response_start_N=torch.tensor([s for group in groups for s in group.response_starts], dtype=torch.int64),
        winner_C=winner_loser_group[:, 0],
        loser_C=winner_loser_group[:, 1],
        margin_C=torch.tensor([c.margin for c in comparisons], dtype=torch.float32),
        probability_C=torch.tensor([c.probability for c in comparisons], dtype=torch.float32),
        weight_C=torch.tensor([c.weight for c in comparisons], dtype=torch.float32),
        group_C=winner_loser_group[:, 2],
        groups=tuple(GroupRows(group.id, group.where, len(group.sequences)) for group in groups),
    )
