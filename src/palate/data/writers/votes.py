"""Single votes: a list for each pair, or a table with a row for each.

A label without votes becomes a row of the table without an annotator, and cannot be written as a list. The share of the
votes is worked out again by whoever reads them, so a `probability` that came from elsewhere is lost.
"""

from collections import Counter
from collections.abc import Iterator

from palate.data.turns import prompt_fault, response_fault
from palate.data.votes import NOBODY
from palate.data.writers.pairing import Pair, pairwise
from palate.data.writers.target import Job, Row, turns
from palate.records import PreferenceGroup, Vote


def votes_row(pair: Pair, job: Job) -> Row | None:
    """`prompt`, `response_a`, `response_b` and `votes`, of a comparison that has votes."""
    first, second = pair.group.responses[pair.first], pair.group.responses[pair.second]
    faults = [prompt_fault(pair.group.prompt), *(response_fault(one, pair.group.prompt) for one in (first, second))]
    found = [fault.reason for fault in faults if fault is not None]
    if not pair.comparison.votes:
        found.insert(0, "no-votes")
    if found:
        job.leave_out(found[0])
        return None
    names = {pair.first: "a", pair.second: "b", None: None}
    listed = []
    for vote in pair.comparison.votes:
        value = "tie" if vote.preferred is None else names[vote.preferred]
        row: Row = {"annotator": vote.annotator, "value": value, "first": names[vote.first]}
        listed.append(row if vote.seconds is None else row | {"seconds": vote.seconds})
    about = {
        "id": pair.id,
        "source": pair.group.source,
        "model_a": pair.model(pair.first),
        "model_b": pair.model(pair.second),
        "time": pair.group.time,
    }
    shown = {"prompt": pair.group.prompt, "response_a": first, "response_b": second}
    return (
        {name: turns(part, job.plain) for name, part in shown.items()}
        | {"votes": listed}
        | {name: value for name, value in about.items() if value}
    )


def table_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """A row for each vote, and for each label that has none; a task for each group.

    A second comparison of the same two responses is a task of its own: its votes must not be counted with the first's.
    """
    if not group.comparisons:
        job.leave_out("no-comparisons")
    fault = prompt_fault(group.prompt) if group.prompt else None
    written: list[int] = []
    tasks: Counter[tuple[int, int]] = Counter()
    for comparison in group.comparisons:
        pair = Pair(group, comparison)
        if fault or pair.chosen == pair.rejected:
            job.leave_out(fault.reason if fault else "identical-pair")
            continue
        tasks[pair.first, pair.second] += 1
        again = tasks[pair.first, pair.second]
        task = group.id if again == 1 else f"{group.id}#{again}"
        label = Vote(NOBODY, None if comparison.is_tie else comparison.winner, pair.first)
        for vote in comparison.votes or (label,):
            left = pair.first if vote.first is None else vote.first
            right = pair.second if left == pair.first else pair.first
            written += [index for index in (left, right) if index not in written]
            yield {"task": task} | _table_row(pair, vote, left, right, job)
        job.wrote(comparison)
    if written:
        job.wrote_group(group)
        job.lose("unpaired-response", len(group.responses) - len(written))
        job.lose("response-order", int(written != sorted(written)))
        job.lose("split-group", int(max(tasks.values()) > 1))


def _table_row(pair: Pair, vote: Vote, left: int, right: int, job: Job) -> Row:
    group = pair.group
    return {
        "annotator": vote.annotator,
        "left": turns(group.responses[left], job.plain),
        "right": turns(group.responses[right], job.plain),
        "label": "tie" if vote.preferred is None else "left" if vote.preferred == left else "right",
        "prompt": turns(group.prompt, job.plain) or None,
        "first": "unknown" if vote.first is None else "left",
        "seconds": vote.seconds,
        "left_model": pair.model(left),
        "right_model": pair.model(right),
        "source": group.source,
        "time": group.time,
    }


lists_of_votes = pairwise(votes_row, ties=True)
