"""The section: which files give which tables, published figures beside them, and the whole audit."""

import json
from pathlib import Path

import numpy as np
import pytest

import palate
from palate.auditing.benchmarks import check_benchmarks
from palate.auditing.benchmarks.items import Item, formats_of, good_responses
from palate.auditing.benchmarks.lines import Cell, Line, Sheet, figures_of, mean
from palate.auditing.benchmarks.published import Published, Source, published
from palate.data.read import read_preferences
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Paragraph, Table
from palate.testing.tiny import tiny_reward_model

PAIR = {"prompt": "q", "chosen": "a 1", "rejected": "b 0"}
REWARDBENCH = PAIR | {"chosen_model": "x", "rejected_model": "y", "subset": "math-prm"}
JUDGEBENCH = {"question": "j", "response_A": "a 1", "response_B": "b 0", "label": "A>B", "source": "livecodebench"}


def test_ordinary_data_gives_no_section(judge) -> None:
    assert judge([PAIR]) is None


def test_each_file_of_a_folder_gives_its_own_table(judge) -> None:
    check = judge({"a.jsonl": [PAIR, REWARDBENCH], "b.jsonl": [JUDGEBENCH]})
    assert [block.text.partition(".")[0] for block in check.section.blocks if isinstance(block, Paragraph)][0::2]
    keys = {name.split(".")[1] for name in check.facts}
    assert keys == {"rewardbench", "judgebench_unnamed"}
    assert check.facts["benchmarks.rewardbench.figures"]["all pairs"]["items"] == 1  # the plain pair is no part of it


