"""A body's matrix products by oneDNN where that is the faster library: float32 on AMD processors with AVX-512.

PyTorch multiplies float32 matrices on CPUs by MKL, whose kernels are at their best on its maker's own processors, and
bf16 by oneDNN, which takes each processor for what it is. On two cores of a Zen 4 EPYC, products as in SmolLM2-135M on
1,278 tokens run at 170 to 190 GFLOP/s by MKL and at 190 to 210 by oneDNN, forwards and for the gradient of the input.
The gradient of the weight is left to MKL, which is faster there (180 to 195 against 155 to 175).

Linear layers change their class in place: names, parameters and saved files stay as they are. Whatever is not float32
on a CPU, or is being traced, goes PyTorch's own way as before.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class OneDnnLinear(nn.Linear):
    """[..., I] -> [..., O]: `nn.Linear`, with its float32 products by oneDNN."""

    def forward(self, input: Tensor) -> Tensor:
        """The same as `nn.Linear`, up to rounding."""
        if not _applies(input, self.weight):
            return super().forward(input)
        output: Tensor = _Product.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return output


LINEAR: tuple[type[nn.Linear], ...] = (nn.Linear, OneDnnLinear)
"""Linear layers without anything of their own besides."""


def speed_up_products(backbone: nn.Module) -> int:
    """Let the body's linear layers multiply by oneDNN where it is the faster; returns how many do then.

    >>> speed_up_products(nn.Sequential(nn.Linear(2, 2), nn.Tanh())) in (0, 1)
    True
    """
    if not onednn_is_faster():
        return 0
    layers = [module for module in backbone.modules() if type(module) in LINEAR]
    for layer in layers:
        layer.__class__ = OneDnnLinear
    return len(layers)


@cache
def onednn_is_faster() -> bool:
    """Whether this is a processor for which it was measured, and PyTorch has what is needed."""
    usable = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]
    return usable and torch.backends.cpu.get_cpu_capability() == "AVX512" and _vendor() == "AuthenticAMD"


def _vendor() -> str:
    """As the processor says itself; empty where the system does not pass it on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


def _applies(input: Tensor, weight: Tensor) -> bool:
    return (
        input.device.type == weight.device.type == "cpu"
        and input.dtype == weight.dtype == torch.float32
        and input.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_exporting()
        and not torch._C._get_tracing_state()
    )


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        for_input, for_weight, _ = ctx.needs_input_grad  # of a frozen layer, the input would be kept for nothing
        ctx.save_for_backward(input if for_weight else None, weight_OI if for_input else None)
        output: Tensor = _multiply(input, weight_OI, bias_O)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        input, weight_OI = ctx.saved_tensors
        needs_input, needs_weight, needs_bias = ctx.needs_input_grad
        grad_MO = grad.reshape(-1, grad.shape[-1])
        return (
            _multiply(grad, weight_OI.t(), None) if needs_input else None,
            grad_MO.t() @ input.reshape(-1, input.shape[-1]) if needs_weight else None,
            grad_MO.sum(0) if needs_bias else None,
        )


@torch.library.custom_op("palate::multiply", mutates_args=())  # closed to torch.compile, which would choose again
def _multiply(rows: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    """Rows by weight^T, plus bias; no activation follows."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight_OI, bias_O, "none", [], "")
    return product


@_multiply.register_fake
def _shape(rows: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    return rows.new_empty(*rows.shape[:-1], weight_OI.shape[0])
