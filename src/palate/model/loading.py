"""Models by name: a new reward model on a body, or an existing one; precision and layout by what the machine has."""

from typing import Literal

import torch

from palate.config import PoolingName
from palate.errors import ConfigError, ModelError
from palate.model import checkpoint
from palate.model.backbone import load_backbone, locate
from palate.model.contract import FILE_NAME
from palate.model.head import HeadInit, RewardHead
from palate.model.reward_model import RewardModel

DtypeName = Literal["auto", "fp32", "bf16", "int8"]
LayoutName = Literal["auto", "tree", "padded"]


def resolve_dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    """The precision of the body's arithmetic that `name` stands for on a device.

    `auto` takes bf16 only where the hardware multiplies it natively: elsewhere it is many times slower than
    float32. `int8` is float32 around layers that `palate.scoring.compare_int8` puts in.

    Raises:
        ConfigError: bf16 is asked for where the hardware has none, or int8 on another device than a CPU.
    """
    if name == "int8" and device.type != "cpu":
        raise ConfigError(f"int8 is for CPUs; on this {device.type} use --dtype bf16")
    native = _has_bf16(device)
    if name == "bf16" and not native:
        raise ConfigError(f"this {device.type} does not multiply bf16 natively and would crawl; use --dtype fp32")
    return torch.bfloat16 if native and name in ("auto", "bf16") else torch.float32


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def new_reward_model(
    name: str,
    *,
    pooling: PoolingName = "last",
    head_init: HeadInit = "zero",
    layout: LayoutName = "auto",
    max_length: int = 1024,
    trust_remote_code: bool = False,
) -> RewardModel:
    """A reward model to train: a fresh head on a body, or a saved reward model continued with its own head.

    Weights are float32; mixed precision is the caller's to set. A saved reward model is recognised by its head,
    which is kept: a fresh one in its place would undo its training silently.

    Raises:
        ModelError: the body cannot be loaded, or `tree` is asked of one that cannot share.
        ConfigError: another pooling is asked of a saved reward model than it has.
    """
    if _is_reward_model(name):
        model = RewardModel.from_pretrained(name, layout=_fixed(layout), trust_remote_code=trust_remote_code)
        if pooling not in ("last", model.pooling_name):
            raise ConfigError(f"{name} is a reward model with pooling {model.pooling_name!r}, not {pooling!r}")
        model.remarks = (
            f"{name} is a reward model already: training continues with its head",
            *model.remarks,
        )
    else:
        loaded = load_backbone(name, trust_remote_code=trust_remote_code)
        head = RewardHead(loaded.backbone.config.hidden_size, init=head_init)
        model = RewardModel(
            loaded.backbone,
            loaded.tokenizer,
            head=head,
            pooling=pooling,
            layout=_fixed(layout),
        )
        model.remarks = loaded.remarks
        kinds = [kind for kind in loaded.backbone.config.architectures or () if "Classification" in kind]
        if kinds:
            model.remarks += (
                f"{name} is a {kinds[0]}: its own head is left out, and training starts from a fresh one",
            )
    model.limit_to(max_length)
    _explain_layout(model, layout)
    if pooling == "cls" and not model.sharing_obstacle:
        model.remarks += (
            "pooling cls reads the first token, which sees no response in a causal body: rewards stay equal",
        )
    return model


def load_reward_model(
    path: str,
    *,
    dtype: DtypeName = "fp32",
    layout: LayoutName = "auto",
    max_length: int | None = None,
    trust_remote_code: bool = False,
) -> RewardModel:
    """A saved reward model, ready to score on the best device there is; see `RewardModel.from_pretrained`.

    `max_length` is in tokens, as in training where it is None.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = RewardModel.from_pretrained(path, layout=_fixed(layout), device=device, trust_remote_code=trust_remote_code)
    model.compute_dtype = resolve_dtype(dtype, device)
    if max_length is not None:
        model.limit_to(max_length)
    if device.type == "cuda" and model.compute_dtype is torch.float32:
        model.remarks += ("float32 leaves a GPU's fast units unused: --dtype bf16 is many times as fast",)
    _explain_layout(model, layout)
    return model


def _is_reward_model(name: str) -> bool:
    location, files = locate(name)
    if files:
        return False
    try:
        directory = checkpoint.local_directory(location, None, only_names=True)
    except ModelError:
        return False
    return (directory / FILE_NAME).exists() or checkpoint.has_head(directory)


def _fixed(layout: LayoutName) -> Literal["tree", "padded"] | None:
    return None if layout == "auto" else layout


def _explain_layout(model: RewardModel, layout: LayoutName) -> None:
    if model.sharing_obstacle and layout == "tree":
        raise ModelError(f"{model.sharing_obstacle}, so it cannot share prompts: use --layout padded or auto")
    if model.sharing_obstacle:
        model.remarks += (f"{model.sharing_obstacle}: prompts are not shared and batches are padded, which is slower",)
