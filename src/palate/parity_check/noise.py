"""How far rewards move by bf16 alone, measured on this model: what a sound server may be away from float32.

fp16 has three more bits, so a server that runs in it lies within the same bounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from palate.model.reward_model import RewardModel
from palate.parity_check.figures import rms
from palate.parity_check.texts import Text

Floats = NDArray[np.float64]

_MAX, _RMS = 4.0, 3.0  # servers round weights and head too, in other kernels, and some of 64 texts lie further out


@dataclass(frozen=True, slots=True)
class Noise:
    """Differences that say nothing.

    Attributes:
        exact: between float32 implementations.
        largest: of one text, in half precision.
        typical: root mean square over texts, in half precision.
    """

    exact: float
    largest: float
    typical: float

    def is_half(self, apart_N: Floats) -> bool:
        """Whether differences are as small as half precision makes them."""
        return bool(np.abs(apart_N).max() <= self.largest and rms(apart_N) <= self.typical)


def exact_tolerance(ours_N: Floats) -> float:
    """A thousandth of the rewards' spread, and what float32 rounds off large ones."""
    return float(1e-3 * ours_N.std() + 1e-5 * np.abs(ours_N).max())


@torch.no_grad()
def measure_noise(model: RewardModel, texts: Sequence[Text], ours_N: Floats, sample: Sequence[int]) -> Noise:
    """Score some texts in bf16.

    Args:
        model: whose float32 rewards are known.
        texts: all of them.
        ours_N: their rewards.
        sample: indices of those to score.
    """
    exact = exact_tolerance(ours_N)
    before, model.compute_dtype = model.compute_dtype, torch.bfloat16
    try:
        batches = (model.collate([texts[at].tokens], layout="padded") for at in sample)
        half = np.array([float(model(batch)[0]) for batch in batches])
    finally:
        model.compute_dtype = before
    apart = np.abs(half - ours_N[list(sample)])
    return Noise(exact, max(exact, _MAX * float(apart.max())), max(exact, _RMS * rms(apart)))
