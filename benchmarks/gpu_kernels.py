"""The part of `benchmarks.gpu` that times attention alone: every path of palate's, and separate sequences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import median

import torch
from torch import Tensor

from benchmarks.gpu_budget import Budget
from benchmarks.report import Report, alternate, timed
from palate.packing.attention.cascade import attend_cascade
from palate.packing.attention.choice import key_rows_per_row
from palate.packing.attention.dense import attend_dense
from palate.packing.attention.flex import attend_flex
from palate.packing.attention.scores import Scores
from palate.packing.attention.segments import attend_segments
from palate.packing.attention.varlen import attend_varlen
from palate.packing.batch import TreeLayout
from palate.packing.collate import collate_tree
from palate.records import TokenizedGroup
from palate.testing.groups import token_group

KERNELS = "Attention of one layer"
PATHS = ("varlen", "flex", "cascade", "segments", "dense", "separate")
_DENSE_COPIES = 10  # [H, T, T] in half precision: scores, the same masked, float32 weights, and gradients of all

Run = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Grid:
    """Which groups to lay out.

    Attributes:
        prompts, responses, numbers: tokens of the prompt, of each response, and responses of a group.
        tokens: of a row, filled with as many groups as fit, one at least.
        heads, size: of queries and of keys; of a head.
        dense_bytes: most that the dense path may take.
    """

    prompts: Sequence[int] = (128, 512, 2048)
    responses: Sequence[int] = (128, 512)
    numbers: Sequence[int] = (2, 4, 16, 64)
    tokens: int = 8192
    heads: tuple[int, int] = (32, 8)
    size: int = 128
    dense_bytes: int = 24 * 2**30


TINY = Grid(prompts=(9,), responses=(3,), numbers=(2, 4), tokens=40, heads=(4, 2), size=16)


def kernels(report: Report, budget: Budget, grid: Grid, device: torch.device) -> None:
    """Forward, and forward with backward, of every path at every point of the grid, in turns."""
    points = list(product(grid.prompts, grid.responses, grid.numbers))
    # Points far apart come first, so that a budget that runs out leaves a coarse grid rather than a corner of it.
    for at, (prompt, response, number) in enumerate(points[::3] + points[1::3] + points[2::3]):
        if budget.spent:
            report.notes.append(f"{KERNELS}: {len(points) - at} of {len(points)} points left out, no time was left.")
            return
        try:
            _point(prompt, response, number, report, grid, device)
        except torch.OutOfMemoryError:
            report.notes.append(f"{KERNELS}: {prompt} + {number} x {response} left out, out of memory.")


def _point(prompt: int, response: int, number: int, report: Report, grid: Grid, device: torch.device) -> None:
    groups = _groups(prompt, response, number, grid.tokens)
    runs = dict(_runs(groups, grid, device, report))
    layout = collate_tree(groups).layout
    assert layout is not None
    for backward in (False, True):
        turns = {name: timed(partial(run, backward)) for name, run in runs.items()}
        seconds = alternate(turns, 5, warm_up=2)
        report.add(
            KERNELS,
            prompt=prompt,
            response=response,
            number=number,
            groups=len(groups),
            key_rows_per_row=key_rows_per_row(layout.segments),
            passes="both" if backward else "forward",
            **{f"{name}_ms": 1e3 * median(seconds[name]) if name in seconds else None for name in PATHS},
        )


def _groups(prompt: int, response: int, number: int, tokens: int) -> list[TokenizedGroup]:
    fitting = max(1, tokens // (prompt + number * response))
    return [token_group(prompt, [response] * number, seed=seed) for seed in range(fitting)]


def _runs(groups: list[TokenizedGroup], grid: Grid, device: torch.device, report: Report) -> Iterator[tuple[str, Run]]:
    """Each path that this device has, ready to run."""
    shared = collate_tree(groups).to(device)
    alone = collate_tree(
        [token_group(0, [len(s)], seed=n) for n, s in enumerate(s for group in groups for s in group.sequences)]
    ).to(device)
    want = Scores(grid.size**-0.5)
    own_states, shared_states = (_states(batch.num_tokens, grid, device) for batch in (alone, shared))
    for name in PATHS:
        batch = alone if name == "separate" else shared
        if name == "dense" and _DENSE_COPIES * grid.heads[0] * batch.num_tokens**2 * 2 > grid.dense_bytes:
            _note_once(report, f"{KERNELS}: dense left out where it would take over {grid.dense_bytes >> 30} GiB.")
            continue
        if name == "flex" and device.type != "cuda":
            _note_once(report, f"{KERNELS}: flex left out, it has no backward pass on {device.type}.")
            continue
        assert batch.layout is not None
        states = own_states if name == "separate" else shared_states
        yield name, _run(name, states, batch.layout, want)


def _states(num_rows: int, grid: Grid, device: torch.device) -> list[Tensor]:
    """Queries, keys and values as a projection lays them out, [1, T, H, D] seen as [1, H, T, D]."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    shapes = [(1, num_rows, heads, grid.size) for heads in (grid.heads[0], grid.heads[1], grid.heads[1])]
    return [torch.randn(s, device=device, dtype=dtype).transpose(1, 2).requires_grad_() for s in shapes]


def _run(name: str, states: list[Tensor], layout: TreeLayout, want: Scores) -> Run:
    query, key, value = states
    segments = layout.segments
    upstream = torch.randn_like(query)
    attend: dict[str, Callable[[], Tensor]] = {
        "varlen": lambda: attend_varlen(query, key, value, layout, segments, want),
        "separate": lambda: attend_varlen(query, key, value, layout, segments, want),
        "flex": lambda: attend_flex(query, key, value, layout, want),
        "cascade": lambda: attend_cascade(query, key, value, layout, segments, want),
        "segments": lambda: attend_segments(query, key, value, layout, segments, want),
        "dense": lambda: attend_dense(query, key, value, layout, want),
    }

    def run(backward: bool) -> None:
        with torch.set_grad_enabled(backward):
            output = attend[name]()
        if backward:
            torch.autograd.grad(output, states, upstream)

    return run


def _note_once(report: Report, note: str) -> None:
    if note not in report.notes:
        report.notes.append(note)
