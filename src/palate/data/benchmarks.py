"""Test sets that reward models and judges are measured on, read as published.

| set | responses | comparisons |
|---|---|---|
| RewardBench (Lambert et al. 2024) | chosen, rejected | 1 |
| RewardBench 2 (Malik et al. 2025) | all of `chosen`, then all of `rejected` | each chosen beats each rejected |
| RM-Bench (Liu et al. 2024) | 3 chosen, then 3 rejected, in the order of `STYLES` | each chosen beats each rejected |
| LLMBar (Zeng et al. 2023) | output_1, output_2 | 1 |
| JudgeBench (Tan et al. 2024) | response_A, response_B | 1 |

Responses stay as they are, even where one repeats its prompt or is empty: every row counts in the published figures.
Which response a person saw first is no part of any of these.
"""

from collections.abc import Mapping, Sequence
from itertools import product

from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.turns import read_prompt, read_response
from palate.data.votes import shown_notes
from palate.records import Comparison, Conversation

STYLES = ("concise", "detailed", "detailed-markdown")
"""RM-Bench writes every answer in these three; a group's `models` names them, chosen and rejected alike.

The matrix of the paper (section 3) is then accuracy by `models[winner]` and `models[loser]`.
"""


def read_rewardbench(row: Cell) -> Reading:
    """RewardBench: a pair with its subset and the models that wrote the two.

    Raises:
        DataError: a fault of the prompt or of a response.
    """
    prompt = read_prompt(row["prompt"])
    return _reading(prompt, (_shown(row["chosen"], prompt), _shown(row["rejected"], prompt)), (0,), (1,))


def holds_lists(row: Cell) -> bool:
    """Whether chosen and rejected are lists of texts, neither one a text nor messages."""
    both = (row.value.get("chosen"), row.value.get("rejected"))
    return all(isinstance(texts, list) and texts and isinstance(texts[0], str) for texts in both)


def read_lists(row: Cell) -> Reading:
    """RewardBench 2: any number of good and of bad responses; chosen ones are not compared with each other.

    Raises:
        DataError: a fault of the prompt or of a response.
    """
    prompt = read_prompt(row["prompt"])
    chosen, rejected = row["chosen"].items(), row["rejected"].items()
    responses = tuple(_shown(cell, prompt) for cell in (*chosen, *rejected))
    return _reading(prompt, responses, range(len(chosen)), range(len(chosen), len(responses)))


def read_rm_bench(row: Cell) -> Reading:
    """RM-Bench: three styles of a good and of a bad answer.

    Raises:
        DataError: `style-count` where there are not three of each, or a fault of the prompt or of a response.
    """
    for name in ("chosen", "rejected"):
        if len(row[name].items()) != len(STYLES):
            message = f"{len(row[name].items())} responses; RM-Bench has one for each of {', '.join(STYLES)}"
            raise row[name].fault("style-count", message)
    return _reading_of(read_lists(row), STYLES + STYLES)


def read_llmbar(row: Cell) -> Reading:
    """LLMBar: `input`, two outputs, and the number of the better one, 1 or 2.

    Raises:
        DataError: `unknown-label`, or a fault of the prompt or of a response.
    """
    return _labelled(row, "input", ("output_1", "output_2"), {"1": 0, "2": 1})


def read_judgebench(row: Cell) -> Reading:
    """JudgeBench: `question`, responses A and B by one model, and the label "A>B" or "B>A".

    Raises:
        DataError: `unknown-label`, or a fault of the prompt or of a response.
    """
    return _labelled(row, "question", ("response_A", "response_B"), {"A>B": 0, "B>A": 1})


def _labelled(row: Cell, question: str, columns: tuple[str, str], labels: Mapping[str, int]) -> Reading:
    prompt = read_prompt(row[question])
    label = str(row["label"].value).strip()
    if label not in labels:
        known = " and ".join(labels)
        raise row["label"].fault("unknown-label", f"is {label!r}; known are {known}: correct it or remove the row")
    winner = labels[label]
    return _reading(prompt, tuple(_shown(row[name], prompt) for name in columns), (winner,), (1 - winner,))


def _shown(cell: Cell, prompt: Conversation) -> Conversation:
    return read_response(cell, prompt, as_shown=True)


def _reading(
    prompt: Conversation, responses: tuple[Conversation, ...], better: Sequence[int], worse: Sequence[int]
) -> Reading:
    comparisons = tuple(Comparison(i, j) for i, j in product(better, worse) if responses[i] != responses[j])
    return Reading((Draft(prompt, responses, comparisons),), shown_notes(responses))


def _reading_of(reading: Reading, models: tuple[str, ...]) -> Reading:
    (draft,) = reading.drafts
    return Reading((Draft(draft.prompt, draft.responses, draft.comparisons, models=models),), reading.notes)
