"""Which weights train: all, the upper layers, the head alone, or LoRA adapters in the body.

LoRA goes into the body only. Head and pooling lie outside it, so they are always trained and always saved; an
adapter without its head, a known way to lose a reward model, cannot be written here.
"""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from palate.errors import ConfigError
from palate.model.backbone import decoder_layers


def add_lora(backbone: nn.Module, *, rank: int, alpha: float, dropout: float, targets: str) -> Any:
    """Put LoRA adapters into the body, in place, and freeze the rest of it.

    Args:
        backbone: the body; its linear layers are replaced by adapted ones.
        rank: of the update.
        alpha: the update is scaled by alpha / rank.
        dropout: on the adapter's input.
        targets: `all-linear`, or module names separated by commas.

    Returns:
        The PEFT wrapper, needed only to save the adapter; the body itself stays what runs.
    """
    modules: str | list[str] = targets if targets == "all-linear" else [name.strip() for name in targets.split(",")]
    config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=modules)
    return get_peft_model(backbone, config)


def freeze_lowest(backbone: nn.Module, num_layers: int) -> int:
    """Freeze the embeddings and the lowest layers; returns how many parameters that is.

    Raises:
        ConfigError: the body has no list of layers, or fewer than asked.
    """
    layers = decoder_layers(backbone)
    if layers is None or num_layers > len(layers):
        has = "no list of" if layers is None else len(layers)
        raise ConfigError(f"freeze-layers is {num_layers}, but the body has {has} layers")
    frozen = 0
    for module in (backbone.get_input_embeddings(), *layers[:num_layers]):  # type: ignore[operator]
        for parameter in module.parameters():
            parameter.requires_grad_(False)
            frozen += parameter.numel()
    return frozen


@torch.no_grad()
def merged_state(backbone: nn.Module) -> dict[str, Tensor]:
    """The body's tensors with every adapter added to its weight, under their original names; nothing is changed."""
    adapted = {name: module for name, module in backbone.named_modules() if isinstance(module, LoraLayer)}
    merged: dict[str, Tensor] = {}
    for name, tensor in backbone.state_dict().items():
        owner, rest = _split_adapter(name, adapted)
        if owner is None:
            merged[name] = tensor
        elif rest.startswith("base_layer."):
            plain = rest.removeprefix("base_layer.")
            layer = adapted[owner]
            delta = (
                sum(layer.get_delta_weight(adapter) for adapter in layer.active_adapters) if plain == "weight" else 0
            )
            merged[f"{owner}.{plain}"] = tensor + delta
    return merged


def _split_adapter(name: str, adapted: dict[str, Any]) -> tuple[str | None, str]:
    for owner in adapted:
        if name.startswith(f"{owner}."):
            return owner, name[len(owner) + 1 :]
    return None, name


def save_adapter(wrapper: Any, directory: Path) -> None:
    """The adapter alone, in PEFT's format."""
    wrapper.save_pretrained(directory)
