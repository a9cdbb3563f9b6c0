"""Activations that do not wait in the accelerator's memory: computed again in the backward pass, or kept by the CPU.

Both change where the numbers of the forward pass wait for the backward pass, and none of the numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks

from palate.config import TrainConfig
from palate.errors import ConfigError


def save_memory(backbone: nn.Module, config: TrainConfig, device: torch.device) -> None:
    """Switch on what `config` asks for; see `checkpoint_activations` and `offload_activations`.

    Raises:
        ConfigError: the body cannot checkpoint, or there is nothing to offload from.
    """
    if config.activation_checkpointing:
        checkpoint_activations(backbone, every=config.activation_checkpointing)
    if config.activation_offload:
        if device.type == "cpu":
            raise ConfigError(
                "activation-offload moves activations to the CPU's memory, where those of this run are already: drop "
                "it; activation-checkpointing saves memory here"
            )
        offload_activations(backbone)


def checkpoint_activations(backbone: Any, *, every: int) -> None:
    """Keep the inputs of every `every`-th layer instead of its activations, and run it again in the backward pass.

    Source: Chen et al. 2016, arXiv 1604.06174, section 4.

    Raises:
        ConfigError: the body does not support it.
    """
    try:
        backbone.activation_checkpointing_enable({"use_reentrant": False}, every_n_layers=every)
    except ValueError as error:
        raise ConfigError(f"activation-checkpointing: {error}") from error


def offload_activations(module: nn.Module) -> None:
    """Copy what `module` saves for its backward pass to pinned CPU memory, and back when it is needed.

    Weights are saved for the backward pass too, but occupy the accelerator anyway: they stay. Of checkpointed layers,
    only the inputs are saved, and travel. Copies run on the stream of the computation, in order with it.
    """
    running: list[saved_tensors_hooks] = []

    def begin(*_: Any) -> None:
        running.append(_to_cpu(module))
        running[-1].__enter__()

    def end(*_: Any) -> None:
        if running:
            running.pop().__exit__()

    module.register_forward_pre_hook(begin)
    module.register_forward_hook(end, always_call=True)


def _to_cpu(module: nn.Module) -> saved_tensors_hooks:
    stays = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    # Autocast multiplies by copies of the weights in half precision, which are saved as they are or transposed.
    shapes = {shape for p in module.parameters() if p.ndim == 2 for shape in (p.shape, p.shape[::-1])}
    moving: Any = save_on_cpu(pin_memory=True)

    def pack(tensor: Tensor) -> Any:
        weight = tensor.untyped_storage().data_ptr() in stays or tensor.shape in shapes
        return tensor if weight else moving.pack_hook(tensor)

    def unpack(packed: Any) -> Any:
        return packed if isinstance(packed, Tensor) else moving.unpack_hook(packed)

    return saved_tensors_hooks(pack, unpack)
