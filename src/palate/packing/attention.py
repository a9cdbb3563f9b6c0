"""Attention over the tree layout, registered with transformers under two names.

`palate_tree` runs one scaled-dot-product call a segment: the first response of a group together with its prompt
is plain causal attention on the flash path, each further response attends to [prompt; itself]. `palate_tree_dense`
builds the whole [T, T] mask and is the oracle: slow, obvious, and held against the first in the tests.

Both follow transformers' attention-function signature. The layout travels as the keyword argument
`palate_layout` of the body's forward. Arguments that change the numbers and that a path does not implement are
refused, never ignored.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palate.errors import ModelError
from palate.packing.batch import Segment, TreeLayout

# On CPUs, short segments run in float32: forward and backward of 40 queries against 80 keys took 0.4 ms there and
# 2.4 ms in bf16, whose kernel only catches up from about 256 keys on.
_SHORT = 256

TREE = "palate_tree"
TREE_DENSE = "palate_tree_dense"


def tree_attention(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    *,
    palate_layout: TreeLayout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Attention of a packed row, segment by segment.

    Args:
        module: the attention layer; its `layer_idx` is noted in the layout.
        query_BHTD: [1, heads, T, head size].
        key_BHTD: [1, key-value heads, T, head size]; heads may be shared (grouped-query attention).
        value_BHTD: as the keys.
        attention_mask: must be None: the layout says who sees whom.
        palate_layout: the row's layout.
        scaling: of the scores; 1 / sqrt(head size) when None.
        dropout: attention dropout, zero outside training.
        sliding_window: how many positions a token sees, itself included.
        softcap: scores become softcap * tanh(scores / softcap), before the mask.
        unused: what transformers passes along; refused where it would change the result.

    Returns:
        [1, T, heads, head size] and None for the attention weights.

    Raises:
        ModelError: no layout came along, or the body wants something that this path does not do.
    """
    layout = _admit(module, palate_layout, attention_mask, unused)
    rows = [segment.length for segment in layout.segments]
    queries = torch.split(query_BHTD, rows, dim=2)
    keys = _segment_views(key_BHTD, layout)
    values = _segment_views(value_BHTD, layout)
    # Autocast would choose each call's precision again; it is chosen once, by the segment.
    with torch.autocast(value_BHTD.device.type, enabled=False):
        outputs = [
            _attend(q, k, v, segment, scaling, dropout, sliding_window, softcap).to(value_BHTD.dtype)
            for q, k, v, segment in zip(queries, keys, values, layout.segments, strict=True)
        ]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _segment_views(states_BHTD: Tensor, layout: TreeLayout) -> list[Tensor]:
    """Keys or values that each segment sees.

    One `split` rather than a slice a segment: the backward of a slice fills a zero tensor of the whole row each
    time, the backward of a split is a single concatenation.
    """
    rows: list[int] = []
    for segment, following in zip(layout.segments, (*layout.segments[1:], None), strict=True):
        shared = following.prefix_length if following is not None and segment.prefix_length == 0 else 0
        rows += [shared, segment.length - shared]
    pieces = torch.split(states_BHTD, rows, dim=2)
    seen: list[Tensor] = []
    prefix = pieces[0]
    for at, segment in enumerate(layout.segments):
        shared_piece, own = pieces[2 * at], pieces[2 * at + 1]
        if segment.prefix_length == 0:
            prefix = shared_piece
        seen.append(torch.cat((prefix, own), dim=2) if prefix.shape[2] else own)
    return seen


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segment: Segment,
    scaling: float | None,
    dropout: float,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Queries are the last rows of the keys' run: causal, aligned at the lower right."""
    num_keys = key.shape[2]
    short = value.dtype is torch.bfloat16 and value.device.type == "cpu" and num_keys <= _SHORT
    dtype = torch.float32 if short else value.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    windowed = window if window is not None and window < num_keys else None
    grouped = key.shape[1] != query.shape[1]
    if windowed is None and not softcap and segment.length == num_keys:
        return F.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
        )
    q_position = torch.arange(num_keys - segment.length, num_keys, device=query.device)[:, None]
    k_position = torch.arange(num_keys, device=query.device)[None, :]
    visible = k_position <= q_position
    if windowed is not None:
        visible &= q_position - k_position < windowed
    if softcap:
        return _capped_attention(query, key, value, visible, scaling, dropout, softcap)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=visible, dropout_p=dropout, scale=scaling, enable_gqa=grouped
    )


def _capped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    visible: Tensor,
    scaling: float | None,
    dropout: float,
    softcap: float | None,
) -> Tensor:
    """Attention written out, for soft-capped scores (Gemma 2, section 2) and for the oracle."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(-1, -2) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return F.dropout(weights, dropout) @ value


def dense_tree_attention(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    *,
    palate_layout: TreeLayout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """The same result from one [T, T] mask: the oracle of `tree_attention`, with the same arguments."""
    layout = _admit(module, palate_layout, attention_mask, unused)
    visible = dense_visibility(layout, sliding_window)
    output = _capped_attention(query_BHTD, key_BHTD, value_BHTD, visible, scaling, dropout, softcap)
    return output.transpose(1, 2), None


def dense_visibility(layout: TreeLayout, sliding_window: int | None = None) -> Tensor:
    """Bool [T, T]: whether row q sees column k."""
    row = torch.arange(len(layout.position_T), device=layout.position_T.device)
    visible = (row[None, :] <= row[:, None]) & (row[:, None] < layout.visible_until_T[None, :])
    if sliding_window is not None:
        visible &= layout.position_T[:, None] - layout.position_T[None, :] < sliding_window
    return visible


def _admit(
    module: nn.Module, layout: TreeLayout | None, attention_mask: Tensor | None, unused: dict[str, Any]
) -> TreeLayout:
    if layout is None:
        raise ModelError("the body did not hand the tree layout to its attention; train it with --layout padded")
    if attention_mask is not None:
        raise ModelError("the body built an attention mask of its own beside the tree layout; use --layout padded")
    for name in ("s_aux", "position_bias", "head_mask"):
        if unused.get(name) is not None:
            raise ModelError(f"the body's attention needs {name!r}, which the tree layout does not do: --layout padded")
    if unused.get("is_causal") is False or getattr(module, "is_causal", True) is False:
        raise ModelError("the body's attention is not causal, so prompts cannot be shared: use --layout padded")
    layout.layers_seen.add(int(getattr(module, "layer_idx", -1)))
    return layout


def no_mask(*_args: Any, **_kwargs: Any) -> None:
    """Transformers' mask function for the tree layout: there is none to build."""
