"""JudgeBench: right in both orders, by source, micro and macro, and two sets apart."""

import numpy as np
import pytest

from palate.auditing.benchmarks.items import Item
from palate.auditing.benchmarks.judgebench import CATEGORIES, GPT_4O, PUBLISHED, judgebench

CLAUDE = "claude-3-5-sonnet-20240620"


def row(number: int, source: str, a: float, b: float, label: str, author: str = GPT_4O) -> dict:
    made = {"pair_id": f"p{number}", "source": source, "question": f"q{number}", "label": label}
    return made | {"response_A": f"a {a}", "response_B": f"b {b}", "response_model": author}


ROWS = [
    row(1, "mmlu-pro-law", 1, 0, "A>B"),
    row(2, "mmlu-pro-math", 0, 1, "A>B"),
    row(3, "mmlu-pro-math", 1, 1, "B>A"),  # equal: right in one order only
    row(4, "mmlu-pro-law", 1, 1, "A>B"),
    row(5, "livebench-reasoning", 0, 1, "B>A"),
    row(6, "livebench-math", 0, 1, "B>A"),
    row(7, "livecodebench", 1, 0, "B>A"),
    row(8, "livebench-math", 2, 2, "B>A"),
]


def test_the_table_is_the_one_worked_out_by_hand(judge, value) -> None:
    check = judge(ROWS)
    for name, expected in {
        "Knowledge": 1 / 4,
        "Reasoning": 1.0,
        "Math": 1 / 2,
        "Coding": 0.0,
        "mean of the four categories": (1 / 4 + 1 + 1 / 2 + 0) / 4,
        "all pairs": 3 / 8,
        "all pairs, one order": 5 / 8,
    }.items():
        assert value(check, "judgebench", name) == pytest.approx(expected), name
    facts = check.facts
    assert (facts["benchmarks.judgebench.official"], facts["benchmarks.judgebench.overall"]) == ("micro", None)
    assert facts["benchmarks.judgebench.micro"] == pytest.approx(3 / 8)
    assert facts["benchmarks.judgebench.figures"]["all pairs"]["equal_rewards"] == 3


def test_the_two_sets_stand_apart(judge, value) -> None:
    check = judge([*ROWS, row(9, "livecodebench", 1, 0, "A>B", CLAUDE)])
    assert value(check, "judgebench", "all pairs") == pytest.approx(3 / 8)
    assert value(check, "judgebench_claude", "all pairs") == 1.0


def test_all_of_it_is_called_overall_and_other_sources_are_said() -> None:
    def item(source: str, number: int) -> Item:
        return Item(str(number), source, str(number), "", GPT_4O, np.array([1.0]), np.array([0.0]))

    sizes = PUBLISHED[GPT_4O][1]
    items = [item(CATEGORIES[name], n) for name, count in sizes.items() for n in range(count)]
    (sheet,) = judgebench(items)
    assert (len(items), sheet.is_complete) == (350, True)
    (other,) = judgebench([*items[1:], item("trivia", 1)])
    assert not other.is_complete
    assert list(other.left_out.values()) == [1]


def test_the_set_of_claude_needs_all_of_its_pairs_too() -> None:
    def items(count: int, author: str) -> list[Item]:
        return [Item(str(n), "mmlu-pro", str(n), "", author, np.ones(1), np.zeros(1)) for n in range(count)]

    assert [judgebench(items(count, CLAUDE))[0].is_complete for count in (269, 270)] == [False, True]
    # nobody knows how many there should be
    assert not judgebench(items(270, "another"))[0].is_complete


def test_how_many_pairs_another_model_should_have_is_not_known(judge) -> None:
    check = judge([row(1, "mmlu-pro", 1, 0, "A>B", "another")])
    assert "how many items it has is not known" in check.section.blocks[0].text
    assert check.facts["benchmarks.judgebench_another.overall"] is None
    assert "Knowledge (partial)" in str(check.section.blocks)
