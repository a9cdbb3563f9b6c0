"""Which side of a split each unit is on: a prompt with its near-duplicates, an annotator, a source.

A side is drawn by a hash of the unit's name, and so does not depend on what else the data holds.

Shape legend: U units, S sides, P prompts.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from palate.data.split import draw
from palate.errors import ConfigError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

UNKNOWN = -1
"""The side of a unit that has none yet."""


def assign(draws: Floats, fractions: Mapping[str, float], sides: Ints) -> Ints:
    """[U], a side for each unit that has none; no side is left empty.

    The sides after the first share [0, 1) from 0 upward, and the first gets the rest, so that a larger held-out side
    holds what a smaller one held and more, and so that a split into two agrees with `palate.data.split.held_out`. An
    empty side gets the unit whose draw comes nearest.

    Args:
        draws: [U], in [0, 1).
        fractions: of the sides, in their order.
        sides: [U], those of units that have one; else `UNKNOWN`.

    Raises:
        ConfigError: there are fewer units than sides.

    >>> assign(np.array([0.05, 0.5, 0.95]), {"train": 0.9, "dev": 0.1}, np.full(3, UNKNOWN)).tolist()
    [1, 0, 0]
    """
    names = list(fractions)
    if len(draws) < len(names):
        raise ConfigError(f"{len(draws):,} to be split cannot give each of {', '.join(names)} one; name fewer sides")
    bounds = np.cumsum([fractions[name] for name in names[1:]])
    drawn = (np.searchsorted(bounds, draws, side="right") + 1) % len(names)
    filled = np.where(sides == UNKNOWN, drawn, sides)
    low, high = np.append(bounds[-1:], [0, *bounds[:-1]]), np.append(1.0, bounds)
    for side in np.setdiff1d(np.arange(len(names)), filled):
        spare = (sides == UNKNOWN) & (np.bincount(filled, minlength=len(names))[filled] > 1)
        if not spare.any():
            raise ConfigError(f"all is on other sides by the earlier split, and nothing is left for {names[side]!r}")
        distance = np.maximum(np.maximum(low[side] - draws, draws - high[side]), 0)
        filled[np.where(spare, distance, np.inf).argmin()] = side
    return filled


def hash_draws(names: Sequence[str], seed: int) -> Floats:
    """[U], see `palate.data.split.draw`."""
    return np.array([draw(name, seed) for name in names], dtype=np.float64)


def even_draws(draws: Floats, stratum: Ints, names: Sequence[str], seed: int) -> Floats:
    """[U], draws of the same order that are spread evenly in each stratum, which gives each side its share of each.

    Systematic sampling: the i-th of n units of a stratum gets (i + u) / n, where u is drawn for the stratum, so that
    what is rounded in one is made up for in others.

    Args:
        draws: [U].
        stratum: [U], codes.
        names: of the strata.
        seed: of u.
    """
    order = np.lexsort((draws, stratum))
    counts = np.bincount(stratum, minlength=len(names))
    place = np.arange(len(draws)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = hash_draws(names, seed)
    even = np.empty(len(draws))
    even[order] = (place + start[stratum[order]]) / counts[stratum[order]]
    return even


def earlier_sides(cluster: Ints, known: Ints, keys: NDArray[np.uint64]) -> Ints:
    """[U], the side of each cluster in an earlier split: of its known prompt with the smallest key; else `UNKNOWN`.

    Args:
        cluster: [P], numbers of clusters, 0 to U - 1.
        known: [P], the side of each prompt in the earlier split, `UNKNOWN` where it was not there.
        keys: [P], of the prompts.
    """
    sides = np.full(int(cluster.max(initial=-1)) + 1, UNKNOWN)
    there = np.flatnonzero(known != UNKNOWN)
    # the smallest key is written last
    there = there[np.argsort(keys[there])[::-1]]
    sides[cluster[there]] = known[there]
    return sides
