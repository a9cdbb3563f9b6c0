"""Attention over the tree layout by FlexAttention: the path of CUDA for scores that the flash kernel cannot shape.

One kernel over the whole row, compiled once for all lengths, that skips blocks of 128 by 128 in which nobody sees
anybody. Which those are is computed here from the segments: asking PyTorch to evaluate the mask at all T^2 places
costs more than the attention. A block is `full` when every row sees every column, which spares the kernel the mask;
`partial` blocks are evaluated place by place, so that calling a block partial is never wrong, only slower.

What PyTorch gets wrong in some release or other, and how it is kept away from: gradients at ragged ends (the row is
padded to whole blocks), block lists shorter than the row (they are as wide as there are blocks), compiling again for
each length (sizes are dynamic, and two blocks at least, since a size of 1 is a kernel of its own), and numbers that
the functions below close over, which dynamic sizes turn into arguments that the kernel cannot take (they are tensors).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from palate.packing.attention.gather import to_device
from palate.packing.attention.scores import Scores
from palate.packing.batch import Segment, TreeLayout

BLOCK = 128

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Blocks:
    """What is known of each block of 128 rows by 128 columns, over rows padded to whole blocks.

    Attributes:
        full: bool [blocks, blocks], every row sees every column.
        partial: bool [blocks, blocks], some row may see some column, and not full.
        visible_until_T, position_T: int64, of the padded rows; rows of padding see the padding before them.
    """

    full: Bools
    partial: Bools
    visible_until_T: Ints
    position_T: Ints

    @classmethod
    def of(cls, segments: Sequence[Segment], window: int | None) -> "Blocks":
        """Blocks of a layout, from the segments that cover all its rows; `window` as in `Scores`."""
        num_rows = segments[-1].start + segments[-1].length
        size = padded_size(num_rows)
        until = np.full(size, size)
        position = np.arange(size)
        for segment in segments:  # a later segment ends later, and sees what it shares until then
            end, at = segment.start + segment.length, 0
            for start, length in segment.keys:
                until[start : start + length] = end
                position[start : start + length] = np.arange(at, at + length)
                at += length
        first_row = np.arange(0, size, BLOCK)
        last_row = first_row + BLOCK - 1
        least_until, most_until = _least_and_most(until)
        least_position, most_position = _least_and_most(position)
        earlier, same = first_row[:, None] > last_row[None, :], np.eye(len(first_row), dtype=bool)
        some = same | earlier & (most_until[None, :] > first_row[:, None])
        full = earlier & (least_until[None, :] > last_row[:, None])
        if window is not None:
            some &= same | (least_position[:, None] - most_position[None, :] < window)
            full &= most_position[:, None] - least_position[None, :] < window
        return cls(full, some & ~full, until, position)


_GRAPHS = 64


def padded_size(num_rows: int) -> int:
    """Rows of whole blocks, two at least.

    >>> [padded_size(rows) for rows in (5, 256, 257)]
    [256, 256, 384]
    """
    return max(2, -(-num_rows // BLOCK)) * BLOCK


def _least_and_most(values_T: Ints) -> tuple[Ints, Ints]:
    by_block = values_T.reshape(-1, BLOCK)
    return by_block.min(axis=1), by_block.max(axis=1)


def attend_flex(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    layout: TreeLayout,
    want: Scores,
) -> Tensor:
    """[1, H, T, head size], all rows of every layer.

    Queries and keys are taken to the values' precision: rotary embeddings leave them in float32 under autocast.
    """
    device, num_rows = value_BHTD.device, value_BHTD.shape[2]
    cache_key = ("flex", want.window, want.softcap, device)
    if cache_key not in layout.cache:
        layout.cache[cache_key] = (
            _block_mask(Blocks.of(layout.segments, want.window), want.window, device),
            _soft_cap(want.softcap, query_BHTD.shape[1], device) if want.softcap else None,
        )
    block_mask, score_mod = layout.cache[cache_key]
    padding = (0, 0, 0, padded_size(num_rows) - num_rows)
    # Without rows to add, padding keeps the strides as they came, and other strides are another compiled kernel.
    states = [F.pad(each.to(value_BHTD.dtype), padding).contiguous() for each in (query_BHTD, key_BHTD, value_BHTD)]
    # Autocast has nothing to choose here, and a kernel compiled with it would be compiled again without it.
    with torch.autocast(device.type, enabled=False):
        output: Tensor = _kernel()(
            *states,
            score_mod=score_mod,
            block_mask=block_mask,
            scale=want.scale,
            enable_gqa=key_BHTD.shape[1] != query_BHTD.shape[1],
        )
    return output[:, :, :num_rows]


def _block_mask(blocks: Blocks, window: int | None, device: torch.device) -> Any:
    """A `BlockMask` on the device, without waiting for it."""
    from torch.nn.attention.flex_attention import BlockMask

    until_T, position_T = to_device(blocks.visible_until_T, device), to_device(blocks.position_T, device)
    nearest_T = position_T - ((window or 0) - 1)

    def sees(_batch: Tensor, _head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return (column <= row) & (row < until_T[column])

    def sees_near(_batch: Tensor, _head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return (column <= row) & (row < until_T[column]) & (position_T[column] >= nearest_T[row])

    partial, full = (
        [to_device(array, device)[None, None] for array in _ordered(kind)] for kind in (blocks.partial, blocks.full)
    )
    size = len(blocks.position_T)
    return BlockMask.from_kv_blocks(
        partial[0],
        partial[1],
        full[0],
        full[1],
        BLOCK_SIZE=BLOCK,
        mask_mod=sees if window is None else sees_near,
        seq_lengths=(size, size),
    )


def _ordered(marked: Bools) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """How many columns are marked in each row, and the columns, marked ones first."""
    return marked.sum(axis=1, dtype=np.int32), np.argsort(~marked, axis=1, kind="stable").astype(np.int32)


def _soft_cap(softcap: float, num_heads: int, device: torch.device) -> Callable[..., Tensor]:
    cap_H = torch.full((num_heads,), softcap, device=device)

    def capped(score: Tensor, _batch: Tensor, head: Tensor, _row: Tensor, _column: Tensor) -> Tensor:
        return cap_H[head] * torch.tanh(score / cap_H[head])

    return capped


@cache
def _kernel() -> Callable[..., Tensor]:
    """FlexAttention compiled once: with `dynamic`, a new length costs nothing; without, 15 seconds each."""
    from torch.nn.attention.flex_attention import flex_attention

    # Windows, gradients on or off, and numbers of heads make a graph each, and beyond the limit it would run uncompiled
    # with all scores in memory, for the rest of the run.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _GRAPHS)
    compiled: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=True)
    return compiled
