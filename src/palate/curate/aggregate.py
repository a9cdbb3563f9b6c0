"""`palate data aggregate`: several votes on each comparison to one label.

The data is read twice, so that it may be larger than memory: once to count the votes, once to write the rows with
their new labels. Votes stay in the rows; what is left out is counted, and listed in `OUT.dropped.jsonl`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from palate.atomic import write_text
from palate.curate.bradley_terry import noisy_bradley_terry
from palate.curate.crowd import dawid_skene, mace
from palate.curate.labels import Labels, majority, soft
from palate.curate.tally import HIGH, TIE, Seen, Tally, tally
from palate.data.load import stream_groups
from palate.data.read import GroupStream, OnBadRow, write_dropped
from palate.data.rows import group_to_row
from palate.data.sources import refuse_own_input
from palate.data.writers.files import writing
from palate.errors import ConfigError, DataError
from palate.records import Comparison, DroppedRow, PreferenceGroup

Method = Literal["majority", "dawid-skene", "mace", "bradley-terry", "soft"]
DROPPED = ".dropped.jsonl"  # after the name of `out`
SUMMARY = ".summary.json"

_METHODS: dict[str, Callable[[Tally, int], Labels]] = {
    "majority": lambda votes, seed: majority(votes),
    "soft": lambda votes, seed: soft(votes),
    "dawid-skene": dawid_skene,
    "mace": mace,
    "bradley-terry": lambda votes, seed: noisy_bradley_terry(votes),
}
_ABOUT_PEOPLE = ("dawid-skene", "mace", "bradley-terry")


@dataclass(frozen=True, slots=True)
class AggregateResult:
    """What aggregation did.

    Attributes:
        out: the file.
        method, min_votes: as asked for.
        groups, comparisons, votes, annotators: in the file.
        ties: labels that are ties.
        undecided: those of them for which fewer than half of the votes were for a tie.
        turned: labels that prefer the response which the data did not.
        coins: comparisons whose responses the method put in order by a coin, see `palate.curate.crowd`.
        margins_dropped: margins set to 0, since the label that they belonged to is no longer there.
        few_votes: comparisons left out for having fewer than `min_votes` votes.
        groups_dropped: groups left out with them.
        bad_rows: rows that could not be read.
    """

    out: Path
    method: Method
    min_votes: int
    groups: int
    comparisons: int
    votes: int
    annotators: int
    ties: int
    undecided: int
    turned: int
    coins: int
    margins_dropped: int
    few_votes: int
    groups_dropped: int
    bad_rows: int

    def summary(self) -> str:
        """One line for people."""
        left_out = [
            f"{count:,} {what}"
            for count, what in (
                (self.few_votes, f"comparisons with fewer than {self.min_votes} votes"),
                (self.groups_dropped, "groups with none left"),
                (self.bad_rows, "rows that could not be read"),
            )
            if count
        ]
        return (
            f"{self.votes:,} votes of {self.annotators:,} annotators -> {self.comparisons:,} labels by {self.method}, "
            f"{self.ties:,} of them ties ({self.undecided:,} undecided), {self.turned:,} against the label in the data"
            + (
                f"; put in order by a coin, since the file's order tells the label: {self.coins:,}"
                if self.coins
                else ""
            )
            + (f"; margins set to 0: {self.margins_dropped:,}" if self.margins_dropped else "")
            + (f"; left out: {', '.join(left_out)}" if left_out else "")
        )

    def to_json(self) -> dict[str, Any]:
        """Plain Python for `json.dumps`."""
        return asdict(self) | {"out": str(self.out)}


def aggregate(
    data: str,
    *,
    out: str,
    method: Method = "majority",
    min_votes: int = 3,
    seed: int = 0,
    on_bad_row: OnBadRow = "error",
    max_groups: int | None = None,
    on_progress: Callable[[int], None] = lambda groups: None,
) -> AggregateResult:
    """Give every comparison one label from its votes, and write palate's own rows.

    A preferred response gets the probability 1 and a tie 0.5, ties of the votes and undecided ones alike, and the
    method's confidence multiplies the comparison's weight; with `soft` the share of the votes is the probability, and
    weights stay. Responses keep their order.

    Args:
        data: preference data with votes.
        out: the file to write, .jsonl; what is left out is listed beside it, and the figures are in a summary.
        method: `majority` and `soft` count, see `palate.curate.labels`; the others estimate who is reliable,
            `dawid-skene` and `mace` by `palate.curate.crowd`, `bradley-terry` by `palate.curate.bradley_terry`.
        min_votes: comparisons with fewer are left out.
        seed: of the methods that draw.
        on_bad_row: see `palate.data.read.PreferenceStream`.
        max_groups: read no more than that.
        on_progress: told how many more groups were read; each is read twice.

    Raises:
        ConfigError: a setting makes no sense, or `out` is `data`.
        DataError: the data cannot be read, or has too few votes for this.
        PalateError: the method needs crowd-kit, which is not installed.
    """
    path = _checked(data, out, method, min_votes)
    stream = stream_groups(data, on_bad_row=on_bad_row, max_groups=max_groups)
    seen = tally(_told(stream, on_progress), min_votes)
    _refuse_unusable(seen, data, method, min_votes)
    labels = _METHODS[method](seen.tally, seed)
    work = _Work(seen.tally, labels, min_votes)
    with writing(path, (), plain=False) as write:
        for group in _told(stream, on_progress):
            labelled = work.relabel(group)
            if labelled is not None:
                write(group_to_row(labelled))
        work.finish(data)
    dropped = (*stream.report.dropped, *work.dropped)
    result = _result(path, method, min_votes, seen, work, len(stream.report.dropped))
    listed = path.with_name(path.name + DROPPED)
    if dropped:
        write_dropped(listed, dropped)
    else:
        listed.unlink(missing_ok=True)  # of an earlier run
    write_text(path.with_name(path.name + SUMMARY), json.dumps(result.to_json(), indent=2) + "\n")
    return result


def _checked(data: str, out: str, method: str, min_votes: int) -> Path:
    path = Path(out)
    if method not in _METHODS:
        raise ConfigError(f"method is {method!r}; choose from {', '.join(_METHODS)}")
    if min_votes < 1:
        raise ConfigError(f"min-votes is {min_votes}; it must be at least 1")
    if path.suffix != ".jsonl":
        raise ConfigError(f"out is {out}; it must end in .jsonl")
    refuse_own_input(path, data)
    return path


def _refuse_unusable(seen: Seen, data: str, method: Method, min_votes: int) -> None:
    if not seen.most_votes:
        message = f"none of the {seen.comparisons:,} comparisons has votes: there is nothing to aggregate"
        raise DataError(message, reason="no-votes", where=data)
    if not len(seen.tally.counts):
        raise DataError(
            f"no comparison has {min_votes} votes, the most are {seen.most_votes}; lower --min-votes",
            reason="few-votes",
            where=data,
        )
    if method in _ABOUT_PEOPLE and seen.tally.annotators == len(seen.tally.annotator):
        raise DataError(
            f"no annotator voted twice, or the data does not name them, so {method} cannot learn who is reliable; "
            "use --method majority or soft",
            reason="unnamed-annotators",
            where=data,
        )


def _told(stream: GroupStream, on_progress: Callable[[int], None]) -> Iterator[PreferenceGroup]:
    for group in stream:
        yield group
        on_progress(1)


@dataclass(slots=True)
class _Work:
    """The second pass: labels in the order of their comparisons, and what happens on the way."""

    tally: Tally
    labels: Labels
    min_votes: int
    done: int = 0
    groups: int = 0
    turned: int = 0
    margins_dropped: int = 0
    few_votes: int = 0
    groups_dropped: int = 0
    dropped: list[DroppedRow] = field(default_factory=list)

    def relabel(self, group: PreferenceGroup) -> PreferenceGroup | None:
        """The group with new labels on the comparisons that have enough votes; None where none has."""
        enough = [len(one.votes) >= self.min_votes for one in group.comparisons]
        few = [number for number, one in enumerate(enough) if not one]
        self.few_votes += len(few)
        if len(few) == len(enough):
            self.groups_dropped += 1
            self._drop(group, "comparisons", "no comparison has enough; the group is left out")
            return None
        for number in few:
            self._drop(group, f"comparisons[{number}]", f"it has {len(group.comparisons[number].votes)}")
        self.groups += 1
        kept = tuple(self._relabelled(one) for one, keep in zip(group.comparisons, enough, strict=True) if keep)
        return replace(group, comparisons=kept)

    def _drop(self, group: PreferenceGroup, field: str, what: str) -> None:
        message = f"fewer than {self.min_votes} votes: {what}"
        self.dropped.append(DroppedRow(group.where, "few-votes", field, message))

    def _relabelled(self, one: Comparison) -> Comparison:
        row, self.done = self.done, self.done + 1
        if row >= len(self.labels.verdict):
            raise _changed()
        verdict = int(self.labels.verdict[row])
        low, high = sorted((one.winner, one.loser))
        winner, loser = (one.winner, one.loser) if verdict == TIE else (low, high)[:: -1 if verdict == HIGH else 1]
        turned = winner != one.winner and not one.is_tie
        stale = turned or verdict == TIE or one.is_tie
        self.turned += turned
        self.margins_dropped += stale and one.margin != 0
        return replace(
            one,
            winner=winner,
            loser=loser,
            margin=0.0 if stale else one.margin,
            probability=float(self.labels.probability[row]),
            weight=one.weight * float(self.labels.weight[row]),
        )

    def finish(self, data: str) -> None:
        """Complain where the second pass did not see what the first one did."""
        if self.done != len(self.labels.verdict):
            raise _changed(data)


def _changed(data: str = "") -> DataError:
    return DataError("the data changed while it was read; run it again", reason="data-changed", where=data)


def _result(path: Path, method: Method, min_votes: int, seen: Seen, work: _Work, bad_rows: int) -> AggregateResult:
    ties = work.labels.verdict == TIE
    minority = 2 * seen.tally.counts[:, TIE] < seen.tally.counts.sum(axis=1)
    return AggregateResult(
        out=path,
        method=method,
        min_votes=min_votes,
        groups=work.groups,
        comparisons=work.done,
        votes=len(seen.tally.comparison),
        annotators=seen.tally.annotators,
        ties=int(np.count_nonzero(ties)),
        undecided=int(np.count_nonzero(ties & minority)),
        turned=work.turned,
        coins=work.labels.coins,
        margins_dropped=work.margins_dropped,
        few_votes=work.few_votes,
        groups_dropped=work.groups_dropped,
        bad_rows=bad_rows,
    )
