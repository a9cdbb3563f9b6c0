"""The body's layers compiled, one by one and in place: names of parameters, hooks and saved files stay as they are.

Attention over the tree layout is kept out of the graphs. It loops over the segments of a pack, and a graph that had
seen them would be compiled again for every pack. What is compiled is what surrounds it: norms, projections, rotation
and MLP, with the number of tokens left open. So a body compiles a handful of graphs (five on a Llama, seven on a
Gemma 2) in each mode, training, scoring and self-check, however many packs it sees.
"""

import os
import shutil
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

from palate.errors import ConfigError
from palate.model.backbone import decoder_layers
from palate.packing.attention import TREE, tree_attention


def compile_layers(backbone: nn.Module, **options: Any) -> int:
    """Compile every layer that has no hooks; returns how many of them that is.

    Hooks, such as those that compute the last layer only where it is read, choose rows anew for every pack; a graph
    would be tied to that choice.

    Args:
        backbone: a body that runs the tree layout; its parameters are trained or not as before.
        options: of `torch.nn.Module.compile`, such as `backend`.

    Raises:
        ConfigError: the body has no list of layers.
    """
    layers = decoder_layers(backbone)
    if layers is None:
        raise ConfigError(f"compile goes layer by layer, but {type(backbone).__name__} has no list of layers; drop it")
    attention = torch.compiler.disable(tree_attention, reason="its loop is another for every pack")  # type: ignore[no-untyped-call]
    AttentionInterface.register(TREE, attention)
    plain = [layer for layer in layers if not layer._forward_pre_hooks and not layer._forward_hooks]
    for layer in plain:
        layer.compile(dynamic=True, **options)
    return len(plain)


def require_compiler(option: str) -> None:
    """Look for the C++ compiler that torch.compile calls, on GPUs too, before a run depends on it.

    Args:
        option: the setting that needs it, as the user wrote it.

    Raises:
        ConfigError: there is none.
    """
    names = (os.environ.get("CXX"), "g++", "clang++")
    if not any(shutil.which(name) for name in names if name):
        raise ConfigError(
            f"{option} needs a C++ compiler and none was found (CXX, g++, clang++): apt-get install g++, or drop it"
        )
