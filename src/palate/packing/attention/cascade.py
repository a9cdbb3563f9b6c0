"""Attention over the tree layout in two calls, put together by their log-sum-exp: no copies of the prompt.

Further responses see their own rows, causally, and their prompt's, all of them. The two calls are

    own     every segment against its own rows
    prompt  all further responses of a group, as one stretch of queries, against the prompt's rows

and softmax over both is their average weighted by exp(lse) (Hydragen, 2402.05099, section 3.1). The gradient needs no
log-sum-exp to be differentiated: FlashAttention's backward makes its weights as exp(score - lse) and the rowwise term
from the output, so that given the *merged* log-sum-exp and output each call yields its share of the whole softmax's
gradient, and the shares of the queries add up (as ring attention does, 2310.01889).

A window would begin at another place of the prompt for every row, and deeper trees have more than one shared part:
neither is done here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from palate.packing.attention.gather import Copies, bounds_of, gather_rows, rows_of, sum_copies, to_device
from palate.packing.attention.kernels import CpuFlash, CudaFlash, FlashKernel, Stretches, Three
from palate.packing.attention.scores import Scores
from palate.packing.attention.varlen import spread
from palate.packing.batch import Run, Segment, TreeLayout


@dataclass(frozen=True, slots=True)
class _Plan:
    """The two calls of a layout.

    Attributes:
        queries: rows that are computed; None for all.
        own_keys: rows of the first call's keys; None for all.
        own: stretches of the first call.
        further_Q: which of the computed queries are of further responses, int64.
        prompt_K: their prompts' rows, int64.
        prompt: stretches of the second call; None where nothing is shared.
    """

    queries: Copies | None
    own_keys: Copies | None
    own: Stretches
    further_Q: Tensor
    prompt_K: Tensor
    prompt: Stretches | None

    @classmethod
    def of(cls, segments: Sequence[Segment], num_rows: int, device: torch.device) -> Self:
        own_keys = [s.keys[-1] for s in segments]
        prompts: dict[Run, int] = {}
        further: list[np.ndarray[Any, np.dtype[np.int64]]] = []
        at = 0
        for segment in segments:
            if len(segment.keys) > 1:
                prompts[segment.keys[0]] = prompts.get(segment.keys[0], 0) + segment.length
                further.append(np.arange(at, at + segment.length))
            at += segment.length
        empty = np.empty(0, dtype=np.int64)
        return cls(
            queries=Copies.of(rows_of([(s.start, s.length) for s in segments]), num_rows, device),
            own_keys=Copies.of(rows_of(own_keys), num_rows, device),
            own=_stretches([s.length for s in segments], [length for _, length in own_keys], device, causal=True),
            further_Q=to_device(np.concatenate((empty, *further)), device),
            prompt_K=to_device(rows_of(tuple(prompts)), device),
            prompt=_stretches(list(prompts.values()), [n for _, n in prompts], device, causal=False)
            if prompts
            else None,
        )


def _stretches(queries: list[int], keys: list[int], device: torch.device, *, causal: bool) -> Stretches:
    ends_q, ends_k = (tuple(np.cumsum((0, *lengths)).tolist()) for lengths in (queries, keys))
    return Stretches(bounds_of(queries, device), bounds_of(keys, device), ends_q, ends_k, causal)


def is_two_level(segments: Sequence[Segment]) -> bool:
    """Whether every segment sees its own rows and at most one shared run, the same for all that begin there."""
    prompts = [s.keys[0] for s in segments if len(s.keys) > 1]
    one_each = len(set(prompts)) == len({start for start, _ in prompts})
    return one_each and all(len(s.keys) <= 2 for s in segments)


def attend_cascade(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    layout: TreeLayout,
    segments: Sequence[Segment],
    want: Scores,
) -> Tensor:
    """[1, H, T, head size]; rows that no segment covers are zero. For layouts that are `is_two_level`."""
    assert is_two_level(segments)
    assert want.window is None
    assert not want.softcap
    assert not want.dropout
    num_rows, device, dtype = query_BHTD.shape[2], value_BHTD.device, value_BHTD.dtype
    cache_key = ("cascade", segments is layout.segments, device)
    if cache_key not in layout.cache:
        layout.cache[cache_key] = _Plan.of(segments, num_rows, device)
    plan: _Plan = layout.cache[cache_key]
    query, key, value = (states[0].transpose(0, 1).to(dtype) for states in (query_BHTD, key_BHTD, value_BHTD))
    kernel: FlashKernel = CpuFlash() if device.type == "cpu" else CudaFlash()
    output: Tensor = _Cascade.apply(  # type: ignore[no-untyped-call]
        gather_rows(query, plan.queries), key, value, plan, kernel, want.scale
    )
    return spread(output, plan.queries, num_rows).transpose(0, 1)[None]


class _Cascade(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, plan: _Plan, kernel: Any, scale: float) -> Tensor:
        own, prompt = _inputs(query, key, value, plan)
        output_QHD, lse_HQ = kernel.forward(own, plan.own, scale)
        if plan.prompt is not None:
            rows = plan.further_Q
            before = output_QHD.index_select(0, rows), lse_HQ.index_select(1, rows)
            merged = _merge(*before, *kernel.forward(prompt, plan.prompt, scale))
            output_QHD = output_QHD.index_copy(0, rows, merged[0])
            lse_HQ = lse_HQ.index_copy(1, rows, merged[1])
        ctx.save_for_backward(query, key, value, output_QHD, lse_HQ)
        ctx.plan, ctx.kernel, ctx.scale = plan, kernel, scale
        result: Tensor = output_QHD
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_QHD: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output_QHD, lse_HQ = ctx.saved_tensors
        plan: _Plan = ctx.plan
        own, prompt = _inputs(query, key, value, plan)
        d_query, d_own_key, d_own_value = ctx.kernel.backward(grad_QHD, own, output_QHD, lse_HQ, plan.own, ctx.scale)
        d_key, d_value = (_to_rows(grad, plan.own_keys) for grad in (d_own_key, d_own_value))
        if plan.prompt is not None:
            rows = plan.further_Q
            grad, output = grad_QHD.index_select(0, rows), output_QHD.index_select(0, rows)
            lse = lse_HQ.index_select(1, rows)
            shares = ctx.kernel.backward(grad, prompt, output, lse, plan.prompt, ctx.scale)
            # Each row is named once, so every sum has two terms and one order.
            d_query = d_query.index_add(0, rows, shares[0])
            d_key, d_value = (d.index_add(0, plan.prompt_K, s) for d, s in ((d_key, shares[1]), (d_value, shares[2])))
        return d_query, d_key, d_value, None, None, None


def _inputs(query: Tensor, key: Tensor, value: Tensor, plan: _Plan) -> tuple[Three, Three]:
    """What the two calls read."""
    own = (query, gather_rows(key, plan.own_keys), gather_rows(value, plan.own_keys))
    prompt = (key.index_select(0, plan.prompt_K), value.index_select(0, plan.prompt_K))
    return own, (query.index_select(0, plan.further_Q), *prompt)


def _to_rows(grad_KHD: Tensor, copies: Copies | None) -> Tensor:
    return grad_KHD if copies is None else sum_copies(grad_KHD, copies)


def _merge(one_QHD: Tensor, one_HQ: Tensor, two_QHD: Tensor, two_HQ: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the keys of both: output and log-sum-exp."""
    lse_HQ = torch.logaddexp(one_HQ, two_HQ)
    share_QH1 = (one_HQ - lse_HQ).exp().T[:, :, None]
    merged = torch.lerp(two_QHD.float(), one_QHD.float(), share_QH1)
    return merged.to(one_QHD.dtype), lse_HQ
