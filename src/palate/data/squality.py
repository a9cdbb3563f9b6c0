"""SQuALITY's human evaluation (Wang et al. 2022): summaries by three systems, rated 0 to 100 by three reviewers each.

A row is a story; each of its questions is a group. A reviewer's vote is the sign of the difference of their overall
ratings, and the margin the mean difference as a share of the scale. The questions themselves are not in the files; the
prompt names story and number instead. Nothing says in which order the summaries were shown.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.turns import read_response
from palate.data.votes import judge, shown_notes
from palate.records import Comparison, Message, Vote

_SCALE = 100.0
_Ratings = Mapping[str, float]
"""Overall rating of one summary by reviewer."""


def read_squality(row: Cell) -> Reading:
    """All questions of one story.

    Raises:
        DataError: `no-votes` where two summaries have no reviewer in common, `too-few-responses`, `bad-number`, or
            a fault of a response.
    """
    story, questions = row["passage-id"].text(), row["questions"]
    drafts = tuple(_question(story, number, questions[number]) for number in questions.value)
    return Reading(drafts, tuple(sorted({note for draft in drafts for note in shown_notes(draft.responses)})))


def _question(story: str, number: str, answers: Cell) -> Draft:
    prompt = (Message("user", f"Answer question {number} about story {story} in a summary."),)
    models = tuple(answers.value)
    if len(models) < 2:
        raise answers.fault("too-few-responses", "a comparison needs two summaries; add one or remove the question")
    responses = tuple(read_response(answers[name]["response"], prompt, as_shown=True) for name in models)
    ratings = [_ratings(answers[name]["reviews"]) for name in models]
    comparisons = tuple(
        _compare(answers, ratings, i, j) for i, j in combinations(range(len(models)), 2) if responses[i] != responses[j]
    )
    return Draft(prompt, responses, comparisons, f"{story}-{number}", models=models)


def _ratings(reviews: Cell) -> _Ratings:
    return {review["worker_id"].name(): review["overall-rating"].finite() for review in reviews.items()}


def _compare(answers: Cell, ratings: list[_Ratings], i: int, j: int) -> Comparison:
    leads = {name: ratings[i][name] - ratings[j][name] for name in ratings[i] if name in ratings[j]}
    if not leads:
        message = f"summaries {i} and {j} have no reviewer in common; add reviews or remove the question"
        raise answers.fault("no-votes", message)
    votes = [Vote(name, None if lead == 0 else i if lead > 0 else j) for name, lead in leads.items()]
    comparison = judge(votes, i, j)
    mean = sum(leads.values()) / len(leads)
    agrees = mean if comparison.winner == i else -mean
    return replace(comparison, margin=0.0 if comparison.is_tie else max(0.0, agrees) / _SCALE)
