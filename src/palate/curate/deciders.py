"""What decides the sides of a split: prompts, annotators, sources or times.

Shape legend: G groups, P distinct prompts, U units (clusters of prompts, annotators, sources), S sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from palate.curate.sides import UNKNOWN, assign, earlier_sides, even_draws, hash_draws
from palate.data.manifest import Manifest, SplitSettings
from palate.errors import ConfigError, DataError
from palate.health.corpus import Corpus
from palate.health.leaks.distinct import distinct
from palate.health.texts.neighbours import neighbours

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decision:
    """Who is where.

    Attributes:
        group: [G], the side of each group; empty where votes are divided instead.
        annotator: the side of each annotator, where they decide.
        keys, side: [..], what the manifest keeps: keys of prompts or names, and their sides.
        cuts: times at which each side after the first begins.
        units: how many clusters, annotators or sources were divided.
        joined: prompts that are in a cluster with others.
        conflicts: clusters that an earlier split had put on several sides before a new prompt joined them.
    """

    group: Ints
    annotator: Mapping[str, int]
    keys: Keys
    side: Ints
    cuts: tuple[float, ...] = ()
    units: int = 0
    joined: int = 0
    conflicts: int = 0


def by_prompt(corpus: Corpus, settings: SplitSettings, previous: Manifest | None) -> Decision:
    """Prompts, each with its near-duplicates where `near_duplicates` asks for them.

    Raises:
        ConfigError: there are fewer clusters than sides.
    """
    groups = corpus.groups
    prompts = distinct(groups.prompt_key, groups.against, np.ones(len(groups.prompt_key), np.bool_))
    key_P = groups.prompt_key[prompts.first]
    cluster_P = np.arange(len(key_P))
    if settings.near_duplicates:
        near = neighbours(groups.prompt_bands[prompts.first], lambda p: corpus.prompt(int(prompts.first[p])))
        _, cluster_P = np.unique(near.clusters(cluster_P), return_inverse=True)
    units = int(cluster_P.max(initial=-1)) + 1
    least = np.full(units, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, cluster_P, key_P)
    draws = hash_draws([f"{key:016x}" for key in least.tolist()], settings.seed)
    known_P = _known(key_P, previous, settings)
    earlier = earlier_sides(cluster_P, known_P, key_P)
    if settings.stratify:
        draws = _stratified(corpus, prompts.first, cluster_P, draws, earlier == UNKNOWN, settings.seed)
    side_P = assign(draws, settings.fractions, earlier)[cluster_P]
    side_P = np.where(known_P != UNKNOWN, known_P, side_P)
    size = np.bincount(cluster_P, minlength=units)
    pairs = np.unique(np.stack([cluster_P, side_P]), axis=1)
    return Decision(
        group=side_P[prompts.text],
        annotator={},
        keys=key_P,
        side=side_P,
        units=units,
        joined=int(size[size > 1].sum()),
        conflicts=int((np.bincount(pairs[0], minlength=units) > 1).sum()),
    )


def _stratified(
    corpus: Corpus, first: Ints, cluster: Ints, draws: Floats, free: NDArray[np.bool_], seed: int
) -> Floats:
    """Draws that give each source its share of the clusters that are free; a cluster is of its first group's source."""
    row = np.full(len(draws), len(corpus.groups.source))
    np.minimum.at(row, cluster, first)
    even = draws.copy()
    even[free] = even_draws(draws[free], corpus.groups.source[row[free]].astype(np.int64), corpus.sources, seed)
    return even


def by_name(names: Sequence[str], what: str, settings: SplitSettings, previous: Manifest | None) -> Decision:
    """Annotators or sources; the sides are those of the names, and groups are left to the caller.

    Raises:
        ConfigError: there are fewer names than sides.
    """
    if len(names) < len(settings.fractions):
        raise ConfigError(
            f"the data has {len(names)} {what}{'' if len(names) == 1 else 's'}, fewer than the sides "
            f"{', '.join(settings.fractions)}; split by something else"
        )
    keys = np.array([name_key(name) for name in names], np.uint64)
    known = _known(keys, previous, settings)
    side = assign(hash_draws(names, settings.seed), settings.fractions, known)
    annotator = dict(zip(names, side.tolist(), strict=True))
    return Decision(np.empty(0, np.int64), annotator, keys, side, units=len(names))


