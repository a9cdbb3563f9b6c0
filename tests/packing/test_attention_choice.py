"""Which path a layer gets: the table of `choose_path`, with CUDA stood in for by what it would say."""

import math

import pytest
import torch

from palate.packing.attention import choice
from palate.packing.attention.choice import choose_path, key_rows_per_row, path_of_body
from palate.packing.attention.scores import Scores
from palate.packing.collate import collate_tree
from palate.testing.attention import pack_zoo
from palate.testing.tiny import tiny_config

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32
PLAIN, WINDOW, CAPPED = Scores(1.0), Scores(1.0, window=5), Scores(1.0, softcap=50.0)


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch):
    """A function that says which compute capability there is; 9.0 until it is called."""

    def of(*capability: int) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)

    of(9, 0)
    return of


@pytest.mark.parametrize(
    ("device", "dtype", "want", "head_size", "expected"),
    [
        (CPU, FP32, PLAIN, 64, "segments (cpu, float32)"),
        (CPU, BF16, PLAIN, 64, "segments (cpu, bfloat16)"),
        (CUDA, BF16, PLAIN, 64, "varlen (cuda, bfloat16)"),
        (CUDA, FP16, WINDOW, 128, "varlen (cuda, float16)"),
        (CUDA, BF16, PLAIN, 256, "varlen (cuda, bfloat16)"),
        (CUDA, BF16, CAPPED, 256, "flex (cuda, bfloat16, soft-capped)"),
        (CUDA, BF16, Scores(1.0, window=5, softcap=50.0), 64, "flex (cuda, bfloat16, soft-capped)"),
        (CUDA, FP32, PLAIN, 64, "segments (cuda, float32: other paths are for half precision)"),
        (CUDA, FP32, CAPPED, 64, "segments (cuda, float32: other paths are for half precision)"),
        (CUDA, BF16, Scores(1.0, dropout=0.1), 64, "segments (cuda, bfloat16: attention dropout)"),
        (CUDA, BF16, PLAIN, 60, "segments (cuda, bfloat16: heads of size 60)"),
        (CUDA, BF16, PLAIN, 264, "segments (cuda, bfloat16: heads of size 264)"),
        (CUDA, BF16, CAPPED, 8, "segments (cuda, bfloat16: heads of size 8)"),
    ],
)
def test_the_table(device: torch.device, dtype: torch.dtype, want: Scores, head_size: int, expected: str) -> None:
    assert str(choose_path(device, dtype, want, head_size=head_size)) == expected


def test_what_the_gpu_is_decides_too(gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(7, 5)
    assert str(choose_path(CUDA, FP16, PLAIN, head_size=64)) == (
        "segments (cuda, float16: compute capability below 8.0)"
    )
    gpu(8, 9)
    assert choose_path(CUDA, BF16, PLAIN, head_size=192).name == "varlen"
    assert choose_path(CUDA, BF16, PLAIN, head_size=256).name == "segments"
    gpu(9, 0)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert choose_path(CUDA, BF16, PLAIN, head_size=64).reason == "cuda, bfloat16: ROCm"


def test_what_pytorch_lacks_decides_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "varlen_obstacle", lambda: "this PyTorch is old")
    path = choose_path(CUDA, BF16, PLAIN, head_size=64)
    assert str(path) == "segments (cuda, bfloat16: this PyTorch is old)"
    assert choose_path(CUDA, BF16, CAPPED, head_size=64).name == "flex"


def segments_of(pack: str):
    layout = collate_tree(pack_zoo()[pack]).layout
    assert layout is not None
    return layout.segments


def test_the_cascade_is_never_chosen_until_its_threshold_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(want: Scores, pack: str) -> str:
        return choose_path(CUDA, BF16, want, head_size=64, segments=segments_of(pack)).name

    assert math.isinf(choice.CASCADE_FROM)
    assert chosen(PLAIN, "K=64") == "varlen"
    monkeypatch.setattr(choice, "CASCADE_FROM", 2.0)
    assert chosen(PLAIN, "K=64") == "cascade"
    assert chosen(PLAIN, "nothing shared") == "varlen"
    assert chosen(WINDOW, "K=64") == "varlen"
    monkeypatch.setattr(choice, "CASCADE_FROM", 1.0)
    assert chosen(PLAIN, "mixed K") == "cascade"
    assert chosen(PLAIN, "tree") == "varlen"


def test_key_rows_per_row_counts_the_copies() -> None:
    assert key_rows_per_row(segments_of("nothing shared")) == 1.0
    rows = sum(1 + i % 5 for i in range(64))
    assert key_rows_per_row(segments_of("K=64")) == pytest.approx((64 * 17 + rows + 3 + 4) / (17 + rows + 3 + 4))


def test_a_body_tells_its_path_from_its_configuration() -> None:
    assert path_of_body(tiny_config("llama"), CUDA, BF16).name == "varlen"
    assert path_of_body(tiny_config("gpt2", hidden_size=48), CUDA, BF16).reason.endswith("heads of size 12")
    assert path_of_body(tiny_config("gemma2", head_dim=64), CUDA, BF16).name == "flex"
    assert path_of_body(tiny_config("gemma2", head_dim=64), CPU, BF16).name == "segments"
