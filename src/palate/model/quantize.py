"""A body's linear layers in int8, for scoring on CPUs; and what that does to the order of the rewards.

Weights carry one scale an output channel, activations one scale a token, found when it comes. A token's own scale
keeps a reward independent of what else lies in the pack: with one scale for the whole batch, as in PyTorch's dynamic
quantization, a reward would depend on its neighbours. (On SmolLM2-135M with a random head that also ranked
responses at random: Spearman 0.26 with float32.)

A few channels of a transformer's states are far larger than the rest, and rounded at their scale the rest is lost. So
both sides are rotated first by a Hadamard matrix, which spreads a large channel over its block and cancels in the
product: (x H) (W H)^T = x W^T, since H is orthogonal (Ashkboos et al. 2024, QuaRot, section 4). It needs no data to
calibrate on. Spearman went from 0.89 to 0.99, and the speed from 2.9 to 2.2 times that of float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from torch import Tensor, nn

from palate.errors import ConfigError
from palate.model.products import LINEAR

_BLOCK = 64  # channels that one large one is spread over; 16 left Spearman at 0.98
_LEVELS = 127


class Int8Linear(nn.Module):
    """[..., I] -> [..., O] in the input's dtype: a linear layer with its product in integers.

    Args:
        linear: the layer to take the place of; its weight is [O, I].
    """

    weight_IO: Tensor
    scale_O: Tensor
    rotation_RR: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        weight_OI = linear.weight.detach().float()
        self.register_buffer("rotation_RR", _hadamard(self.in_features).to(weight_OI))
        whole_OI, scale_O1 = _round(self._rotate(weight_OI))
        self.register_buffer("weight_IO", whole_OI.t())
        self.register_buffer("scale_O", scale_O1.squeeze(1))

    @property
    def weight(self) -> Tensor:
        """The weight [O, I] as it acts, in float32, for bodies that reach for it past `forward`."""
        return self._rotate(self.weight_IO.t().float() * self.scale_O[:, None])

    def forward(self, input: Tensor) -> Tensor:
        """The product of rounded input and rounded weight, exact in int32, scaled and biased in float32."""
        rounded_MI, scale_M1 = _round(self._rotate(input.reshape(-1, self.in_features).float()))
        output_MO = torch._int_mm(rounded_MI, self.weight_IO).float() * scale_M1 * self.scale_O
        if self.bias is not None:
            output_MO += self.bias
        return output_MO.to(input.dtype).view(*input.shape[:-1], self.out_features)

    def _rotate(self, rows: Tensor) -> Tensor:
        """Rotate every block of channels; the matrix is symmetric, so a second time undoes the first."""
        return (rows.reshape(-1, len(self.rotation_RR)) @ self.rotation_RR).view(rows.shape)


def quantize_body(backbone: nn.Module) -> float:
    """Put int8 layers in the place of the body's linear ones; returns the share of its weights that they hold.

    What is not a linear layer stays as it is: embeddings, norms, convolutions, experts in one tensor.

    Raises:
        ConfigError: the body has no linear layers, or is not on a CPU.
    """
    total = sum(parameter.numel() for parameter in backbone.parameters())
    if next(backbone.parameters()).device.type != "cpu":
        raise ConfigError("int8 is for CPUs; use --dtype bf16 on this device")
    linear = [(name, m) for name, m in backbone.named_modules() if isinstance(m, nn.Linear) and type(m) in LINEAR]
    if not linear:
        raise ConfigError(f"{type(backbone).__name__} has no linear layers to run in int8; use --dtype fp32 or bf16")
    for name, module in linear:
        owner, _, attribute = name.rpartition(".")
        whole = Int8Linear(module)
        # What computes the last layer only where it is read hangs on some of these layers.
        whole._forward_pre_hooks, whole._forward_hooks = module._forward_pre_hooks, module._forward_hooks
        setattr(backbone.get_submodule(owner), attribute, whole)
    return sum(module.weight.numel() for _, module in linear) / total


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far rewards moved, on responses scored both ways.

    Attributes:
        prompts, responses: how many were scored both ways.
        spearman, kendall: rank correlation over all responses; None where it is not defined.
        pairs: of responses to one prompt that have different rewards in float32.
        flipped: share of those whose order is another now, an arising tie included; None without pairs.
        largest_difference: of a reward, in standard deviations of the float32 rewards; None where they are all equal.
    """

    prompts: int
    responses: int
    spearman: float | None
    kendall: float | None
    pairs: int
    flipped: float | None
    largest_difference: float | None

    def describe(self) -> str:
        """One line."""
        if self.spearman is None or self.largest_difference is None:
            return f"{self.responses} responses scored in float32 too: too few, or too alike, to compare"
        flipped = "" if self.flipped is None else f", {self.flipped:.1%} of {self.pairs} pairs change their order"
        return (
            f"{self.responses} responses scored in float32 too: rank correlation {self.spearman:.3f}{flipped}; rewards "
            f"move by up to {self.largest_difference:.2f} standard deviations"
        )


def measure_agreement(exact: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]]) -> Agreement:
    """Hold rewards [K] of the same groups against each other.

    Args:
        exact: in float32, one array a group.
        found: the others.

    >>> measure_agreement([np.float32([1, 2]), np.float32([3])], [np.float32([2, 1]), np.float32([3])]).flipped
    1.0
    """
    exact_N, found_N = (np.concatenate((*rewards, np.empty(0))) for rewards in (exact, found))
    pairs = [
        (float(np.sign(a[i] - a[j])), float(np.sign(b[i] - b[j])))
        for a, b in zip(exact, found, strict=True)
        for i, j in combinations(range(len(a)), 2)
        if a[i] != a[j]
    ]
    spread = float(exact_N.std()) if exact_N.size else 0.0
    ranked = spread > 0 and float(found_N.std()) > 0
    return Agreement(
        prompts=len(exact),
        responses=len(exact_N),
        spearman=float(spearmanr(exact_N, found_N).statistic) if ranked else None,
        kendall=float(kendalltau(exact_N, found_N).statistic) if ranked else None,
        pairs=len(pairs),
        flipped=sum(before != after for before, after in pairs) / len(pairs) if pairs else None,
        largest_difference=float(np.abs(exact_N - found_N).max()) / spread if spread > 0 else None,
    )


def _round(rows: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [M, I] and the scale [M, 1] that undoes it, the largest entry of a row being 127."""
    scale_M1 = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / _LEVELS
    return (rows / scale_M1).round_().to(torch.int8), scale_M1


def _hadamard(channels: int) -> Tensor:
    """Sylvester's matrix [R, R] over sqrt(R), R the largest power of two that divides `channels`, at most 64."""
    size = min(channels & -channels, _BLOCK)
    rotation = torch.ones(1, 1)
    while len(rotation) < size:
        rotation = torch.kron(rotation, torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    orthonormal: Tensor = rotation / size**0.5
    return orthonormal
