"""A row for each group where that can be: palate's own, rankings, and benchmarks with several responses on a side.

A group falls into two camps where every chosen response beats every rejected one and nothing else is compared. That is
what RewardBench 2's lists can say; other groups become a row for each pair.
"""

from collections.abc import Iterator, Mapping

from palate.data.benchmarks import STYLES
from palate.data.rows import group_to_row
from palate.data.turns import prompt_fault, response_fault
from palate.data.writers.pairing import one_by_one, pairwise
from palate.data.writers.target import Job, Row, own_id, turns
from palate.records import PreferenceGroup


def palate_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """Everything but the place it was read from."""
    if len(group.responses) < 2:
        job.leave_out("one-response")
    else:
        yield group_to_row(group)


def lists_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """RewardBench 2: `chosen` and `rejected` as lists of texts."""
    camps = two_camps(group)
    if not camps:
        yield from _list_pairs(group, job)
    elif row := _list_row(group, *camps, own_id(group), job):
        job.wrote_all(group)
        yield row


def rm_bench_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """RM-Bench: only groups of three styles on each side, as its reader makes them."""
    if group.models != STYLES + STYLES or two_camps(group) != ([0, 1, 2], [3, 4, 5]):
        job.leave_out("not-in-styles")
    elif row := _list_row(group, [0, 1, 2], [3, 4, 5], own_id(group), job):
        job.wrote_all(group)
        yield {name: row[name] for name in ("prompt", "chosen", "rejected", "id")} | {"domain": group.source}


def ranked_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """`prompt`, `responses` and `ranks`, 1 for the best."""
    for one, ranks in _ranked(group, job):
        yield {
            "id": own_id(one),
            "prompt": turns(one.prompt, job.plain),
            "responses": [turns(response, job.plain) for response in one.responses],
            "ranks": ranks,
            **_about(one),
        }


def nemo_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """NeMo's `context` and `completions`, rank 0 for the best."""
    for one, ranks in _ranked(group, job):
        completions = [
            {"rank": rank - 1, "completion": turns(response, plain=False)}
            for rank, response in zip(ranks, one.responses, strict=True)
        ]
        context = turns(one.prompt, plain=False)
        yield {"id": own_id(one), "context": context, "completions": completions, **_about(one)}


def two_camps(group: PreferenceGroup) -> tuple[list[int], list[int]] | None:
    """Indices of winners and losers, where each winner was found better than each loser and nothing else compared."""
    decided = [(one.winner, one.loser) for one in group.comparisons if not one.is_tie]
    winners, losers = sorted({winner for winner, _ in decided}), sorted({loser for _, loser in decided})
    everyone = set(winners) | set(losers) == set(range(len(group.responses)))
    apart = not set(winners) & set(losers) and len(decided) == len(group.comparisons)
    complete = len(set(decided)) == len(decided) == len(winners) * len(losers)
    return (winners, losers) if decided and everyone and apart and complete else None


def ranks_of(verdicts: Mapping[tuple[int, int], int | None], number: int) -> list[int] | None:
    """Places from 1 that say the same as the verdicts on all pairs; None where no places do.

    Args:
        verdicts: the preferred index for each pair (i, j) with i < j, or None for a tie.
        number: of responses, K.

    >>> ranks_of({(0, 1): 1, (0, 2): 0, (1, 2): 1}, 3), ranks_of({(0, 1): 1, (0, 2): 0, (1, 2): 2}, 3)
    ([2, 1, 3], None)
    """
    if len(verdicts) != number * (number - 1) // 2:
        return None
    points = [0.0] * number
    for (i, j), preferred in verdicts.items():
        points[i] += 0.5 if preferred is None else float(preferred == i)
        points[j] += 0.5 if preferred is None else float(preferred == j)
    for (i, j), preferred in verdicts.items():
        lead = points[i] - points[j]
        if preferred != (None if lead == 0 else i if lead > 0 else j):
            return None
    return [1 + sum(other > own for other in points) for own in points]


def _ranked(group: PreferenceGroup, job: Job) -> Iterator[tuple[PreferenceGroup, list[int]]]:
    """The group with places for its responses, or its pairs where there are none for the whole."""
    if not group.comparisons:
        job.leave_out("no-comparisons")
        return
    ranks = _ranks(group)
    if ranks is None:
        for one in one_by_one(group, job):
            yield from _ranked(one, job)
        return
    faults = [prompt_fault(group.prompt), *(response_fault(one, group.prompt) for one in group.responses)]
    found = [fault.reason for fault in faults if fault is not None]
    if len(set(group.responses)) < len(group.responses):  # the reader compares no equal texts either
        found.append("identical-pair")
    if found:
        job.leave_out(found[0])
        return
    job.wrote_all(group)
    yield group, ranks


def _ranks(group: PreferenceGroup) -> list[int] | None:
    verdicts = {
        (min(one.winner, one.loser), max(one.winner, one.loser)): None if one.is_tie else one.winner
        for one in group.comparisons
    }
    return ranks_of(verdicts, len(group.responses)) if len(verdicts) == len(group.comparisons) else None


def _list_row(group: PreferenceGroup, chosen: list[int], rejected: list[int], name: str, job: Job) -> Row | None:
    fault = prompt_fault(group.prompt)
    if not all(len(group.responses[index]) == 1 for index in (*chosen, *rejected)):
        job.leave_out("several-turns")
    elif fault:
        job.leave_out(fault.reason)
    elif {group.responses[index] for index in chosen} & {group.responses[index] for index in rejected}:
        job.leave_out("identical-pair")
    else:
        order = (*chosen, *rejected)
        job.lose("response-order", int(list(order) != sorted(order)))
        return {
            "id": name,
            "prompt": turns(group.prompt, job.plain),
            "chosen": [turns(group.responses[index], plain=True) for index in chosen],
            "rejected": [turns(group.responses[index], plain=True) for index in rejected],
            "num_correct": len(chosen),
            "num_incorrect": len(rejected),
            "total_completions": len(order),
            "models": [group.models[index] for index in order] if group.models else [],
            "subset": group.source,
        }
    return None


def _about(group: PreferenceGroup) -> Row:
    about = {"source": group.source, "models": list(group.models), "time": group.time}
    return {name: value for name, value in about.items() if value}


_list_pairs = pairwise(
    lambda pair, job: _list_row(pair.group, [pair.comparison.winner], [pair.comparison.loser], pair.id, job)
)
