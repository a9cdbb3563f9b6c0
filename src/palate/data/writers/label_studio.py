"""Tasks for Label Studio, and what it would export after people have judged them.

For import, a task is two texts that stand on the left and on the right, with the reward model's own judgement where
there are rewards, and without the labels: whoever judges anew must not see them. The export has them as annotations; a
label without votes is an annotation that nobody signed. Made for this labelling configuration:

    <View>
      <Text name="prompt" value="$prompt"/>
      <Text name="answer1" value="$answer1"/> <Text name="answer2" value="$answer2"/>
      <Pairwise name="comparison" toName="answer1,answer2"/>
      <Choices name="tie" toName="prompt"><Choice value="tie"/></Choices>
    </View>

A prompt of several turns is a list of messages: `<Paragraphs>` with nameKey="role" and textKey="content" shows it.
"""

import math
from collections.abc import Iterator
from itertools import combinations

from palate.data.label_studio import CONTROL, TIE_CONTROL
from palate.data.turns import prompt_fault
from palate.data.votes import NOBODY
from palate.data.writers.pairing import Pair, pairwise
from palate.data.writers.target import Job, Row, short
from palate.records import Comparison, PreferenceGroup, Vote


def task_rows(group: PreferenceGroup, job: Job) -> Iterator[Row]:
    """Tasks to import: a pair for each comparison, or every pair of a group that has none."""
    if len(group.responses) < 2:
        job.leave_out("one-response")
        return
    every = combinations(range(len(group.responses)), 2)
    pairs = [Pair(group, one) for one in group.comparisons or (Comparison(i, j) for i, j in every)]
    for pair in pairs:
        task = _task(pair, job)
        if task is not None:
            yield task
            job.lose("label", int(bool(group.comparisons)))
            job.lose("votes", len(pair.comparison.votes))
    job.lose("split-group", int(len(pairs) > 1))


def export_row(pair: Pair, job: Job) -> Row | None:
    """A judged task, as Label Studio exports it."""
    task = _task(pair, job)
    if task is None:
        return None
    label = Vote(NOBODY, None if pair.comparison.is_tie else pair.comparison.winner, pair.first)
    votes = pair.comparison.votes or (label,)
    firsts = {vote.first for vote in votes}
    if firsts != {pair.first}:  # a task has one order, so where people saw different ones it is said to be unknown
        task["data"]["first"] = "right" if firsts == {pair.second} else "unknown"
    job.lose("position", sum(vote.first is not None for vote in votes) if len(firsts) > 1 else 0)
    task["annotations"] = [_annotation(vote, pair) for vote in votes]
    return task


def _task(pair: Pair, job: Job) -> Row | None:
    group = pair.group
    if group.prompt and (fault := prompt_fault(group.prompt)):
        job.leave_out(fault.reason)
        return None
    about = {
        "id": pair.id,
        "source": group.source,
        "model_a": pair.model(pair.first),
        "model_b": pair.model(pair.second),
        "time": group.time,
    }
    data = {
        "prompt": short(group.prompt, "user"),
        "answer1": short(group.responses[pair.first], "assistant"),
        "answer2": short(group.responses[pair.second], "assistant"),
    }
    return {
        "data": data | {name: value for name, value in about.items() if value},
        "predictions": [] if job.rewards is None else [_prediction(pair, job.rewards, job.agent)],
    }


def _prediction(pair: Pair, rewards: tuple[float, ...], agent: str) -> Row:
    """Which side the rewards prefer; the score is the Bradley-Terry probability of that side, sigmoid(|margin|)."""
    margin = rewards[pair.first] - rewards[pair.second]
    score = 1 / (1 + math.exp(-abs(margin)))
    return {"model_version": agent, "score": score, "result": [_selected("left" if margin >= 0 else "right")]}


def _annotation(vote: Vote, pair: Pair) -> Row:
    tie = {"from_name": TIE_CONTROL, "to_name": "prompt", "type": "choices", "value": {"choices": ["tie"]}}
    side = "left" if vote.preferred == pair.first else "right"
    annotation: Row = {"result": [tie if vote.preferred is None else _selected(side)], "was_cancelled": False}
    # Label Studio's own users have numbers, and others an address
    number = vote.annotator.isascii() and vote.annotator.isdigit() and str(int(vote.annotator)) == vote.annotator
    if vote.annotator != NOBODY:
        annotation["completed_by"] = int(vote.annotator) if number else {"email": vote.annotator}
    else:
        annotation["ground_truth"] = True
    if vote.seconds is not None:
        annotation["lead_time"] = vote.seconds
    return annotation


def _selected(side: str) -> Row:
    return {"from_name": CONTROL, "to_name": CONTROL, "type": "pairwise", "value": {"selected": side}}


export_rows = pairwise(export_row, ties=True)
