"""What the model reads: one row of packed tokens, or a padded batch, and where each sequence lies in it.

Shape legend, used by every tensor name in palate:
    B rows of a batch     T tokens of a row     D hidden size     H attention heads
    N sequences           C comparisons         S all tokens of all sequences, end to end
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

Run = tuple[int, int]
"""Consecutive rows: start and length."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive query rows, and the runs of rows that hold their keys.

    The runs are one sequence from its first token to the segment's last row; the queries are its last rows.
    Query i of the segment sees all but the last `length - 1 - i` keys: causal, aligned at the lower right.

    Attributes:
        start, length: the query rows.
        keys: runs in the order of positions; the last ends where the queries end.
    """

    start: int
    length: int
    keys: tuple[Run, ...]

    @property
    def num_keys(self) -> int:
        """Rows that the last query sees."""
        return sum(length for _, length in self.keys)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of the last layer: queries, output projection and MLP are needed at these rows alone.

    Attributes:
        layer: index of the layer.
        row_R: int64 [R], rising: the rows that are read.
        segments: as in `TreeLayout`, covering at least those rows.
    """

    layer: int
    row_R: Tensor
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class TreeLayout:
    """Who may see whom in a packed row [P | R1 | R2 | ...][P' | R1' | ...].

    `segments` drives the fast paths; `visible_until_T` is the same fact as one integer a column: row q sees
    column k when k <= q < visible_until_T[k], which covers packing, K responses, shared prompts and shared openings,
    within a group and among groups.

    Attributes:
        segments: in row order, covering every row once; the first of a group holds P and R1 together, less what it
            shares with the group before.
        visible_until_T: int64 [T].
        position_T: int64 [T]; positions of each response continue from the end of its prompt.
        reading: set where the last layer is computed only at the rows that are read.
        layers_seen: filled by the attention function with the layers that called it, for the self-check.
        cache: what the attention paths derive from the layout once for all layers, such as masks and index tensors.
    """

    segments: tuple[Segment, ...]
    visible_until_T: Tensor
    position_T: Tensor
    reading: Reading | None = None
    layers_seen: set[int] = field(default_factory=set, compare=False)
    cache: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def segments_of(self, layer: int) -> tuple[Segment, ...]:
        """The segments that a layer computes."""
        return self.reading.segments if self.reading is not None and layer == self.reading.layer else self.segments

    def to(self, device: torch.device | str) -> Self:
        """The same layout with every tensor on `device`."""
        reading = self.reading
        return replace(
            self,
            visible_until_T=send(self.visible_until_T, device),
            position_T=send(self.position_T, device),
            reading=reading and replace(reading, row_R=send(reading.row_R, device)),
        )


@dataclass(frozen=True, slots=True)
class RewardBatch:
    """Tokens of whole groups, the sequences in them, and the comparisons among those sequences.

    Attributes:
        input_ids_BT: int64; one packed row when `layout` is given, else right-padded rows.
        position_ids_BT: int64, or None to let the body count.
        attention_mask_BT: 1 for real tokens; None when packed, where nothing is padding.
        layout: the tree layout of a packed row; None for a padded batch.
        token_index_S: index into the flattened [B * T] rows of every token of every sequence, end to end.
        sequence_bounds_N1: int64 [N + 1]; sequence n owns token_index_S[bounds[n] : bounds[n + 1]].
        response_start_N: offset within the sequence of the response's first token.
        winner_C, loser_C: indices into the N sequences.
        margin_C, probability_C, weight_C: float32, see `palate.records.Comparison`.
        group_C: index of the comparison's group within the batch.
        groups: ids, where and number of sequences of the groups, in order.
    """

    input_ids_BT: Tensor
    position_ids_BT: Tensor | None
    attention_mask_BT: Tensor | None
    layout: TreeLayout | None
    token_index_S: Tensor
    sequence_bounds_N1: Tensor
    response_start_N: Tensor
    winner_C: Tensor
    loser_C: Tensor
    margin_C: Tensor
    probability_C: Tensor
    weight_C: Tensor
    group_C: Tensor
    groups: tuple["GroupRows", ...]

    @property
    def num_sequences(self) -> int:
        """N."""
        return len(self.sequence_bounds_N1) - 1

    @property
    def num_tokens(self) -> int:
        """Real tokens that a forward pass computes, padding left out."""
        mask = self.attention_mask_BT
        return self.input_ids_BT.numel() if mask is None else int(mask.sum())

    @property
    def lengths_N(self) -> Tensor:
        """Tokens of each sequence."""
        return self.sequence_bounds_N1.diff()

    @property
    def last_index_N(self) -> Tensor:
        """Index into the flattened rows of each sequence's last real token: never a matter of padding ids."""
        return self.token_index_S[self.sequence_bounds_N1[1:] - 1]

    def to(self, device: torch.device | str) -> Self:
        """The same batch with every tensor on `device`."""
        moved: dict[str, Any] = {
            f.name: send(getattr(self, f.name), device) for f in fields(self) if _is_tensor(self, f.name)
        }
        layout = self.layout and self.layout.to(device)
        return replace(self, layout=layout, **moved)


@dataclass(frozen=True, slots=True)
class GroupRows:
    """Which group some of a batch's sequences belong to."""

    id: str
    where: str
    num_sequences: int


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on the device; to a GPU from pinned memory, so that its queue is not waited for."""
    if tensor.device.type == "cpu" and torch.device(device).type == "cuda":
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _is_tensor(batch: RewardBatch, name: str) -> bool:
    return isinstance(getattr(batch, name), Tensor)
