"""The proof of a path: quiet about rounding, loud about a kernel that is wrong."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from palate.errors import ModelError
from palate.model import self_check
from palate.model.self_check import check_sharing
from palate.packing.attention import interface
from palate.packing.attention.choice import Path
from palate.packing.attention.proof import TOLERANCE, path_error
from palate.packing.attention.scores import Scores
from palate.packing.batch import TreeLayout
from palate.packing.collate import collate_tree
from palate.testing.attention import emulated_varlen_attn, pack_zoo
from palate.testing.groups import token_group
from palate.testing.separate import sharp_reward_model

GROUPS = (token_group(60, (50, 30)), token_group(13, (12, 1, 4), seed=2))


def layout_of(pack: str) -> TreeLayout:
    layout = collate_tree(pack_zoo()[pack]).layout
    assert layout is not None
    return layout


@pytest.fixture
def varlen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Tensor]], None]:
    """Makes half precision take `varlen` with the kernel given, and float32 `segments`, as on a GPU."""

    def choose(*arguments: object, **_: object) -> Path:
        half = torch.bfloat16 in arguments
        return Path("varlen", "forced") if half else Path("segments", "float32")

    def use(kernel: Callable[..., Tensor]) -> None:
        monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
        monkeypatch.setattr(interface, "choose_path", choose)
        monkeypatch.setattr(self_check, "path_of_body", choose)

    return use


def aligned_at_the_upper_left(q, k, v, cu_q, cu_k, max_q, max_k, *, scale, window_size, enable_gqa) -> Tensor:
    """What other kernels take causal to mean: the first query sees the first key alone."""
    outputs = []
    for a, b, c, d in zip(cu_q, cu_q[1:], cu_k, cu_k[1:], strict=False):
        seen = min(int(b - a), int(d - c))
        one = [torch.tensor([0, n], dtype=torch.int32) for n in (b - a, seen)]
        outputs.append(
            emulated_varlen_attn(
                q[a:b], k[c : c + seen], v[c : c + seen], *one, int(b - a), seen,
                scale=scale, window_size=window_size, enable_gqa=enable_gqa,
            )
        )  # fmt: skip
    return torch.cat(outputs)


def one_row_off(*arguments, scale, window_size, enable_gqa) -> Tensor:
    return emulated_varlen_attn(*arguments, scale=scale, window_size=(window_size[0], 1), enable_gqa=enable_gqa)


def without_gradient_of_keys(query, key, *arguments, scale, window_size, enable_gqa) -> Tensor:
    options = {"scale": scale, "window_size": window_size, "enable_gqa": enable_gqa}
    return emulated_varlen_attn(query, key.detach() + 0 * key, *arguments, **options)


WRONG = [aligned_at_the_upper_left, one_row_off, without_gradient_of_keys]


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("pack", ["mixed K", "tree", "system turn", "K=64"])
def test_a_right_kernel_leaves_rounding(varlen, pack: str, window: int | None) -> None:
    varlen(emulated_varlen_attn)
    error = path_error(layout_of(pack), torch.bfloat16, Scores(0.25, window), head_size=16, share=3)
    assert 1e-4 < error < TOLERANCE / 2


@pytest.mark.parametrize("kernel", WRONG)
@pytest.mark.parametrize("pack", ["mixed K", "tree", "system turn", "K=64"])
def test_a_wrong_kernel_shows(varlen, pack: str, kernel: Callable[..., Tensor]) -> None:
    varlen(kernel)
    assert path_error(layout_of(pack), torch.bfloat16, Scores(0.25), head_size=16, share=3) > 2 * TOLERANCE


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_the_self_check_of_a_run_looks_at_the_path_of_its_precision(varlen, kind: str) -> None:
    model = sharp_reward_model(kind)
    model.compute_dtype = torch.bfloat16
    varlen(emulated_varlen_attn)
    check_sharing(model, GROUPS)
    varlen(one_row_off)
    with pytest.raises(ModelError, match=r"attention path varlen \(forced\) gives wrong numbers"):
        check_sharing(model, GROUPS)
    model.compute_dtype = torch.float32  # which does not take that path
    check_sharing(model, GROUPS)
