"""Which path computes a layer's attention, and why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from palate.packing.attention.cascade import is_two_level
from palate.packing.attention.scores import Scores
from palate.packing.attention.varlen import varlen_obstacle
from palate.packing.batch import Segment

PathName = Literal["varlen", "flex", "cascade", "segments"]

CASCADE_FROM = math.inf
"""Key rows gathered a packed row from which on the cascade is taken instead of copies; never, until it is measured
to be faster (`benchmarks/gpu.py` has both)."""

_HALF = (torch.float16, torch.bfloat16)
_WIDE_HEADS = ((8, 0), (9, 0), (10, 0))  # compute capabilities whose flash backward takes heads of more than 192


@dataclass(frozen=True, slots=True)
class Path:
    """A path, and what decided for it.

    >>> str(Path("segments", "cpu"))
    'segments (cpu)'
    """

    name: PathName
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose_path(
    device: torch.device,
    dtype: torch.dtype,
    want: Scores,
    *,
    head_size: int,
    value_size: int | None = None,
    segments: Sequence[Segment] = (),
) -> Path:
    """The fastest path that does what a layer wants, for heads of keys of `head_size`; of values too, if not told.

    | path       | device             | precision  | window | softcap | dropout | head size                  |
    |------------|--------------------|------------|--------|---------|---------|----------------------------|
    | `varlen`   | CUDA 8.0 and later | fp16, bf16 | yes    | no      | no      | multiples of 8 up to 256 * |
    | `cascade`  | as varlen          | fp16, bf16 | no     | no      | no      | as varlen                  |
    | `flex`     | CUDA 8.0 and later | fp16, bf16 | yes    | yes     | no      | 16 to 256                  |
    | `segments` | any                | any        | yes    | yes     | yes     | any                        |

    * up to 192 where the flash kernel's backward has no room for more. `cascade` also needs trees of two levels and
    is taken where gathering would copy many rows, see `CASCADE_FROM`. On other devices, ROCm's among them, and
    whenever nothing else fits, `segments`.
    """
    name = str(dtype).removeprefix("torch.")
    place = f"{device.type}, {name}"
    if device.type != "cuda":
        return Path("segments", place)
    if torch.version.hip is not None:
        return Path("segments", f"{place}: ROCm")
    if dtype not in _HALF:
        return Path("segments", f"{place}: other paths are for half precision")
    if want.dropout or value_size not in (None, head_size):
        why = "attention dropout" if want.dropout else f"keys of size {head_size} beside values of {value_size}"
        return Path("segments", f"{place}: {why}")
    capability = torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        return Path("segments", f"{place}: compute capability below 8.0")
    if want.softcap:
        fits = 16 <= head_size <= 256
        return Path("flex", f"{place}, soft-capped") if fits else _odd_head(place, head_size)
    if head_size % 8 or head_size > (256 if capability in _WIDE_HEADS else 192):
        return _odd_head(place, head_size)
    if obstacle := varlen_obstacle():
        return Path("segments", f"{place}: {obstacle}")
    if want.window is None and key_rows_per_row(segments) >= CASCADE_FROM and is_two_level(segments):
        return Path("cascade", f"{place}, many responses a prompt")
    return Path("varlen", place)


def _odd_head(place: str, head_size: int) -> Path:
    return Path("segments", f"{place}: heads of size {head_size}")


def key_rows_per_row(segments: Sequence[Segment]) -> float:
    """Key rows that gathering makes for each row that is computed; 1 where nothing is shared."""
    own = sum(segment.length for segment in segments)
    return sum(segment.num_keys for segment in segments) / own if own else 0.0


def path_of_body(config: Any, device: torch.device, dtype: torch.dtype) -> Path:
    """The path of a transformers body in training or scoring, from its configuration.

    Args:
        config: of the body.
        device: where it runs.
        dtype: of its arithmetic.
    """
    names = ("qk_head_dim", "head_dim")
    own = next((size for name in names if (size := getattr(config, name, None))), None)
    size = own or config.hidden_size // config.num_attention_heads
    want = Scores(scale=1.0, softcap=getattr(config, "attn_logit_softcapping", None))
    return choose_path(device, dtype, want, head_size=size, value_size=getattr(config, "v_head_dim", None))