def test_formats_are_told_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    rows = (PAIR, JUDGEBENCH, REWARDBENCH, PAIR | {"prompt": "other"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = read_preferences(str(path))
    assert formats_of(str(path), data.groups, data.formats) == ("", "judgebench", "rewardbench", "")


def test_good_responses_are_told_apart_even_where_texts_repeat() -> None:
    def group(good: list[str], bad: list[str]) -> PreferenceGroup:
        texts = [*good, *bad]
        pairs = [(i, j) for i in range(len(good)) for j in range(len(good), len(texts)) if texts[i] != texts[j]]
        responses = tuple((Message("assistant", text),) for text in texts)
        return PreferenceGroup("", (), responses, tuple(Comparison(*pair) for pair in pairs))

    cases = [(["a"], ["b", "c"]), (["a", "b"], ["a"]), (["b", "a"], ["a"]), (["a"], ["a", "b"]), (["a"], ["b", "a"])]
    cases += [(["a", "b", "b"], ["b"]), (["a", "a"], ["a", "b", "c"])]
    for good, bad in cases:
        assert good_responses(group(good, bad)) == len(good), (good, bad)


def test_published_figures_stand_beside_with_their_sources(judge) -> None:
    check = judge([REWARDBENCH])
    table = [block for block in check.section.blocks if isinstance(block, Table)][-1]
    assert "published figures" in table.caption
    assert table.columns[1:] == ("overall", "Chat", "Chat Hard", "Safety", "Reasoning")
    assert "dashes where this data is not the whole" in table.caption
    assert table.rows[0][0] == "the audited model"
    assert table.rows[0][1:] == (None,) * 5  # one row of 447 is no figure to stand beside others
    assert all(all(isinstance(cell, float) for cell in row[1:]) for row in table.rows[1:])
    sources = check.section.blocks[-1].text
    assert sources.startswith("Sources: ")
    assert "https://huggingface.co/datasets/allenai/reward-bench-results" in sources


def test_every_published_figure_has_its_place() -> None:
    known = {"rewardbench", "rewardbench2", "rm_bench", "llmbar", "judgebench"}
    assert {one.benchmark for one in published()} == known
    for one in published():
        assert one.source.address.startswith("https://")
        assert one.source.read
        assert all(0 <= value <= 1 for value in one.figures.values())
    assert len({(one.benchmark, one.model) for one in published()}) == len(published())


def test_published_parts_make_no_figure_that_needs_more_of_them() -> None:
    one = Published("x", "m", {"a": 0.5}, Source("", "", "", ""))
    assert one.values(sheet(np.ones(4), ("p", "q", "r", "s"))) == {"a": 0.5}
    both = Published("x", "m", {"a": 0.5, "b": 1.0}, Source("", "", "", ""))
    assert both.values(sheet(np.ones(4), ("p", "q", "r", "s"))) == {"a": 0.5, "b": 1.0, "both": 0.75, "weighted": 0.625}


@pytest.mark.parametrize("key", ["rewardbench2", "rm_bench"])
def test_published_means_follow_from_their_parts(key: str) -> None:
    """What is printed to one decimal must come out of the parts to within rounding."""
    parts = {
        "rewardbench2": ("mean of the six subsets", ("Factuality", "Precise IF", "Math", "Safety", "Focus", "Ties")),
        "rm_bench": ("mean of the four domains", ("easy", "normal", "hard")),
    }
    name, of = parts[key]
    for one in published():
        if one.benchmark == key:
            assert one.figures[name] == pytest.approx(np.mean([one.figures[part] for part in of]), abs=1.1e-3), (
                one.model
            )


def sheet(value_I: np.ndarray, prompt: tuple[str, ...]) -> Sheet:
    half = np.arange(len(value_I)) < len(value_I) // 2
    cells = (Cell("a", half, value_I), Cell("b", ~half, value_I), Cell("all", np.ones(len(value_I), bool), value_I))
    lines = (mean("both", "a", "b"), Line("weighted", (("a", 3.0), ("b", 1.0))))
    tied = np.zeros(len(value_I), np.int64)
    return Sheet("x", "X", "", prompt, tied, cells, lines, ("a", "b"), ("a",), "both", "all", "macro")


def test_intervals_cover_what_the_items_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        value = np.concatenate([rng.random(150) < 0.6, rng.random(150) < 0.8]).astype(float)
        estimate = figures_of(sheet(value, tuple(map(str, range(300)))))["weighted"].estimate
        covered += estimate.low <= 0.65 <= estimate.high
    assert 53 <= covered <= 60


def test_items_of_one_prompt_go_together() -> None:
    rng = np.random.default_rng(1)
    value = np.repeat(rng.random(60) < 0.5, 10).astype(float)
    alone = figures_of(sheet(value, tuple(map(str, range(600)))))["both"].estimate
    together = figures_of(sheet(value, tuple(str(n // 10) for n in range(600))))["both"].estimate
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_resamples_that_all_agree_give_no_interval() -> None:
    figure = figures_of(sheet(np.ones(20), tuple(map(str, range(20)))))["both"]
    assert figure.estimate.value == 1.0
    assert np.isnan(figure.estimate.low)


def test_no_rewards_are_no_figures() -> None:
    groups = (
        PreferenceGroup(
            "1",
            (Message("user", "q"),),
            ((Message("assistant", "a"),), (Message("assistant", "b"),)),
            (Comparison(0, 1),),
            source="math-prm",
        ),
    )
    check = check_benchmarks(groups, np.full(2, np.nan), ("rewardbench",))
    assert check is not None
    assert check.facts["benchmarks.rewardbench.figures"] == {}
    assert "left out of the means: 1." in check.section.blocks[0].text


def test_an_item_is_scored_when_all_of_it_is() -> None:
    assert Item("", "", "", "", "", np.ones(1), np.ones(3)).is_scored
    assert not Item("", "", "", "", "", np.ones(1), np.array([1.0, np.nan])).is_scored


def test_the_audit_has_the_section(tmp_path: Path) -> None:
    tiny_reward_model(max_length=2048).save_pretrained(tmp_path / "rm", reward_mean=0.0, reward_std=1.0)
    rows = [
        REWARDBENCH | {"prompt": f"How many are {n}?", "chosen": f"{n} it is", "rejected": f"{n + 1} it is not"}
        for n in range(12)
    ]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"model": str(tmp_path / "rm"), "data": str(tmp_path / "held.jsonl"), "out": str(tmp_path / "audit")}
    report = palate.audit(battery="none", probes=0, **settings)
    facts = json.loads((tmp_path / "audit" / "audit.json").read_text())["facts"]
    strict = facts["benchmarks.rewardbench.figures"]["math-prm"]["value"]
    assert strict == pytest.approx(facts["ranking.strict_accuracy"])
    assert facts["benchmarks.rewardbench.overall"] is None
    assert "benchmarks" in [check.section.key for check in report.checks]
