"""Held-out data by prompt, never by row: a prompt on both sides inflates every held-out figure."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from palate.errors import ConfigError
from palate.records import PreferenceGroup

Groups = tuple[PreferenceGroup, ...]


def split_by_prompt(groups: Iterable[PreferenceGroup], fraction: float, *, seed: int = 0) -> tuple[Groups, Groups]:
    """Training and held-out groups; see `held_out`."""
    everything = tuple(groups)
    prompts = np.array([int(group.prompt_hash, 16) for group in everything], dtype=np.uint64)
    out = held_out(prompts, fraction, seed=seed)
    training = tuple(group for group, held in zip(everything, out, strict=True) if not held)
    return training, tuple(group for group, held in zip(everything, out, strict=True) if held)


def held_out(prompts: NDArray[np.uint64], fraction: float, *, seed: int = 0) -> NDArray[np.bool_]:
    """Which groups are held out, by the hashes of their prompts; the side depends on the prompt and the seed alone.

    A prompt therefore never changes side when data is added, and all groups of a prompt stay together. Both
    sides get at least one prompt.

    Args:
        prompts: `prompt_hash` of each group as a number.
        fraction: share of the prompts to hold out.
        seed: of the draw.

    Raises:
        ConfigError: the fraction is outside (0, 1), or there is only one prompt.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"eval-fraction is {fraction}; it must lie between 0 and 1, both excluded")
    distinct, which = np.unique(prompts, return_inverse=True)
    if len(distinct) < 2:
        raise ConfigError(
            f"cannot hold out data: all {len(prompts)} groups have the same prompt; give --eval-data, "
            "or --eval-fraction 0 to train without held-out data"
        )
    draws = np.array([draw(f"{prompt:016x}", seed) for prompt in distinct])
    out = draws < fraction
    if not out.any():
        out[draws.argmin()] = True
    if out.all():
        out[draws.argmax()] = False
    held: NDArray[np.bool_] = out[which]
    return held


def draw(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on a name and the seed alone, on every machine; prompts go by their hash."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