def by_source(corpus: Corpus, settings: SplitSettings, previous: Manifest | None) -> Decision:
    """Sources, groups that name none being one of them.

    Raises:
        ConfigError: there are fewer sources than sides.
    """
    made = by_name(corpus.sources, "source", settings, previous)
    return Decision(made.side[corpus.groups.source], {}, made.keys, made.side, units=made.units)


def by_time(
    times: Sequence[str], places: Sequence[str], settings: SplitSettings, previous: Manifest | None
) -> Decision:
    """Oldest first, in the order of the sides; groups of one time stay together.

    Args:
        times: of each group, as the data writes it.
        places: of each group, for messages.
        settings: the fractions.
        previous: an earlier split, whose cuts stay.

    Raises:
        DataError: a group has no time, or one that cannot be read.
        ConfigError: there are too few different times.
    """
    value = read_times(times, places)
    if previous is None:
        ordered = np.sort(value)
        ends = np.round(np.cumsum(list(settings.fractions.values()))[:-1] * len(ordered)).astype(np.int64)
        cuts = ordered[np.minimum(ends, len(ordered) - 1)]
    else:
        cuts = np.array(previous.cuts)
    side = np.searchsorted(cuts, value, side="right")
    for number, name in enumerate(settings.fractions):
        if not (side == number).any():
            raise ConfigError(f"nothing is left for side {name!r}: the data has too few different times")
    return Decision(side, {}, np.empty(0, np.uint64), np.empty(0, np.int64), tuple(cuts.tolist()), units=len(value))


def read_times(times: Sequence[str], places: Sequence[str]) -> Floats:
    """Times as numbers that can be compared: ISO 8601 as seconds since 1970, in UTC where it names no zone.

    Raises:
        DataError: one is missing, or is neither ISO 8601 nor a number; or both kinds occur.

    >>> read_times(["2024-05-01", "2024-05-01T00:00:10Z"], ["a:1", "a:2"]).tolist()
    [1714521600.0, 1714521610.0]
    """
    values, dates = np.empty(len(times)), np.empty(len(times), np.bool_)
    for row, (text, place) in enumerate(zip(times, places, strict=True)):
        try:
            dates[row] = not _is_number(text)
            values[row] = _seconds(text) if dates[row] else float(text)
        except ValueError:
            message = (
                f"the time {text!r} is neither ISO 8601, such as 2024-05-01T12:00, nor a number"
                if text
                else "the group has no time; a split by time needs one for every group"
            )
            raise DataError(message, reason="bad-time", where=place, field="time") from None
        if dates[row] != dates[0]:
            message = f"the time {text!r} and the first one, {times[0]!r}, are of different kinds: write both alike"
            raise DataError(message, reason="bad-time", where=place, field="time")
    return values


def _is_number(text: str) -> bool:
    # a year alone, or a date without marks, is a number of its own kind and in the right order too
    return text.strip().lstrip("+-").replace(".", "", 1).isdigit()


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def name_key(name: str) -> int:
    """What a manifest keeps of a name: 8 bytes of its SHA-256."""
    return int.from_bytes(sha256(name.encode(errors="surrogatepass")).digest()[:8], "little")


def _known(keys: Keys, previous: Manifest | None, settings: SplitSettings) -> Ints:
    """[U], the side of each key in the earlier split, or `UNKNOWN`."""
    sides = np.full(len(keys), UNKNOWN)
    if previous is not None:
        for number, name in enumerate(settings.fractions):
            if name in previous.sides:
                sides[np.isin(keys, previous.sides[name])] = number
    return sides
