"""`palate data convert`: preference data in one format in, in another out, and the count of what went missing.

The data is read twice, once to see that it is sound and what it holds, once to be written, and is never held. What the
target cannot say is in `ConvertResult.lost`; the names are these.

| name | what it counts |
|---|---|
| left-out: tie | comparisons without a winner, where a row has to name one |
| left-out: no-comparisons, one-response | groups that the target has no use for |
| left-out: no-votes | comparisons without votes, where a row is nothing else |
| left-out: identical-pair, empty-prompt, empty-response, prompt-in-response, wrong-role | what readers refuse |
| left-out: several-turns, role, speaker-in-text | turns, speakers or texts that cannot be spelled |
| left-out: not-in-styles | groups that are not RM-Bench's |
| split-group | groups that became a row for each of their comparisons |
| unpaired-response | responses that no written comparison names |
| response-order | rows in which the responses changed places, as chosen comes first |
| margin, probability, weight, label | comparisons that lost theirs |
| votes, position, seconds | votes that are gone, or no longer say which response came first or how long they took |
| source, models, time, id | groups, or pairs of them, that lost theirs |
| outer-space, prompt-boundary | pairs whose turns lost white space, or whose prompt took over a shared first turn |
| prediction | groups that have no rewards in the predictions |
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from palate.atomic import write_text
from palate.data.load import stream_groups
from palate.data.read import GroupStream, OnBadRow, ReadReport, write_dropped
from palate.data.rows import is_finite
from palate.data.sources import read_rows, refuse_own_input
from palate.data.writers.files import writing
from palate.data.writers.target import Job, Target, find_traits
from palate.data.writers.targets import TARGETS
from palate.errors import ConfigError, DataError
from palate.records import PreferenceGroup

SUMMARY = ".summary.json"  # after the name of `out`
_REPORT_EVERY = 256  # groups between two words on progress


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What a conversion did.

    Attributes:
        out: the file.
        rows: how many it holds.
        lost: what could not be written, by name; see the table above.
        report: what reading had to say.
    """

    out: Path
    rows: int
    lost: dict[str, int]
    report: ReadReport

    def summary(self) -> str:
        """One line for people.

        >>> report = ReadReport(2, 2, (), {}, {}, 2)
        >>> ConvertResult(Path("a.csv"), 1, {"left-out: tie": 1, "votes": 3}, report).summary()
        '2 groups, 2 comparisons -> 1 row in a.csv; lost: votes 3, left-out: tie 1'
        """
        lost = ", ".join(f"{name} {count:,}" for name, count in sorted(self.lost.items(), key=lambda item: -item[1]))
        counts = f"{self.report.groups:,} groups, {self.report.comparisons:,} comparisons"
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'}"
        return f"{counts} -> {rows} in {self.out}{f'; lost: {lost}' if lost else ''}"

    def to_json(self) -> dict[str, Any]:
        """Plain Python for `json.dumps`."""
        read = asdict(self.report) | {"dropped": len(self.report.dropped)}
        return {"out": str(self.out), "rows": self.rows, "lost": self.lost, "read": read}


