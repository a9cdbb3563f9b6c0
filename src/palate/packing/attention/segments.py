"""Attention over the tree layout, one scaled-dot-product call a segment: the path of CPUs, and the one that does all.

The first response of a group together with its prompt is plain causal attention, which needs no mask; a single query
needs none either. Each further response attends to the rows of its sequence so far, with a mask aligned at the
lower right that is made once for all layers.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from palate.packing.attention.dense import attend_plainly
from palate.packing.attention.scores import Scores
from palate.packing.batch import Run, Segment, TreeLayout

# On CPUs, attention under bf16 runs in float32 up to this many keys. The bf16 kernel is worth its casts where the CPU
# multiplies bf16 in tiles (AMX), and from about 256 keys on; without them, forward and backward of eight pairs of 200
# to 400 tokens took 61 ms a layer in float32 and 75 in bf16, and of two pairs of 700, 60 and 67.
_SHORT = 256 if torch.cpu._is_amx_tile_supported() else sys.maxsize


def attend_segments(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    layout: TreeLayout,
    segments: Sequence[Segment],
    want: Scores,
) -> Tensor:
    """[1, H, T, head size]; rows that no segment covers are zero."""
    keys = _runs_of(key_BHTD, layout, segments)
    values = _runs_of(value_BHTD, layout, segments)
    outputs: list[Tensor] = []
    at = 0
    # Autocast would choose each call's precision again; it is chosen once, by the segment.
    with torch.autocast(value_BHTD.device.type, enabled=False):
        for segment, gap, query, key, value in zip(
            segments, _gaps(segments), _queries(query_BHTD, segments), keys, values, strict=True
        ):
            if gap:
                outputs.append(_zeros(query_BHTD, value_BHTD, gap))
            outputs.append(_attend(query, key, value, segment, layout, want).to(value_BHTD.dtype))
            at = segment.start + segment.length
    if rest := query_BHTD.shape[2] - at:
        outputs.append(_zeros(query_BHTD, value_BHTD, rest))
    return torch.cat(outputs, dim=2)


def _gaps(segments: Sequence[Segment]) -> list[int]:
    """Rows left out before each segment."""
    ends = [0, *(segment.start + segment.length for segment in segments)]
    return [segment.start - end for segment, end in zip(segments, ends, strict=False)]


def _zeros(query_BHTD: Tensor, value_BHTD: Tensor, rows: int) -> Tensor:
    """What is put out for rows that are left out: heads of the queries, of the size of the values'."""
    return value_BHTD.new_zeros(1, query_BHTD.shape[1], rows, value_BHTD.shape[3])


def _queries(query_BHTD: Tensor, segments: Sequence[Segment]) -> list[Tensor]:
    """Each segment's queries.

    One `split` rather than a slice a segment: the backward of a slice fills a zero tensor of the whole row each
    time, the backward of a split is a single concatenation.
    """
    sizes: list[int] = []
    for segment, gap in zip(segments, _gaps(segments), strict=True):
        sizes += [gap, segment.length]
    pieces = torch.split(query_BHTD, [*sizes, query_BHTD.shape[2] - sum(sizes)], dim=2)
    return list(pieces[1::2])


def _runs_of(states_BHTD: Tensor, layout: TreeLayout, segments: Sequence[Segment]) -> list[Tensor]:
    """Keys or values that each segment sees, put together from pieces of one split."""
    cache_key = ("cuts", segments is layout.segments)
    if cache_key not in layout.cache:
        layout.cache[cache_key] = _cut(segments, states_BHTD.shape[2])
    sizes, picks = layout.cache[cache_key]
    pieces = torch.split(states_BHTD, sizes, dim=2)
    return [pieces[pick[0]] if len(pick) == 1 else torch.cat([pieces[i] for i in pick], dim=2) for pick in picks]


def _cut(segments: Sequence[Segment], num_rows: int) -> tuple[list[int], list[list[int]]]:
    """Sizes of pieces that never cross the end of a run, and the pieces that make up each segment's keys."""
    edges = {0, num_rows}
    for segment in segments:
        for start, length in segment.keys:
            edges |= {start, start + length}
    bounds = sorted(edges)
    piece_at = {bound: index for index, bound in enumerate(bounds)}

    def pieces(run: Run) -> range:
        return range(piece_at[run[0]], piece_at[run[0] + run[1]])

    sizes = [end - start for start, end in pairwise(bounds)]
    return sizes, [[piece for run in segment.keys for piece in pieces(run)] for segment in segments]


def _attend(query: Tensor, key: Tensor, value: Tensor, segment: Segment, layout: TreeLayout, want: Scores) -> Tensor:
    """Queries are the last rows of the keys' run: causal, aligned at the lower right."""
    num_keys = key.shape[2]
    short = value.dtype is torch.bfloat16 and value.device.type == "cpu" and num_keys <= _SHORT
    dtype = torch.float32 if short else value.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    windowed = want.window if want.window is not None and want.window < num_keys else None
    if want.softcap:
        return attend_plainly(query, key, value, _visible(layout, query, num_keys, windowed), want)
    whole = segment.length == num_keys and windowed is None
    mask = None if whole or (segment.length == 1 and windowed is None) else _mask(layout, query, num_keys, windowed)
    share = query.shape[1] // key.shape[1]
    if share > 1 and query.device.type == "cuda" and (mask is not None or dtype is torch.float32):
        # The memory-efficient kernel is the only one for these, and knows no shared heads: PyTorch would fall back to
        # the plain one, which keeps all scores.
        key, value = key.repeat_interleave(share, dim=1), value.repeat_interleave(share, dim=1)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=want.dropout,
        is_causal=whole and num_keys > 1,
        scale=want.scale,
        enable_gqa=key.shape[1] != query.shape[1],
    )


def _mask(layout: TreeLayout, query: Tensor, num_keys: int, window: int | None) -> Tensor:
    """0 or -inf [Q, K], as the kernel wants it: of a bool it would make this anew in every layer."""
    cache_key = ("mask", query.shape[2], num_keys, window, query.dtype, query.device)
    if cache_key not in layout.cache:
        visible = _visible(layout, query, num_keys, window)
        layout.cache[cache_key] = torch.zeros_like(visible, dtype=query.dtype).masked_fill_(~visible, -torch.inf)
    found: Tensor = layout.cache[cache_key]
    return found


def _visible(layout: TreeLayout, query: Tensor, num_keys: int, window: int | None) -> Tensor:
    cache_key = ("visible", query.shape[2], num_keys, window, query.device)
    if cache_key not in layout.cache:
        q_position = torch.arange(num_keys - query.shape[2], num_keys, device=query.device)[:, None]
        k_position = torch.arange(num_keys, device=query.device)[None, :]
        visible = k_position <= q_position
        layout.cache[cache_key] = visible if window is None else visible & (q_position - k_position < window)
    found: Tensor = layout.cache[cache_key]
    return found
