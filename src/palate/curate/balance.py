"""`palate data balance`: the length bias taken out, so that "the longer is better" is right half the time.

Every stratum of the ratio of lengths is balanced by itself, see `palate.curate.strata`: by leaving out pairs of the
side that wins more often, or by weights. Ties and pairs of equally long responses say nothing about length and stay.
The data is read twice, so that it may be larger than memory: once to measure, once to write.

Shape legend: C comparisons.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from palate.atomic import write_text
from palate.curate.strata import Floats, Ints, one_sided, strata_of, subset_factors, weight_factors
from palate.data.load import stream_groups
from palate.data.read import GroupStream, OnBadRow, write_dropped
from palate.data.rows import group_to_row
from palate.data.sources import refuse_own_input
from palate.data.writers.files import writing
from palate.errors import ConfigError, DataError
from palate.metrics import accuracy_interval
from palate.records import Comparison, Conversation, PreferenceGroup

Mode = Literal["subset", "weights"]
Unit = Literal["characters", "words"]
DROPPED = ".dropped.jsonl"  # after the name of `out`
SUMMARY = ".summary.json"


@dataclass(frozen=True, slots=True)
class LongerWins:
    """How often the longer response wins, equal lengths counting half, with its 95 % interval over prompts."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True, slots=True)
class BalanceResult:
    """What balancing did.

    Attributes:
        out: the file.
        mode, unit, by_source: as asked for.
        groups, comparisons: in the file.
        ties, equal: comparisons that length says nothing about and that stay: without a right answer, of equal length.
        left_out: comparisons left out, to balance the others.
        one_sided: those of them from strata in which the longer response always wins, or never.
        groups_dropped: groups left out with them.
        sources, strata: how many were balanced by themselves.
        before, after: how often the longer response wins; with `weights`, by weight.
        effective: how many decided pairs without weights would be worth as much as those in the file,
            (sum w)^2 / sum w^2 (Kish 1965).
        bad_rows: rows that could not be read.
    """

    out: Path
    mode: Mode
    unit: Unit
    by_source: bool
    groups: int
    comparisons: int
    ties: int
    equal: int
    left_out: int
    one_sided: int
    groups_dropped: int
    sources: int
    strata: int
    before: LongerWins
    after: LongerWins
    effective: float
    bad_rows: int

    def summary(self) -> str:
        """One line for people."""
        worth = f", its decided ones worth {self.effective:,.0f} without weights" if self.mode == "weights" else ""
        left_out = [
            f"{count:,} {what}"
            for count, what in (
                (self.left_out, "comparisons"),
                (self.one_sided, "of them where one side always wins"),
                (self.groups_dropped, "groups with none left"),
                (self.bad_rows, "rows that could not be read"),
            )
            if count
        ]
        return (
            f"the longer response wins {self.before} before, {self.after} after ({self.unit}); {self.comparisons:,} "
            f"comparisons of {self.groups:,} groups written{worth}"
            + (f"; left out: {', '.join(left_out)}" if left_out else "")
        )

    def to_json(self) -> dict[str, Any]:
        """Plain Python for `json.dumps`."""
        return asdict(self) | {"out": str(self.out)}


