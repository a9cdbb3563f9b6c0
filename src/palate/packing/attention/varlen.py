"""Attention over the tree layout in one call of PyTorch's variable-length kernel: the path of CUDA.

Every segment is one sequence of the call: its own rows are the queries, the rows that it sees, gathered one run after
the other, its keys. A prompt's keys and values are so copied once a further response; at a Llama of 8B that is 4 KB a
token and layer, under 1 % of what its MLP moves. Because each segment's keys are one sequence from its first token on,
windows and prefix trees of any depth need nothing of their own.

The mathematics assumes that causal masks of unequal lengths are aligned at the lower right: query i of q sees the
first k - q + i + 1 of k keys. FlashAttention 2 does so since its version 2.1; `tests/gpu` checks it.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from palate.packing.attention.gather import Copies, bounds_of, gather_rows, rows_of
from palate.packing.attention.scores import Scores
from palate.packing.batch import Segment, TreeLayout


@dataclass(frozen=True, slots=True)
class _Call:
    """The tensors and numbers that the kernel is told, the same in every layer.

    Attributes:
        queries, keys: rows to gather; None for all in order.
        bounds_q, bounds_k: int32 [segments + 1].
        max_q, max_k: longest segment, and most keys of one.
    """

    queries: Copies | None
    keys: Copies | None
    bounds_q: Tensor
    bounds_k: Tensor
    max_q: int
    max_k: int

    @classmethod
    def of(cls, segments: Sequence[Segment], num_rows: int, device: torch.device) -> Self:
        lengths, num_keys = [s.length for s in segments], [s.num_keys for s in segments]
        own = rows_of([(s.start, s.length) for s in segments])
        seen = np.concatenate([rows_of(s.keys) for s in segments])
        return cls(
            queries=Copies.of(own, num_rows, device),
            keys=Copies.of(seen, num_rows, device),
            bounds_q=bounds_of(lengths, device),
            bounds_k=bounds_of(num_keys, device),
            max_q=max(lengths),
            max_k=max(num_keys),
        )


def attend_varlen(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    layout: TreeLayout,
    segments: Sequence[Segment],
    want: Scores,
) -> Tensor:
    """[1, H, T, head size]; rows that no segment covers are zero.

    Queries and keys are taken to the values' precision: rotary embeddings leave them in float32 under autocast.
    """
    num_rows, device, dtype = query_BHTD.shape[2], value_BHTD.device, value_BHTD.dtype
    cache_key = ("varlen", segments is layout.segments, device)
    if cache_key not in layout.cache:
        layout.cache[cache_key] = _Call.of(segments, num_rows, device)
    call: _Call = layout.cache[cache_key]
    query_THD, key_THD, value_THD = (
        states[0].transpose(0, 1).to(dtype) for states in (query_BHTD, key_BHTD, value_BHTD)
    )
    kernel, options = _kernel()
    windowed = want.window is not None and want.window < call.max_k
    output_QHD: Tensor = kernel(
        gather_rows(query_THD, call.queries),
        gather_rows(key_THD, call.keys),
        gather_rows(value_THD, call.keys),
        call.bounds_q,
        call.bounds_k,
        call.max_q,
        call.max_k,
        scale=want.scale,
        window_size=(want.window - 1, 0) if windowed and want.window else (-1, 0),
        **options,
    )
    return spread(output_QHD, call.queries, num_rows).transpose(0, 1)[None]


def spread(states_QX: Tensor, queries: Copies | None, num_rows: int) -> Tensor:
    """[T, ...] of [Q, ...]: each row back to where it was gathered from, zeros elsewhere."""
    if queries is None:
        return states_QX
    return states_QX.new_zeros(num_rows, *states_QX.shape[1:]).index_copy(0, queries.index_K, states_QX)


def varlen_obstacle() -> str | None:
    """Why this PyTorch has no variable-length attention that would do, or None: 2.10 lacks scale and windows."""
    try:
        kernel, _ = _kernel()
    except ImportError:
        return "this PyTorch has no variable-length attention, 2.11 has"
    missing = {"scale", "window_size"} - _parameters(kernel)
    return f"this PyTorch's variable-length attention has no {', '.join(sorted(missing))}" if missing else None


def _kernel() -> tuple[Callable[..., Any], dict[str, Any]]:
    """The kernel, and what to tell it so that heads may share keys: before 2.12 they did without being told."""
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn, {"enable_gqa": True} if "enable_gqa" in _parameters(varlen_attn) else {}


@cache
def _parameters(kernel: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(kernel).parameters)
