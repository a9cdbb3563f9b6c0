"""AdamW whose two averages a parameter take one byte each instead of four.

Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", arXiv 2110.02861, section 2: blocks of
256 values share a scale, and codes are spaced dynamically. The implementation is torchao's, which runs on CPUs and
GPUs alike. Tensors under 4096 values, or not a multiple of a block, keep float32 averages.
"""

import importlib.util
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from palate.errors import ConfigError
from palate.model.compiled import require_compiler

_BLOCK = 256
_SMALLEST = 4096


def require_8bit() -> None:
    """Look for torchao and for the compiler that it calls.

    Raises:
        ConfigError: one of them is missing.
    """
    if importlib.util.find_spec("torchao") is None:
        raise ConfigError("optimizer adamw-8bit needs torchao: pip install 'palate[memory]', or use optimizer adamw")
    require_compiler("optimizer adamw-8bit")


def adamw_8bit(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """AdamW8bit of torchao, with rates that are numbers between steps.

    Its step wants each rate as a tensor, lest it be compiled again whenever a rate changes. A tensor that is filled
    anew at every step would change under those who read a rate, and is no number in a log.

    Args:
        groups: of parameters, each with its `lr` and `weight_decay`.
    """
    from torchao.optim import AdamW8bit

    optimizer: torch.optim.Optimizer = AdamW8bit([dict(group) for group in groups], block_size=_BLOCK)
    for ours, theirs in zip(groups, optimizer.param_groups, strict=True):
        theirs["lr"] = ours["lr"]

    def rates_as_tensors(self: torch.optim.Optimizer, *_: Any) -> None:
        for group in self.param_groups:
            group["palate_lr"], group["lr"] = group["lr"], torch.tensor(group["lr"], dtype=torch.float32)

    def rates_as_numbers(self: torch.optim.Optimizer, *_: Any) -> None:
        for group in self.param_groups:
            group["lr"] = group.pop("palate_lr")

    optimizer.register_step_pre_hook(rates_as_tensors)
    optimizer.register_step_post_hook(rates_as_numbers)
    return optimizer


def in_8bit(parameter: Tensor) -> bool:
    """Whether the averages of a parameter are kept in 8 bits; the others keep float32.

    >>> in_8bit(torch.zeros(64, 64)), in_8bit(torch.zeros(4000)), in_8bit(torch.zeros(4097))
    (True, False, False)
    """
    return parameter.numel() >= _SMALLEST and parameter.numel() % _BLOCK == 0


def state_bytes(parameters: Iterable[Tensor], *, eight_bit: bool) -> int:
    """Bytes of AdamW's two averages of the trainable parameters, without the constant few of each tensor.

    >>> weight = torch.zeros(64, 64, requires_grad=True)
    >>> state_bytes([weight], eight_bit=False), state_bytes([weight], eight_bit=True)
    (32768, 8320)
    """
    total = 0
    for parameter in parameters:
        if parameter.requires_grad:
            small = eight_bit and in_8bit(parameter)
            total += 2 * (parameter.numel() + 4 * parameter.numel() // _BLOCK if small else 4 * parameter.numel())
    return total