def convert(
    data: str,
    *,
    to: str,
    out: str,
    predictions: str | None = None,
    split: str = "train",
    on_bad_row: OnBadRow = "error",
    max_groups: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ConvertResult:
    """Write preference data in another format.

    Args:
        data: a file, a folder, a hub dataset or `simulated`, in any format that palate reads.
        to: name of a target, see `palate.data.writers.targets`.
        out: file to write; its ending says how. The figures are in a summary beside it.
        predictions: rewards for these very groups, as `palate score` writes them.
        split: which split of a hub dataset.
        on_bad_row: whether a bad row stops the conversion, or is left out and listed beside `out`.
        max_groups: convert no more than that many groups.
        on_progress: gets the groups done and their total.

    Raises:
        ConfigError: there is no such target, `out` ends in what the target cannot be, or is one of the inputs, or the
            target has no place for predictions.
        DataError: the data or the predictions cannot be read, do not belong together, or nothing is left to write.
    """
    target = _target(to, out, predictions)
    path = Path(out)
    for source in (data, *([predictions] if predictions else [])):
        refuse_own_input(path, source)
    stream = stream_groups(data, split=split, on_bad_row=on_bad_row, max_groups=max_groups, require_comparisons=False)
    traits = find_traits(stream)
    if not traits.groups:
        raise DataError(f"no group in it can be read ({stream.report.summary()})", reason="no-groups", where=data)
    columns = [column for column in target.columns if not column.needs or column.needs in traits.used]
    job = Job(target.is_plain(traits), carries=target.carries, agent=Path(predictions).stem if predictions else "")
    groups = _with_rewards(stream, predictions, job) if predictions else iter(stream)
    rows = 0
    with writing(path, columns, plain=job.plain) as write:
        for done, group in enumerate(groups, 1):
            for row in target.rows(group, job):
                write(row)
                rows += 1
            if on_progress is not None and (done % _REPORT_EVERY == 0 or done == traits.groups):
                on_progress(done, traits.groups)
        if rows == 0:
            raise _nothing(data, to, job)
    listed = path.with_name(f"{path.name}.dropped.jsonl")
    if stream.report.dropped:
        write_dropped(listed, stream.report.dropped)
    else:
        listed.unlink(missing_ok=True)  # of an earlier run
    result = ConvertResult(path, rows, dict(job.lost), stream.report)
    write_text(path.with_name(path.name + SUMMARY), json.dumps(result.to_json(), indent=2) + "\n")
    return result


def _target(name: str, out: str, predictions: str | None) -> Target:
    if name not in TARGETS:
        raise ConfigError(f"to is {name!r}; palate writes {', '.join(TARGETS)}")
    target = TARGETS[name]
    if Path(out).suffix not in target.endings:
        raise ConfigError(f"out is {out}; {name} can be written as {', '.join(target.endings)}")
    if predictions is not None and not target.predictions:
        able = ", ".join(one.name for one in TARGETS.values() if one.predictions)
        raise ConfigError(f"{name} has no place for predictions; leave them out, or write one of {able}")
    return target


def _with_rewards(stream: GroupStream, predictions: str, job: Job) -> Iterator[PreferenceGroup]:
    """The groups, the job knowing the rewards of each while it is at hand; both files have the same order."""
    lines = read_rows(predictions)
    hint = f"score this very data with palate score, with the same rows left out (predictions: {predictions})"
    for group in stream:
        line = next(lines, None)
        if isinstance(line, DataError):
            raise line
        if line is None:
            message = f"the predictions end before group {group.id}; {hint}"
            raise DataError(message, reason="predictions-differ", where=group.where)
        rewards = line.values.get("rewards")
        if line.values.get("id") != group.id or "rewards" not in line.values:
            message = f"the predictions are of {line.values.get('id')!r} here, the data of {group.id!r}; {hint}"
            raise DataError(message, reason="predictions-differ", where=line.where, field="id")
        if rewards is not None and not _are_rewards(rewards, len(group.responses)):
            message = f"rewards: not one number for each of {len(group.responses)} responses; {hint}"
            raise DataError(message, reason="predictions-differ", where=line.where, field="rewards")
        job.lose("prediction", int(rewards is None))
        job.rewards = None if rewards is None else tuple(rewards)
        yield group
    for line in lines:
        where = line.where
        raise DataError(f"predictions go on after the last group; {hint}", reason="predictions-differ", where=where)


def _are_rewards(value: object, number: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == number
        and all(isinstance(one, int | float) and is_finite(one) for one in value)
    )


def _nothing(data: str, to: str, job: Job) -> DataError:
    why = ", ".join(f"{name} {count:,}" for name, count in job.lost.items())
    message = f"nothing of it can be written as {to} ({why}); choose another format with --to"
    return DataError(message, reason="nothing-written", where=data)
