"""LLMBar: sets by their folders, equal rewards half, averages over sets."""

import pytest

from palate.auditing.benchmarks.llmbar import SETS


def row(number: int, first: float, second: float, label: int) -> dict:
    return {"input": f"q{number}", "output_1": f"one {first}", "output_2": f"two {second}", "label": label}


FILES = {
    "LLMBar/Natural/dataset.jsonl": [row(1, 1, 0, 1), row(2, 0, 1, 1)],  # 1/2
    "LLMBar/Adversarial/Neighbor/dataset.jsonl": [row(3, 1, 0, 1), row(4, 0, 1, 2), row(5, 2, 1, 1)],  # 1
    "LLMBar/Adversarial/GPTInst/dataset.jsonl": [row(6, 1, 1, 1)],  # 1/2
    "LLMBar/Adversarial/GPTOut/dataset.jsonl": [row(7, 1, 0, 2)],  # 0
    "LLMBar/Adversarial/Manual/dataset.jsonl": [row(8, 0, 1, 2), row(9, 1, 1, 2)],  # 3/4
}
ADVERSARIAL = (1 + 0.5 + 0 + 0.75) / 4


def test_the_table_is_the_one_worked_out_by_hand(judge, value) -> None:
    check = judge(FILES)
    for name, expected in {
        "Natural": 0.5,
        "Neighbor": 1.0,
        "GPTInst": 0.5,
        "GPTOut": 0.0,
        "Manual": 0.75,
        "adversarial average": ADVERSARIAL,
        "mean of the five sets": (0.5 + 4 * ADVERSARIAL) / 5,
        "all items": (1 + 3 + 0.5 + 0 + 1.5) / 9,
    }.items():
        assert value(check, "llmbar", name) == pytest.approx(expected), name
    assert check.facts["benchmarks.llmbar.figures"]["all items"]["equal_rewards"] == 2
    assert check.facts["benchmarks.llmbar.overall"] is None


def test_a_reward_that_is_no_number_is_neither_right_nor_wrong(judge, value) -> None:
    infinite = [row(3, float("inf"), 0, 1), row(4, 0, float("inf"), 1)]
    check = judge({"LLMBar/Natural/dataset.jsonl": [row(1, 1, 0, 1), row(2, 0, 1, 1), *infinite]})
    assert value(check, "llmbar", "Natural") == 0.5
    figure = check.facts["benchmarks.llmbar.figures"]["Natural"]
    assert (figure["items"], figure["unscored"]) == (2, 2)


def test_a_source_column_names_the_set_too(judge, value) -> None:
    check = judge([row(1, 1, 0, 1) | {"source": "llmbar-natural"}, row(2, 1, 0, 2) | {"source": "llmbar-adver-GPTOut"}])
    assert (value(check, "llmbar", "Natural"), value(check, "llmbar", "GPTOut")) == (1.0, 0.0)


def test_items_of_no_known_set_count_among_all_alone(judge, value) -> None:
    check = judge([row(1, 1, 0, 1)])
    assert list(check.facts["benchmarks.llmbar.figures"]) == ["all items"]
    assert list(check.facts["benchmarks.llmbar.left_out"].values()) == [1]


def test_one_item_too_many_leaves_nothing_to_be_called_overall(judge) -> None:
    numbers = iter(range(1000))
    rows = [row(next(numbers), 1, 0, 1) | {"source": name} for name, count in SETS.items() for _ in range(count)]
    whole = judge(rows)
    assert (len(rows), whole.facts["benchmarks.llmbar.overall"]) == (419, 1.0)
    assert "macro: mean of the five sets, the official score" in str(whole.section.blocks)
    more = judge([*rows, row(999, 1, 0, 1)])
    assert more.facts["benchmarks.llmbar.overall"] is None
    assert "macro: mean of the five sets (partial)" in str(more.section.blocks)
