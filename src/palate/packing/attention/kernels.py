"""FlashAttention's forward and backward pass as PyTorch exposes them, with the log-sum-exp that autograd hides.

PyTorch's public functions give a log-sum-exp without a gradient, so attention put together from parts, which needs it,
has to call both passes itself. On CUDA one call does all stretches of queries; the CPU's kernel knows one stretch at
a time, and causal masks only of as many queries as keys.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

_aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Stretches:
    """N stretches of queries, each with its own stretch of keys.

    Attributes:
        bounds_q, bounds_k: int32 [N + 1], on the device.
        ends_q, ends_k: the same numbers for Python.
        causal: whether queries see no later keys, aligned at the lower right; else all of the stretch.
    """

    bounds_q: Tensor
    bounds_k: Tensor
    ends_q: tuple[int, ...]
    ends_k: tuple[int, ...]
    causal: bool

    @property
    def longest_q(self) -> int:
        """Most queries of a stretch."""
        return max(end - start for start, end in pairwise(self.ends_q))

    @property
    def longest_k(self) -> int:
        """Most keys of a stretch."""
        return max(end - start for start, end in pairwise(self.ends_k))


Three = tuple[Tensor, Tensor, Tensor]


class FlashKernel(Protocol):
    """Both passes over queries [Q, H, D] and keys and values [K, KV heads, D]."""

    def forward(self, qkv: Three, stretches: Stretches, scale: float) -> tuple[Tensor, Tensor]:
        """Output [Q, H, D], and the log-sum-exp of the scaled scores, float32 [H, Q]."""

    def backward(
        self, grad_QHD: Tensor, qkv: Three, output_QHD: Tensor, lse_HQ: Tensor, stretches: Stretches, scale: float
    ) -> Three:
        """Gradients of queries, keys and values; the weights are exp(scores - lse_HQ), whatever that sums over."""


class CudaFlash:
    """All stretches in one call, in fp16 or bf16."""

    def forward(self, qkv: Three, stretches: Stretches, scale: float) -> tuple[Tensor, Tensor]:
        """See `FlashKernel`."""
        bounds = (stretches.bounds_q, stretches.bounds_k, stretches.longest_q, stretches.longest_k)
        output_QHD, lse_HQ, *_ = _aten._flash_attention_forward(
            *qkv, *bounds, 0.0, stretches.causal, False, scale=scale
        )
        return output_QHD, lse_HQ

    def backward(
        self, grad_QHD: Tensor, qkv: Three, output_QHD: Tensor, lse_HQ: Tensor, stretches: Stretches, scale: float
    ) -> Three:
        """See `FlashKernel`."""
        bounds = (stretches.bounds_q, stretches.bounds_k, stretches.longest_q, stretches.longest_k)
        no_dropout = torch.zeros(2, dtype=torch.uint64, device=grad_QHD.device)
        unused = torch.empty(0, device=grad_QHD.device)
        found: Three = _aten._flash_attention_backward(
            grad_QHD.contiguous(),
            *qkv,
            output_QHD,
            lse_HQ.contiguous(),
            *bounds,
            0.0,
            stretches.causal,
            no_dropout,
            unused,
            scale=scale,
        )
        return found


class CpuFlash:
    """One stretch after the other: for tests of what is put together from the parts."""

    def forward(self, qkv: Three, stretches: Stretches, scale: float) -> tuple[Tensor, Tensor]:
        """See `FlashKernel`."""
        outputs, lses = [], []
        for part in _cut(qkv, stretches):
            output, lse = _aten._scaled_dot_product_flash_attention_for_cpu(
                *part, 0.0, False, attn_mask=_mask(part, stretches.causal), scale=scale
            )
            outputs.append(output[0].transpose(0, 1))
            lses.append(lse[0])
        return torch.cat(outputs), torch.cat(lses, dim=1)

    def backward(
        self, grad_QHD: Tensor, qkv: Three, output_QHD: Tensor, lse_HQ: Tensor, stretches: Stretches, scale: float
    ) -> Three:
        """See `FlashKernel`."""
        found = []
        rows = (_part(t, stretches.ends_q) for t in (grad_QHD, output_QHD))
        lses = torch.split(lse_HQ, [end - start for start, end in pairwise(stretches.ends_q)], dim=1)
        for part, grad, output, lse in zip(_cut(qkv, stretches), *rows, lses, strict=True):
            grads = _aten._scaled_dot_product_flash_attention_for_cpu_backward(
                grad, *part, output, lse[None].contiguous(), 0.0, False,
                attn_mask=_mask(part, stretches.causal), scale=scale,
            )  # fmt: skip
            found.append([g[0].transpose(0, 1) for g in grads])
        dq, dk, dv = (torch.cat(grads) for grads in zip(*found, strict=True))
        return dq, dk, dv


def _cut(qkv: Three, stretches: Stretches) -> list[Three]:
    query, key, value = qkv
    parts = (_part(query, stretches.ends_q), _part(key, stretches.ends_k), _part(value, stretches.ends_k))
    return list(zip(*parts, strict=True))


def _part(states_THD: Tensor, ends: tuple[int, ...]) -> list[Tensor]:
    """Stretches as the CPU's kernel takes them, [1, H, rows, D]."""
    return [states_THD[start:end].transpose(0, 1)[None] for start, end in pairwise(ends)]


def _mask(part: Three, causal: bool) -> Tensor | None:
    num_queries, num_keys = part[0].shape[2], part[1].shape[2]
    if not causal:
        return None
    hidden = torch.ones(num_queries, num_keys, dtype=torch.bool).triu(num_keys - num_queries + 1)
    return torch.zeros(num_queries, num_keys, dtype=part[0].dtype).masked_fill(hidden, -torch.inf)
