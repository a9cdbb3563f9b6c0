"""Records for Argilla's ranking template, and what it would export after people have ranked them.

For import, a record is an instruction and its K responses, with the reward model's own ranking as a suggestion where
there are rewards, and without the labels: whoever ranks anew must not see them. The export has them as responses, one
ranking a person; a label without votes is a ranking that nobody signed. Where the votes of somebody are no ranking of
all K responses, the group becomes a record for each of its pairs.
"""

import math
from collections.abc import Iterator, Mapping

from palate.data.argilla import QUESTION
from palate.data.turns import prompt_fault
from palate.data.votes import NOBODY
from palate.data.writers.lists import ranks_of
from palate.data.writers.pairing import one_by_one
from palate.data.writers.target import Job, Row, short
from palate.records import PreferenceGroup

Verdicts = dict[tuple[int, int], int | None]
"""The preferred response of each pair, or None for a tie."""


def record_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """Records to import."""
    record = _record(group, job)
    if record is not None:
        job.lose("label", len(group.comparisons))
        job.lose("votes", sum(len(one.votes) for one in group.comparisons))
        yield record


def export_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """Ranked records, as Argilla exports them."""
    if not group.comparisons:
        job.leave_out("no-comparisons")
        return
    answers, lost = _answers(group)
    compared = {frozenset((one.winner, one.loser)) for one in group.comparisons}
    whole = answers and not lost and len(compared) == len(group.comparisons)
    if not whole and (len(group.responses) > 2 or len(group.comparisons) > 1):
        for pair in one_by_one(group, job):
            yield from export_rows(pair, job)
        return
    record = _record(group, job)
    if record is None:
        return
    job.lose("votes", lost)
    job.wrote_all(group)
    for one in group.comparisons:
        job.lose("position", sum(vote.first is not None for vote in one.votes))
        job.lose("seconds", sum(vote.seconds is not None for vote in one.votes))
    listed = [{"value": _value(ranks), "status": "submitted", **_user(name)} for name, ranks in answers.items()]
    yield record | {"status": "completed", "responses": {QUESTION: listed}}


def _record(group: PreferenceGroup, job: Job) -> Row | None:
    fault = prompt_fault(group.prompt) if group.prompt else None
    if fault or len(group.responses) < 2:
        job.leave_out(fault.reason if fault else "one-response")
        return None
    about = {"source": group.source, "time": group.time, "models": list(group.models)}
    fields = {f"response{number}": short(one, "assistant") for number, one in enumerate(group.responses, 1)}
    return {
        "id": group.id,
        "fields": {"instruction": short(group.prompt, "user"), **fields},
        "metadata": {name: value for name, value in about.items() if value},
        "vectors": {},
        "status": "pending",
        "suggestions": {} if job.rewards is None else {QUESTION: _suggestion(job.rewards, job.agent)},
        "responses": {},
    }


def _answers(group: PreferenceGroup) -> tuple[dict[str, list[int]], int]:
    """The ranking of each person, and how many votes are in none."""
    verdicts: dict[str, Verdicts] = {}
    votes = kept = 0
    for one in group.comparisons:
        pair = (min(one.winner, one.loser), max(one.winner, one.loser))
        for vote in one.votes:
            votes += 1
            verdicts.setdefault(vote.annotator, {})[pair] = vote.preferred
        if not one.votes:
            verdicts.setdefault(NOBODY, {})[pair] = None if one.is_tie else one.winner
    answers = {}
    for name, cast in verdicts.items():
        ranks = ranks_of(cast, len(group.responses))
        if ranks is not None:
            answers[name] = ranks
            kept += len(cast) if name != NOBODY else 0
    return answers, votes - kept


def _value(ranks: list[int]) -> list[Row] | list[str]:
    """Names from the best to the worst; with their ranks where some are equal."""
    order = sorted(range(len(ranks)), key=lambda index: ranks[index])
    names = [f"response{index + 1}" for index in order]
    if len(set(ranks)) == len(ranks):
        return names
    return [{"value": name, "rank": ranks[index]} for name, index in zip(names, order, strict=True)]


def _suggestion(rewards: tuple[float, ...], agent: str) -> Row:
    """The ranking by reward, equal rewards on one rank; the score is the probability of the best against the second."""
    ranks = [1 + sum(other > own for other in rewards) for own in rewards]
    best, second, *_ = sorted(rewards, reverse=True)
    return {"value": _value(ranks), "score": 1 / (1 + math.exp(second - best)), "agent": agent}


def _user(name: str) -> Mapping[str, str]:
    return {} if name == NOBODY else {"user_id": name}
