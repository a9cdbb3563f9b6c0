"""Every attention path on a GPU, in half precision, against the dense oracle in float32 on the same numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from palate.packing.attention.cascade import attend_cascade, is_two_level
from palate.packing.attention.dense import attend_dense
from palate.packing.attention.flex import attend_flex
from palate.packing.attention.gather import Copies, gather_rows
from palate.packing.attention.scores import Scores
from palate.packing.attention.segments import attend_segments
from palate.packing.attention.varlen import attend_varlen
from palate.packing.batch import RewardBatch
from palate.packing.collate import collate_tree, read_only
from palate.records import TokenizedGroup
from palate.testing.attention import branching_group, emulated_varlen_attn, pack_zoo, random_states
from palate.testing.groups import token_group

pytestmark = pytest.mark.gpu

HEADS, SIZE = (9, 3), 64  # as SmolLM2-135M
PACKS: dict[str, tuple[TokenizedGroup, ...]] = {
    **pack_zoo(),
    "long pairs": (token_group(300, (170, 40)), token_group(90, (10, 500), seed=1), token_group(130, (128, 127))),
    "long tree": (branching_group(200, [(140, 30), (140, 200, 9), (50,), (140, 200, 130)]),),
    "long K=64": (token_group(400, [20 + i for i in range(64)]),),
}
PLAIN, WINDOW = Scores(SIZE**-0.5), Scores(SIZE**-0.5, window=100)
PATHS: dict[str, tuple[Callable[..., Tensor], Scores]] = {
    "varlen": (attend_varlen, PLAIN),
    "varlen, window": (attend_varlen, WINDOW),
    "varlen, small window": (attend_varlen, Scores(SIZE**-0.5, window=5)),
    "varlen, scaled": (attend_varlen, Scores(0.3)),
    "cascade": (attend_cascade, PLAIN),
    "cascade, scaled": (attend_cascade, Scores(0.3)),
    "flex": (attend_flex, PLAIN),
    "flex, soft cap": (attend_flex, Scores(SIZE**-0.5, softcap=2.0)),
    "flex, soft cap and window": (attend_flex, Scores(0.3, window=100, softcap=20.0)),
    "segments": (attend_segments, PLAIN),
    "segments, window": (attend_segments, WINDOW),
}
CASES = [
    (path, pack)
    for path, (attend, _) in PATHS.items()
    for pack, groups in PACKS.items()
    if attend is not attend_cascade
    or is_two_level(collate_tree(groups).layout.segments)  # the cascade is for no others
]
HALF = 0.02  # of the norm: bf16 itself leaves 0.003 to 0.01


@dataclass(frozen=True)
class Case:
    """A pack on the device, with states in half precision and a gradient from above."""

    batch: RewardBatch
    states: tuple[Tensor, ...]
    upstream: Tensor


def case(pack: str, device: torch.device, dtype: torch.dtype = torch.bfloat16) -> Case:
    batch = collate_tree(PACKS[pack]).to(device)
    states = random_states(batch.num_tokens, HEADS, SIZE)
    upstream = torch.randn(states[0].shape, generator=torch.Generator().manual_seed(9))
    on_device = tuple(each.detach().to(device, dtype).requires_grad_() for each in states)
    return Case(batch, on_device, upstream.to(device, dtype))


def values_and_gradients(attend: Callable[..., Tensor], of: Case, want: Scores) -> list[Tensor]:
    layout = of.batch.layout
    assert layout is not None
    if attend is attend_dense:
        states = tuple(each.detach().float().requires_grad_() for each in of.states)
        output = attend_dense(*states, layout, want)
    else:
        states = of.states
        output = attend_flex(*states, layout, want) if attend is attend_flex else attend(
            *states, layout, layout.segments, want
        )  # fmt: skip
    return [output, *torch.autograd.grad(output, states, of.upstream.to(output.dtype))]


def assert_near(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for name, ours, theirs in zip(("output", "queries", "keys", "values"), found, expected, strict=True):
        difference = (ours.float() - theirs).norm() / theirs.norm()
        assert difference < tolerance, f"{name}: {difference:.1e}"


@pytest.mark.parametrize(("path", "pack"), CASES)
def test_values_and_gradients_are_those_of_the_oracle(path: str, pack: str, device: torch.device) -> None:
    attend, want = PATHS[path]
    of = case(pack, device)
    assert of.batch.layout is not None
    assert_near(values_and_gradients(attend, of, want), values_and_gradients(attend_dense, of, want), HALF)


@pytest.mark.parametrize("want", [PLAIN, WINDOW, Scores(0.3, softcap=2.0)], ids=["plain", "window", "soft cap"])
@pytest.mark.parametrize("pack", ["mixed K", "long tree"])
def test_segments_in_float32_are_exact(pack: str, want: Scores, device: torch.device) -> None:
    of = case(pack, device, torch.float32)
    found, expected = (values_and_gradients(attend, of, want) for attend in (attend_segments, attend_dense))
    assert_near(found, expected, 1e-4)


@pytest.mark.parametrize("window", [(-1, 0), (4, 0), (40, 0)])
def test_the_kernel_aligns_masks_at_the_lower_right(window: tuple[int, int], device: torch.device) -> None:
    from torch.nn.attention.varlen import varlen_attn

    lengths_q, lengths_k = (1, 3, 70, 200, 5), (1, 90, 300, 200, 133)
    bounds_q, bounds_k = (
        torch.tensor([0, *lengths], device=device).cumsum(0).int() for lengths in (lengths_q, lengths_k)
    )
    query = torch.randn(sum(lengths_q), 4, SIZE, device=device, dtype=torch.bfloat16)
    key, value = (torch.randn(sum(lengths_k), 4, SIZE, device=device, dtype=torch.bfloat16) for _ in range(2))
    bounds = (bounds_q, bounds_k, max(lengths_q), max(lengths_k))
    found = varlen_attn(query, key, value, *bounds, scale=0.125, window_size=window)
    exact = emulated_varlen_attn(query.float(), key.float(), value.float(), *bounds, scale=0.125, window_size=window)
    assert_near([found] * 4, [exact] * 4, HALF)


@pytest.mark.parametrize("path", ["varlen", "varlen, window", "cascade", "segments"])
@pytest.mark.parametrize("pack", ["mixed K", "long pairs", "long K=64"])
def test_the_layer_that_is_read_in_part_computes_what_is_read(path: str, pack: str, device: torch.device) -> None:
    attend, want = PATHS[path]
    whole = collate_tree(PACKS[pack])
    rows = whole.last_index_N.unique()[::2]
    batch = read_only(whole, rows, layer=0).to(device)
    of = case(pack, device)
    layout, rows = batch.layout, rows.to(device)
    assert layout is not None
    assert layout.reading is not None
    exact = tuple(each.detach().float().requires_grad_() for each in of.states)
    output = attend(*of.states, layout, layout.reading.segments, want)[:, :, rows]
    dense = attend_dense(*exact, layout, want)[:, :, rows]
    upstream = of.upstream[:, :, rows]
    found = [output, *torch.autograd.grad(output, of.states, upstream)]
    assert_near(found, [dense, *torch.autograd.grad(dense, exact, upstream.float())], HALF)


class TestSameBitsEveryTime:
    """What palate adds is deterministic of itself; the flash kernel's backward is when PyTorch is asked for it."""

    @pytest.fixture
    def deterministic(self) -> Iterator[None]:
        torch.use_deterministic_algorithms(True)
        yield
        torch.use_deterministic_algorithms(False)

    def test_the_gather(self, device: torch.device) -> None:
        index = torch.randint(0, 100, (20_000,), generator=torch.Generator().manual_seed(0)).numpy()
        copies = Copies.of(index, 100, device)
        states = torch.randn(100, 8, 64, device=device, dtype=torch.bfloat16, requires_grad=True)
        upstream = torch.randn(20_000, 8, 64, device=device, dtype=torch.bfloat16)
        first, *others = (torch.autograd.grad(gather_rows(states, copies), states, upstream)[0] for _ in range(10))
        assert all(torch.equal(first, other) for other in others)
        exact = torch.zeros(100, 8, 64, device=device, dtype=torch.float64)
        exact.index_add_(0, torch.from_numpy(index).to(device), upstream.double())
        torch.testing.assert_close(first.double(), exact, atol=0, rtol=2**-8)  # rounded once

    @pytest.mark.parametrize("path", ["varlen", "varlen, window", "cascade"])
    def test_the_whole_backward_pass(self, path: str, device: torch.device, deterministic: None) -> None:
        attend, want = PATHS[path]
        of = case("long K=64", device)
        first, *others = (values_and_gradients(attend, of, want) for _ in range(5))
        for other in others:
            assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("path", ["varlen", "cascade", "flex"])
def test_no_layer_waits_for_the_gpu(path: str, device: torch.device) -> None:
    attend, want = PATHS[path]
    of = case("long pairs", device)
    values_and_gradients(attend, of, want)  # loads and compiles the kernels
    assert of.batch.layout is not None
    of.batch.layout.cache.clear()
    torch.cuda.set_sync_debug_mode("error")
    try:
        values_and_gradients(attend, of, want)
    finally:
        torch.cuda.set_sync_debug_mode("default")