def balance(
    data: str,
    *,
    out: str,
    mode: Mode = "subset",
    unit: Unit = "characters",
    by_source: bool = True,
    seed: int = 0,
    on_bad_row: OnBadRow = "error",
    on_progress: Callable[[int], None] = lambda groups: None,
) -> BalanceResult:
    """Balance comparisons by length, and write palate's own rows.

    Args:
        data: preference data.
        out: the file to write, .jsonl; the figures are in a summary beside it, and rows that could not be read.
        mode: `subset` leaves out as few comparisons as balance every stratum; `weights` keeps them, and multiplies
            their weights so that both sides of a stratum weigh the same and together as much as before.
        unit: what length is measured in.
        by_source: balance each source for itself.
        seed: of the draw which comparisons are left out.
        on_bad_row: see `palate.data.read.PreferenceStream`.
        on_progress: told how many more groups were read; each is read twice.

    Raises:
        ConfigError: a setting makes no sense, or `out` is `data`.
        DataError: the data cannot be read, or no comparison in it is decided and of unequal length.
    """
    path = _checked(data, out, mode, unit)
    stream = stream_groups(data, on_bad_row=on_bad_row)
    measured = _measure(_told(stream, on_progress), unit)
    if not measured.advantage.any():
        message = f"none of the {len(measured.advantage):,} comparisons is decided and of unequal length"
        raise DataError(message, reason="nothing-to-balance", where=data)
    stratum = strata_of(measured.advantage, measured.source if by_source else np.zeros_like(measured.source))
    if mode == "subset":
        factor = subset_factors(measured.advantage, stratum, seed)
    else:
        factor = weight_factors(measured.advantage, stratum, measured.weight)
    # a subset is counted in comparisons, weights in what comparisons weigh: before as after
    worth = measured.weight if mode == "weights" else np.ones_like(factor)
    groups = _write(path, _told(stream, on_progress), factor, data)
    result = BalanceResult(
        out=path,
        mode=mode,
        unit=unit,
        by_source=by_source,
        groups=groups,
        comparisons=int(np.count_nonzero(factor)),
        ties=int(np.count_nonzero(~measured.decided)),
        equal=int(np.count_nonzero(measured.decided & (measured.advantage == 0))),
        left_out=int(np.count_nonzero(factor == 0)),
        one_sided=one_sided(measured.advantage, stratum),
        groups_dropped=measured.groups - groups,
        sources=len(np.unique(measured.source)) if by_source else 1,
        strata=int(stratum.max()) + 1,
        before=_longer_wins(measured, worth),
        after=_longer_wins(measured, factor * worth),
        effective=_effective((factor * measured.weight)[measured.decided]),
        bad_rows=len(stream.report.dropped),
    )
    _write_beside(path, result, stream)
    return result


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the first pass found, [C]: see `palate.curate.strata` for the advantage."""

    groups: int
    advantage: Floats
    decided: NDArray[np.bool_]
    weight: Floats
    source: Ints
    prompt: Ints


def _checked(data: str, out: str, mode: str, unit: str) -> Path:
    path = Path(out)
    for name, value, known in (("mode", mode, ("subset", "weights")), ("unit", unit, ("characters", "words"))):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}; choose {' or '.join(known)}")
    if path.suffix != ".jsonl":
        raise ConfigError(f"out is {out}; it must end in .jsonl")
    refuse_own_input(path, data)
    return path


def _told(stream: GroupStream, on_progress: Callable[[int], None]) -> Iterator[PreferenceGroup]:
    for group in stream:
        yield group
        on_progress(1)


def _measure(groups: Iterable[PreferenceGroup], unit: Unit) -> _Measured:
    sources: dict[str, int] = {}
    prompts: dict[str, int] = {}
    rows: list[tuple[float, bool, float, int, int]] = []
    number = 0
    for group in groups:
        number += 1
        lengths = [_length(response, unit) for response in group.responses]
        source = sources.setdefault(group.source, len(sources))
        prompt = prompts.setdefault(group.prompt_hash, len(prompts))
        for one in group.comparisons:
            advantage = 0.0 if one.is_tie else math.log((1 + lengths[one.winner]) / (1 + lengths[one.loser]))
            rows.append((advantage, not one.is_tie, one.weight, source, prompt))
    advantage_C, decided_C, weight_C, source_C, prompt_C = np.array(rows, np.float64).reshape(-1, 5).T
    return _Measured(number, advantage_C, decided_C > 0, weight_C, source_C.astype(np.int64), prompt_C.astype(np.int64))


def _length(response: Conversation, unit: Unit) -> int:
    return sum(len(turn.content) if unit == "characters" else len(turn.content.split()) for turn in response)


def _write(path: Path, groups: Iterable[PreferenceGroup], factor_C: Floats, data: str) -> int:
    """Write what is left of the groups, and return of how many anything is."""
    at = written = 0
    with writing(path, (), plain=False) as write:
        for group in groups:
            factors = factor_C[at : at + len(group.comparisons)]
            at += len(group.comparisons)
            kept = tuple(_weighed(one, float(f)) for one, f in zip(group.comparisons, factors, strict=False) if f)
            if kept:
                written += 1
                write(group_to_row(replace(group, comparisons=kept)))
        if at != len(factor_C):
            raise DataError("the data changed while it was read; run it again", reason="data-changed", where=data)
    return written


def _weighed(one: Comparison, factor: float) -> Comparison:
    return one if factor == 1 else replace(one, weight=one.weight * factor)


def _longer_wins(measured: _Measured, worth_C: Floats) -> LongerWins:
    """Over decided comparisons, each counting as much as it is worth; NaN where none is left."""
    rows = np.flatnonzero(measured.decided & (worth_C > 0))
    if not len(rows):
        return LongerWins(math.nan, math.nan, math.nan)
    right = (np.sign(measured.advantage[rows]) + 1) / 2
    worth, prompt = worth_C[rows], measured.prompt[rows]
    value = float(np.average(right, weights=worth))
    if (worth == worth[0]).all():
        found = accuracy_interval(right, prompt.tolist())
        return LongerWins(value, found.low, found.high)
    # linearised over prompts (Särndal et al. 1992, section 5.5): a bootstrap would take every prompt for another kind
    influence = np.bincount(prompt, weights=worth * (right - value)) / worth.sum()
    half = 1.96 * math.sqrt(float(np.square(influence).sum()))
    return LongerWins(value, value - half, value + half)


def _effective(weight: Floats) -> float:
    return float(weight.sum() ** 2 / max(float(np.square(weight).sum()), 1e-300))


def _write_beside(path: Path, result: BalanceResult, stream: GroupStream) -> None:
    listed = path.with_name(path.name + DROPPED)
    if stream.report.dropped:
        write_dropped(listed, stream.report.dropped)
    else:
        listed.unlink(missing_ok=True)  # of an earlier run
    write_text(path.with_name(path.name + SUMMARY), json.dumps(result.to_json(), indent=2) + "\n")
