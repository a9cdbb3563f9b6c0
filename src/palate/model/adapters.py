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
from palate.model.backbone import decoder_layers, leave_pooler


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
    wrapper = get_peft_model(backbone, config)
    leave_pooler(backbone)
    return wrapper


def freeze_lowest(backbone: nn.Module, num_layers: int) -> int:
    """Freeze the embeddings, of positions too, and the lowest layers; returns how many parameters that is.

    Raises:
        ConfigError: the body has no list of layers, or fewer than asked.
    """
    layers = decoder_layers(backbone)
    if layers is None or num_layers > len(layers):
        has = "no list of" if layers is None else len(layers)
        raise ConfigError(f"freeze-layers is {num_layers}, but the body has {has} layers")
    inside = set(layers.modules())
    named = [m for name, m in backbone.named_modules() if m not in inside and _is_embedding(name.rpartition(".")[2])]
    lowest = (backbone.get_input_embeddings(), *named, *layers[:num_layers])  # type: ignore[operator]
    frozen = {parameter for module in lowest for parameter in module.parameters()}
    for parameter in frozen:
        parameter.requires_grad_(False)
    return sum(parameter.numel() for parameter in frozen)


def _is_embedding(name: str) -> bool:
    return name.startswith("embed") or name in ("wte", "wpe")


@torch.no_grad()
def merged_state(backbone: nn.Module) -> dict[str, Tensor]:
    """The body's tensors with every adapter added to its weight, under their original names; nothing is changed.

    Experts hold several weights in one module, so that their adapters lie one in the other.
    """
    adapted: dict[str, Any] = {name: layer for name, layer in backbone.named_modules() if isinstance(layer, LoraLayer)}
    merged: dict[str, Tensor] = {}
    for name, tensor in backbone.state_dict().items():
        owners = [owner for owner in adapted if name.startswith(f"{owner}.")]  # from the outermost to the innermost
        if not owners:
            merged[name] = tensor
            continue
        inner = name[len(owners[-1]) + 1 :]
        if not inner.startswith("base_layer."):
            continue  # of the adapter itself
        plain = inner.removeprefix("base_layer.")
        layers = [adapted[owner] for owner in owners]
        of_it = [layer for layer in layers if getattr(layer, "parameter_name", "weight") == plain]
        deltas = [layer.get_delta_weight(adapter) for layer in of_it for adapter in layer.active_adapters]
        merged[f"{owners[0]}.{plain}"] = sum(deltas, start=tensor)
    return merged


def save_adapter(wrapper: Any, directory: Path) -> None:
    """The adapter alone, in PEFT's format."""
    wrapper.save_pretrained(directory)
