"""Proof, on the run's own tokens, that sharing prompts changes nothing.

Sharing is exact mathematics but it depends on a body that calls the attention function in every layer and honours
position ids. Bodies that do not are wrong silently, so every run compares its first groups with separate, padded
forward passes before it believes a single reward. The pooled vectors are compared, not the rewards: a fresh head
is zero and would agree with anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from palate.errors import ModelError, NonFiniteError
from palate.model.reward_model import RewardModel
from palate.packing.attention import path_of_body
from palate.packing.attention.proof import TOLERANCE, path_error
from palate.packing.attention.scores import Scores
from palate.packing.batch import TreeLayout
from palate.records import TokenizedGroup

_MAX_TOKENS = 2048  # unshared tokens looked at: enough for several groups, cheap beside one training step


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Largest difference of pooled vectors, relative to their root mean square, over `num_sequences` sequences."""

    difference: float
    tolerance: float
    num_sequences: int
    num_layers: int


def check_layout(model: RewardModel, groups: Sequence[TokenizedGroup]) -> SelfCheck | None:
    """`check_sharing` for a model that shares prompts, on the first groups of a run; None where nothing is shared."""
    return check_sharing(model, groups) if model.layout == "tree" and groups else None


@torch.no_grad()
def check_sharing(model: RewardModel, groups: Sequence[TokenizedGroup]) -> SelfCheck:
    """Compare shared with unshared pooled vectors, in the weights' own precision; then the run's own attention path.

    Raises:
        ModelError: they differ, some layer never called the attention function, or the attention path that the run's
            precision takes on this device is wrong.
        NonFiniteError: no row has finite states.
    """
    chosen = _select(groups)
    training, precision = model.training, model.compute_dtype
    model.eval()
    model.compute_dtype = torch.float32  # autocast off: rounding would hide an error of the size looked for
    try:
        tree = model.collate(chosen, layout="tree")
        shared_ND = model.pool(tree).float()
        unshared_ND = model.pool(model.collate(chosen, layout="padded")).float()
    finally:
        model.compute_dtype = precision
        model.train(training)
    assert tree.layout is not None
    # A row that is not finite on its own is the training guards' to name, not a fault of sharing.
    finite_N = unshared_ND.isfinite().all(dim=1)
    if not finite_N.any():
        name = type(model.backbone).__name__
        raise NonFiniteError(
            f"{name} gives states that are not finite on every row looked at: are its weights damaged?"
        )
    shared_ND, unshared_ND = shared_ND[finite_N], unshared_ND[finite_N]
    scale = unshared_ND.square().mean().sqrt().clamp_min(1e-12)
    half = next(model.backbone.parameters()).dtype is not torch.float32
    result = SelfCheck(
        difference=float((shared_ND - unshared_ND).abs().max() / scale),
        tolerance=0.2 if half else 1e-3,
        num_sequences=len(unshared_ND),
        num_layers=len(tree.layout.layers_seen),
    )
    _judge(result, model.backbone)
    _check_path(model, tree.layout)
    return result


def _check_path(model: RewardModel, layout: TreeLayout) -> None:
    """In mixed precision layers may take another path than in float32, see `palate.packing.attention.choice`."""
    config: Any = model.backbone.config
    weights = next(model.backbone.parameters()).dtype
    dtype = weights if model.compute_dtype is torch.float32 else model.compute_dtype
    path = path_of_body(config, model.device, dtype)
    if path.name == "segments":
        return
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    softcap = getattr(config, "attn_logit_softcapping", None)
    for window in {None, getattr(config, "sliding_window", None)}:
        want = Scores(size**-0.5, window, softcap)
        share = heads // (getattr(config, "num_key_value_heads", None) or heads)
        error = path_error(layout, dtype, want, head_size=size, share=share)
        if not error <= TOLERANCE:
            raise ModelError(
                f"the attention path {path} gives wrong numbers on this machine, off by {error:.2g} of their size "
                f"(window: {window}). Run with --dtype fp32 or --layout padded, and please report the GPU and versions."
            )


def _select(groups: Sequence[TokenizedGroup]) -> list[TokenizedGroup]:
    """The largest group that is cheap enough, since windows show only in long texts, and then the smallest."""
    by_size = sorted(groups, key=lambda group: group.unshared_tokens)
    cheap = [group for group in by_size if group.unshared_tokens <= _MAX_TOKENS] or by_size[:1]
    chosen = [cheap.pop()]
    room = _MAX_TOKENS - chosen[0].unshared_tokens
    for group in cheap:
        if group.unshared_tokens > room:
            break
        chosen.append(group)
        room -= group.unshared_tokens
    return chosen


def _judge(result: SelfCheck, backbone: nn.Module) -> None:
    layers = int(backbone.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    name = type(backbone).__name__
    if result.num_layers != layers:
        raise ModelError(
            f"{result.num_layers} of {layers} layers of {name} called the shared-prompt attention; the others mix "
            "tokens in some other way, and rewards would be wrong. Run with --layout padded."
        )
    if not result.difference <= result.tolerance:
        raise ModelError(
            f"rewards with shared prompts differ from separate runs on {name}: {result.difference:.2g} of the pooled "
            f"vectors' size, more than {result.tolerance:.0e}. Run with --layout padded, and please report the model."
        )
