"""The oracle: attention over the tree layout from one [T, T] mask, written out; slow, and obviously right."""

import torch
import torch.nn.functional as F
from torch import Tensor

from palate.packing.attention.scores import Scores
from palate.packing.batch import TreeLayout


def attend_dense(query_BHTD: Tensor, key_BHTD: Tensor, value_BHTD: Tensor, layout: TreeLayout, want: Scores) -> Tensor:
    """[1, H, T, head size], all rows of every layer."""
    return attend_plainly(query_BHTD, key_BHTD, value_BHTD, visibility(layout, want.window), want)


def visibility(layout: TreeLayout, window: int | None = None) -> Tensor:
    """Bool [T, T]: whether row q sees column k."""
    row = torch.arange(len(layout.position_T), device=layout.position_T.device)
    visible = (row[None, :] <= row[:, None]) & (row[:, None] < layout.visible_until_T[None, :])
    if window is not None:
        visible &= layout.position_T[:, None] - layout.position_T[None, :] < window
    return visible


def attend_plainly(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, want: Scores) -> Tensor:
    """Attention written out: query [1, H, Q, D], key and value [1, KV heads, K, D], visible [Q, K]."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(-1, -2) * want.scale
    if want.softcap:
        scores = want.softcap * torch.tanh(scores / want.softcap)
    scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return F.dropout(weights, want.dropout) @ value
