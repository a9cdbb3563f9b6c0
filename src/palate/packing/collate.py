"""Token ids of whole groups into a batch: the tree layout, and the padded layout that is its oracle.

`collate_tree` lays a group out as [P | R1 | ... | RK], P being the longest common token prefix of its sequences;
responses that share an opening besides share that too. Groups follow each other in one row, and those that begin alike
share what they begin with: every token once, no padding. `collate_padded` gives each sequence a row of its own, padded
on the right: the fallback for bodies that cannot share, and what the tree is checked against.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from palate.packing.batch import GroupRows, Reading, RewardBatch, Run, Segment, TreeLayout
from palate.prefix_tree import PrefixTree, join_trees
from palate.records import TokenizedGroup

Ints = NDArray[np.int64]


def collate_tree(groups: Sequence[TokenizedGroup]) -> RewardBatch:
    """One packed row of all groups.

    Two responses [5 6 | 7] and [5 6 | 8 9] of one group become

        input_ids   5 6 7 8 9        segments   rows 0-2, then rows 3-4 with keys 0-1 and 3-4
        positions   0 1 2 2 3        sequences  (0 1 2), (0 1 3 4)
    """
    sequences = [sequence for group in groups for sequence in group.sequences]
    tree = join_trees([(group.sequences, group.tree) for group in groups])
    rows = _lay_out(sequences, tree)
    tokens: list[Ints] = []
    positions: list[Ints] = []
    segments: list[Segment] = []
    for number, shared in zip(tree.order, tree.shared, strict=True):
        sequence = sequences[number]
        tokens.append(sequence[shared:])
        positions.append(np.arange(shared, len(sequence), dtype=np.int64))
        segments.append(Segment(int(rows[number][shared]), len(sequence) - shared, runs(rows[number])))
    position_T = _join(positions)
    layout = TreeLayout(tuple(segments), torch.from_numpy(_visible_until(tree, rows)), position_T)
    return _batch(groups, _join(tokens)[None], position_T[None], None, layout, _join(rows))


def _lay_out(sequences: Sequence[Ints], tree: PrefixTree) -> list[Ints]:
    """The row of every token of each sequence, in the order of `sequences`."""
    rows: dict[int, Ints] = {}
    before: Ints = np.empty(0, dtype=np.int64)
    at = 0
    for number, shared in zip(tree.order, tree.shared, strict=True):
        own = len(sequences[number]) - shared
        before = np.concatenate((before[:shared], np.arange(at, at + own, dtype=np.int64)))
        rows[number] = before
        at += own
    return [rows[number] for number in range(len(sequences))]


def _visible_until(tree: PrefixTree, rows: list[Ints]) -> Ints:
    """For each row, the first one after it that does not see it."""
    until = np.empty(tree.num_tokens, dtype=np.int64)
    for number in tree.order:  # a later sequence ends later, and sees what it shares until then
        until[rows[number]] = rows[number][-1] + 1
    return until


def runs(rows: Ints) -> tuple[Run, ...]:
    """Rising row numbers as runs of consecutive ones.

    >>> runs(np.array([0, 1, 2, 7, 8]))
    ((0, 3), (7, 2))
    """
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    return tuple((int(part[0]), len(part)) for part in np.split(rows, breaks))


def read_only(batch: RewardBatch, row_R: Tensor, *, layer: int) -> RewardBatch:
    """The batch with a layout that computes the given layer at the given rows alone, see `Reading`.

    Args:
        batch: a packed batch.
        row_R: int64, any order, repetitions allowed.
        layer: index of the body's last layer; in an earlier one the other rows are needed as keys.
    """
    assert batch.layout is not None
    wanted = np.unique(row_R.numpy())
    segments: list[Segment] = []
    for segment in batch.layout.segments:
        end = segment.start + segment.length
        first = int(np.searchsorted(wanted, segment.start))
        if first < len(wanted) and wanted[first] < end:
            segments.append(replace(segment, start=int(wanted[first]), length=end - int(wanted[first])))
    return replace(
        batch, layout=replace(batch.layout, reading=Reading(layer, torch.from_numpy(wanted), tuple(segments)))
    )


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
