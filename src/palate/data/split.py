"""Held-out data by prompt, never by row: a prompt on both sides inflates every held-out figure."""

import hashlib
from collections.abc import Iterable

from palate.errors import ConfigError
from palate.records import PreferenceGroup

Groups = tuple[PreferenceGroup, ...]


def split_by_prompt(groups: Iterable[PreferenceGroup], fraction: float, *, seed: int = 0) -> tuple[Groups, Groups]:
    """Training and held-out groups; the side depends on the prompt and the seed alone.

    A prompt therefore never changes side when data is added, and all groups of a prompt stay together. Both
    sides get at least one prompt.

    Raises:
        ConfigError: the fraction is outside (0, 1), or there is only one prompt.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"eval-fraction is {fraction}; it must lie between 0 and 1, both excluded")
    everything = tuple(groups)
    draws = {prompt: _uniform(prompt, seed) for prompt in (group.prompt_hash for group in everything)}
    if len(draws) < 2:
        raise ConfigError(
            f"cannot hold out data: all {len(everything)} groups have the same prompt; give --eval-data, "
            "or --eval-fraction 0 to train without held-out data"
        )
    held_out = {prompt for prompt, draw in draws.items() if draw < fraction} or {min(draws, key=draws.__getitem__)}
    if len(held_out) == len(draws):
        held_out.remove(max(draws, key=draws.__getitem__))
    training = tuple(group for group in everything if group.prompt_hash not in held_out)
    evaluation = tuple(group for group in everything if group.prompt_hash in held_out)
    return training, evaluation


def _uniform(prompt: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{prompt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
