"""RewardBench: sections by published weights, ties wrong, and published figures that come out again."""

import numpy as np
import pytest

from palate.auditing.benchmarks.items import Item
from palate.auditing.benchmarks.lines import figures_of, line_values
from palate.auditing.benchmarks.published import published
from palate.auditing.benchmarks.rewardbench import SECTIONS, rewardbench, section_lines
from palate.report.findings import Paragraph, Table


def row(subset: str, chosen: float, rejected: float, number: int) -> dict:
    texts = {"chosen": f"yes {chosen}", "rejected": f"no {rejected}"}
    return {"id": number, "prompt": f"q{number}", **texts, "chosen_model": "a", "rejected_model": "b", "subset": subset}


def rows() -> list[dict]:
    marks = [
        *(("alpacaeval-easy", 2, 1), ("alpacaeval-easy", 1, 1)),  # 1/2: a tie is wrong
        ("mt-bench-med", 0, -1),  # 1
        *(
            ("llmbar-natural", 1, 0),
            ("llmbar-natural", 0, 1),
            ("llmbar-natural", 0, 1),
            ("llmbar-natural", 0, 1),
        ),  # 1/4
        ("llmbar-adver-manual", 5, 4),  # 1
        ("xstest-should-refuse", 1, 0),  # 1
        *(("xstest-should-respond", 0, 1), ("xstest-should-respond", 0, 2)),  # 0
        ("math-prm", 1, 0),  # 1
        ("hep-python", 0, 1),  # 0
    ]
    return [row(*mark, number) for number, mark in enumerate(marks)]


CHAT = (100 * 1 / 2 + 40 * 1) / 140
CHAT_HARD = (100 * 1 / 4 + 46 * 1) / 146
SAFETY = (154 * 1 + 250 * 0) / 404
REASONING = (984 * 1 + 164 * 0) / 1148


def test_the_table_is_the_one_worked_out_by_hand(judge, value) -> None:
    check = judge(rows())
    for name, expected in {
        "alpacaeval-easy": 0.5,
        "llmbar-natural": 0.25,
        "Chat": CHAT,
        "Chat Hard": CHAT_HARD,
        "Safety": SAFETY,
        "Reasoning": REASONING,
        "mean of the four sections": (CHAT + CHAT_HARD + SAFETY + REASONING) / 4,
        "all pairs": 6 / 13,
    }.items():
        assert value(check, "rewardbench", name) == pytest.approx(expected), name
    assert check.facts["benchmarks.rewardbench.figures"]["alpacaeval-easy"]["equal_rewards"] == 1


def test_a_part_of_it_gives_nothing_called_overall(judge) -> None:
    check = judge(rows())
    assert check.facts["benchmarks.rewardbench.overall"] is None
    assert check.facts["benchmarks.rewardbench.complete"] is False
    summary = check.section.blocks[0]
    assert isinstance(summary, Paragraph)
    assert "not the whole benchmark" in summary.text
    assert "alpacaeval-easy (2 of 100)" in summary.text
    assert "hep-rust (0 of 164)" in summary.text
    table = next(block for block in check.section.blocks if isinstance(block, Table))
    labels = [str(cells[0]) for cells in table.rows]
    assert all("(partial" in label for label in labels)
    assert any(label.startswith("macro: ") for label in labels)
    assert any(label.startswith("micro: ") for label in labels)
    assert not any("official" in label for label in labels)
    assert "hep-rust" in table.caption


def whole(drop: int = 0) -> list[Item]:
    """As many items as are published, every third one wrong."""
    names = [name for section in SECTIONS.values() for name, count in section.items() for _ in range(count)]
    made = [
        Item(str(n), name, f"q{n}", "", "", np.array([float(n % 3 > 0)]), np.array([0.5]))
        for n, name in enumerate(names)
    ]
    return made[drop:]


def test_all_of_it_is_called_overall_and_one_row_less_is_not() -> None:
    sheet = rewardbench(whole())
    figures = figures_of(sheet)
    assert (len(whole()), sheet.is_complete) == (2985, True)
    assert figures[sheet.macro].is_complete
    assert figures[sheet.micro].estimate.value == pytest.approx(1990 / 2985)
    assert not rewardbench(whole(drop=1)).is_complete


def test_a_reward_that_is_missing_is_counted_and_leaves_the_whole_incomplete() -> None:
    items = whole()
    items[0] = Item("0", items[0].subset, "q0", "", "", np.array([np.nan]), np.array([0.5]))
    sheet = rewardbench(items)
    figure = figures_of(sheet)["alpacaeval-easy"]
    assert (figure.items, figure.unscored, figure.is_complete) == (99, 1, False)
    assert not sheet.is_complete


def test_prior_sets_count_half(judge, value) -> None:
    priors = [("anthropic_helpful", 1, 0), ("anthropic_hhh", 1, 0), ("shp", 0, 1), ("summarize", 1, 0)]
    check = judge([*rows(), *(row(*mark, 100 + number) for number, mark in enumerate(priors))])
    assert value(check, "rewardbench", "Prior Sets") == 0.75
    expected = (2 * (CHAT + CHAT_HARD + SAFETY + REASONING) + 0.75) / 9
    assert value(check, "rewardbench", "with Prior Sets") == pytest.approx(expected)
    assert value(check, "rewardbench", "all pairs") == pytest.approx(6 / 13)  # of the four sections alone


def test_rows_of_other_subsets_are_said(judge) -> None:
    check = judge([*rows(), row("my-own", 1, 0, 99)])
    assert check.facts["benchmarks.rewardbench.left_out"] == {"subset 'my-own' is not one of RewardBench": 1}
    alone = judge([row("my-own", 1, 0, 99)])
    assert "No row can be scored" in alone.section.blocks[0].text
    assert alone.facts["benchmarks.rewardbench.overall"] is None


def test_published_subsets_give_the_published_sections() -> None:
    """Skywork-Reward-Gemma-2-27B as its rivals quoted it in late September 2024: 95.8, 91.4, 91.9, 96.1 and 93.8."""
    one = next(
        one
        for one in published()
        if one.benchmark == "rewardbench" and one.model == "Skywork/Skywork-Reward-Gemma-2-27B"
    )
    values = line_values({name: np.array([value]) for name, value in one.figures.items()}, section_lines())
    names = ("Chat", "Chat Hard", "Safety", "Reasoning", "mean of the four sections")
    assert [round(100 * float(values[name][0]), 1) for name in names] == [95.8, 91.4, 91.9, 96.1, 93.8]
