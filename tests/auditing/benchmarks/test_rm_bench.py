"""RM-Bench: the matrix of styles, its triangles, and safety as the mean of its halves."""

import numpy as np
import pytest

from palate.report.findings import Table


def row(id: str, domain: str, chosen: list[float], rejected: list[float]) -> dict:
    texts = {"chosen": [f"c{n} {x}" for n, x in enumerate(chosen)]}
    texts["rejected"] = [f"r{n} {x}" for n, x in enumerate(rejected)]
    return {"id": id, "prompt": f"q {id}", **texts, "domain": domain}


ALL, NONE = ([9, 9, 9], [1, 1, 1]), ([0, 0, 0], [1, 1, 1])
ROWS = [
    # rows of the matrix: 1 0 0 / 1 0 0 / 1 1 1, for 2 against 2 is a tie
    row("1", "chat", [1, 2, 3], [0.5, 2, 2.5]),
    row("2", "math", *NONE),
    row("3", "code", *ALL),
    row("4", "safety-refuse", *ALL),
    row("5", "safety-refuse", *ALL),
    row("6", "safety-response", *NONE),
]
EASY, NORMAL, HARD = (1 + 0 + 1 + 0.5) / 4, (2 / 3 + 0 + 1 + 0.5) / 4, (0 + 0 + 1 + 0.5) / 4


def test_the_table_is_the_one_worked_out_by_hand(judge, value) -> None:
    check = judge(ROWS)
    for name, expected in {
        "chat easy": 1.0,
        "chat normal": 2 / 3,
        "chat hard": 0.0,
        "chat": 5 / 9,
        "math": 0.0,
        "code": 1.0,
        "safety": 0.5,
        "easy": EASY,
        "normal": NORMAL,
        "hard": HARD,
        "mean of the four domains": (5 / 9 + 0 + 1 + 0.5) / 4,
        "all comparisons": (5 / 9 + 0 + 1 + 1 + 1 + 0) / 6,
    }.items():
        assert value(check, "rm_bench", name) == pytest.approx(expected), name
    assert pytest.approx((EASY + NORMAL + HARD) / 3) == (5 / 9 + 1.5) / 4
    assert check.facts["benchmarks.rm_bench.figures"]["chat"]["equal_rewards"] == 1
    assert check.facts["benchmarks.rm_bench.overall"] is None


def test_the_matrix_has_the_good_answer_in_its_rows(judge) -> None:
    tables = [block for block in judge(ROWS).section.blocks if isinstance(block, Table)]
    matrix = next(table for table in tables if "the bad one's" in table.caption)
    elsewhere = 0 + 1 + 0.5  # of math, code and safety, in every cell
    chat = [[1, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert [list(cells[1:]) for cells in matrix.rows] == [[(x + elsewhere) / 4 for x in line] for line in chat]
    levels = next(table for table in tables if "domain by level" in table.caption)
    assert levels.columns == ("domain", "easy", "normal", "hard", "mean")
    assert levels.rows[0] == ("chat", 1.0, pytest.approx(2 / 3), 0.0, pytest.approx(5 / 9))
    assert levels.rows[-1] == tuple(
        pytest.approx(x) if isinstance(x, float) else x for x in ("mean", EASY, NORMAL, HARD, 0.5138888888888888)
    )


def test_equal_texts_of_both_sides_are_compared_all_the_same(judge, value) -> None:
    """The reader makes no comparison of a text with itself; the matrix has its cell, and a tie is wrong."""
    same = ROWS[2] | {"chosen": ["same 1", "b 9", "c 9"], "rejected": ["same 1", "e 1", "f 1"]}
    check = judge([same])
    assert value(check, "rm_bench", "code normal") == pytest.approx(2 / 3)
    assert value(check, "rm_bench", "code hard") == pytest.approx(1 / 3)


def test_a_domain_that_is_not_there_is_said(judge) -> None:
    check = judge([*ROWS[:1], row("9", "poetry", *ALL)])
    assert check.facts["benchmarks.rm_bench.left_out"] == {"domain 'poetry' is not one of RM-Bench": 1}
    figure = check.facts["benchmarks.rm_bench.figures"]["mean of the four domains"]
    assert (figure["value"], figure["complete"]) == (pytest.approx(5 / 9), False)
    label = "macro: mean of the four domains (partial, without math, code, safety-refuse, safety-response)"
    assert label in str(check.section.blocks)
    assert "chat (1 of 129), math (0 of 529), code (0 of 228)" in check.section.blocks[0].text


def test_levels_are_counts_of_single_comparisons(judge, value) -> None:
    rng = np.random.default_rng(0)
    reward = rng.integers(0, 4, (20, 2, 3))  # few values: many ties
    rows = [row(str(n), "code", *reward[n].tolist()) for n in range(20)]
    check = judge(rows)
    for level, holds in (("easy", lambda i, j: i > j), ("normal", lambda i, j: i == j), ("hard", lambda i, j: i < j)):
        won = [
            int(reward[n, 0, i] > reward[n, 1, j]) for n in range(20) for i in range(3) for j in range(3) if holds(i, j)
        ]
        assert value(check, "rm_bench", f"code {level}") == pytest.approx(sum(won) / 60)
    ties = sum(int(reward[n, 0, i] == reward[n, 1, j]) for n in range(20) for i in range(3) for j in range(3))
    assert check.facts["benchmarks.rm_bench.figures"]["code"]["equal_rewards"] == ties
