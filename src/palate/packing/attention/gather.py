"""Rows taken by number, some of them several times, with a backward pass that adds the copies up exactly one way.

The backward of `index_select` adds every copy into its row with atomics, in the tensor's own precision: in bf16, what
64 responses say about one prompt is rounded 64 times, in whatever order the threads came. Here the copies of a row
are brought together and summed once, in float32 at least: the same bits every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from palate.packing.batch import Run, send

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Copies:
    """Which rows are taken, and where the copies of each row are.

    Attributes:
        index_K: int64 [K], the row that each copy is of.
        tables: per number of copies m that occurs, int64 [rows, m]: the copies of each row that has m.
        place_T: int64 [T], where each row comes when the tables' rows follow each other, rows without a copy last.
        num_idle: rows without a copy.
    """

    index_K: Tensor
    tables: tuple[Tensor, ...]
    place_T: Tensor
    num_idle: int

    @classmethod
    def of(cls, index_K: Ints, num_rows: int, device: torch.device) -> Self | None:
        """The copies of `index_K` on a device; None where every row is taken once, in order: nothing is to be done.

        Nothing here waits for the device.
        """
        if np.array_equal(index_K, np.arange(num_rows)):
            return None
        counts = np.bincount(index_K, minlength=num_rows)
        by_row = np.argsort(index_K, kind="stable")
        first = np.cumsum(counts) - counts
        owners = [np.flatnonzero(counts == m) for m in np.unique(counts[counts > 0])]
        tables = [by_row[first[rows][:, None] + np.arange(counts[rows[0]])] for rows in owners]
        idle = np.flatnonzero(counts == 0)
        place = np.empty(num_rows, dtype=np.int64)
        place[np.concatenate((*owners, idle))] = np.arange(num_rows)
        sent = [to_device(array, device) for array in (index_K, place, *tables)]
        return cls(sent[0], tuple(sent[2:]), sent[1], len(idle))


def gather_rows(states_TX: Tensor, copies: Copies | None) -> Tensor:
    """Rows of `states_TX` by `copies.index_K`; all of them as they are where that is None.

    Args:
        states_TX: [T, ...].
        copies: which rows.

    Returns:
        [K, ...]; the gradient of a row is the sum of its copies' gradients, see the module docstring.
    """
    if copies is None:
        return states_TX
    found: Tensor = _Gather.apply(states_TX, copies)  # type: ignore[no-untyped-call]
    return found


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states_TX: Tensor, copies: Copies) -> Tensor:
        ctx.copies = copies
        return states_TX.index_select(0, copies.index_K)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_KX: Tensor) -> tuple[Tensor, None]:
        return sum_copies(grad_KX, ctx.copies), None


def sum_copies(grad_KX: Tensor, copies: Copies) -> Tensor:
    """[T, ...] of [K, ...]: each row the sum of its copies, added up in float32 at least and rounded once.

    A sum along an axis is that in PyTorch, whatever the precision of its terms.
    """
    rest = grad_KX.shape[1:]
    parts = []
    for each in copies.tables:
        part = grad_KX.index_select(0, each.flatten()).view(*each.shape, *rest)
        parts.append(part.squeeze(1) if each.shape[1] == 1 else part.sum(1))
    if copies.num_idle:
        parts.append(grad_KX.new_zeros(copies.num_idle, *rest))
    return torch.cat(parts).index_select(0, copies.place_T)


def rows_of(runs: Sequence[Run]) -> Ints:
    """The rows of runs, one after the other.

    >>> rows_of(((0, 3), (7, 2))).tolist()
    [0, 1, 2, 7, 8]
    """
    return np.concatenate([np.arange(start, start + length) for start, length in runs] or [np.empty(0, np.int64)])


def bounds_of(lengths: Sequence[int], device: torch.device) -> Tensor:
    """int32 [N + 1] on the device: where each of N stretches begins, and the end.

    >>> bounds_of((3, 2), torch.device("cpu"))
    tensor([0, 3, 5], dtype=torch.int32)
    """
    return to_device(np.cumsum((0, *lengths), dtype=np.int32), device)


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor on the device, see `palate.packing.batch.send`."""
    return send(torch.from_numpy(np.ascontiguousarray(array)), device)
