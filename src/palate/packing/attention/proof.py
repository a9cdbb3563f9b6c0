"""Proof, on the device at hand, that the path chosen there computes what it should.

A run's self-check compares whole bodies in float32, where the half-precision kernels of a GPU do not run. Those are
looked at alone, against the path that the self-check has shown to be right: on random numbers, errors of masks or
gradients are of order 1, and rounding is not.
"""

import torch

from palate.packing.attention.interface import attend
from palate.packing.attention.scores import Scores
from palate.packing.attention.segments import attend_segments
from palate.packing.batch import TreeLayout

TOLERANCE = 0.05
"""Of the norm: bf16 leaves 0.003 to 0.01, a mask that is off by one row 0.1 and more."""


def path_error(layout: TreeLayout, dtype: torch.dtype, want: Scores, *, head_size: int, share: int = 1) -> float:
    """Largest error of the output and of the three gradients, each by its norm, against `segments` in float32.

    Args:
        layout: whose groups to try.
        dtype: of the path.
        want: the layer's scores.
        head_size: of a head.
        share: heads of queries that share one of keys.
    """
    device, num_rows = layout.position_T.device, len(layout.position_T)
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, heads, num_rows, head_size) for heads in (2 * share, 2, 2, 2 * share)]
    *numbers, upstream = (torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes)
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        query, key, value = (each.requires_grad_() for each in numbers)
        found = attend(query, key, value, layout, layout.segments, want)
        grads = torch.autograd.grad(found, (query, key, value), upstream)
        query, key, value = (each.detach().float().requires_grad_() for each in numbers)
        exact = attend_segments(query, key, value, layout, layout.segments, want)
        exact_grads = torch.autograd.grad(exact, (query, key, value), upstream.float())
    pairs = zip((found.detach(), *grads), (exact.detach(), *exact_grads), strict=True)
    return max(float((ours.float() - theirs).norm() / theirs.norm()) for ours, theirs in pairs)
