"""What is written: the shapes that other tools expect, files that are the same all the way down, whole or not there."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from palate.data.writers.files import writing
from palate.data.writers.lists import ranks_of, two_camps
from palate.data.writers.target import Column, Job, Row, find_traits
from palate.data.writers.targets import TARGETS
from palate.records import Comparison, Conversation, Message, PreferenceGroup, Vote


def says(*texts: str) -> tuple[Conversation, ...]:
    return tuple((Message("assistant", text),) for text in texts)


ASK = (Message("user", "Name a colour."),)
VOTES = (Vote("7", 1, 0, 2.5), Vote("ann", None, 0), Vote("0x", 1, 0))
VOTED = Comparison(1, 0, probability=5 / 6, votes=VOTES)
GROUP = PreferenceGroup("g", ASK, says("Blue.", "Red."), (VOTED,), "f:1", "web", ("x", "y"), "2024")
ASKED = {"role": "user", "content": "Name a colour."}
BLUE, RED = {"role": "assistant", "content": "Blue."}, {"role": "assistant", "content": "Red."}


def rows(target: str, *groups: PreferenceGroup, rewards: tuple[float, ...] | None = None) -> list[Row]:
    found = TARGETS[target]
    job = Job(found.is_plain(find_traits(groups)), carries=found.carries, agent="rm", rewards=rewards)
    return [row for group in groups for row in found.rows(group, job)]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("trl-standard", {"prompt": "Name a colour.", "chosen": "Red.", "rejected": "Blue."}),
        ("trl-conversational", {"prompt": [ASKED], "chosen": [RED], "rejected": [BLUE]}),
        ("trl-implicit", {"chosen": [ASKED, RED], "rejected": [ASKED, BLUE]}),
        ("openrlhf", {"context_messages": [ASKED], "chosen": [RED], "rejected": [BLUE]}),
        (
            "hh",
            {
                "chosen": "\n\nHuman: Name a colour.\n\nAssistant: Red.",
                "rejected": "\n\nHuman: Name a colour.\n\nAssistant: Blue.",
            },
        ),
        (
            "rewardbench",
            {
                "prompt": "Name a colour.",
                "chosen": "Red.",
                "rejected": "Blue.",
                "chosen_model": "y",
                "rejected_model": "x",
                "subset": "web",
                "id": "g",
            },
        ),
        (
            "rewardbench-2",
            {
                "chosen": ["Red."],
                "rejected": ["Blue."],
                "num_correct": 1,
                "num_incorrect": 1,
                "total_completions": 2,
                "models": ["y", "x"],
                "subset": "web",
            },
        ),
        ("llmbar", {"input": "Name a colour.", "output_1": "Blue.", "output_2": "Red.", "label": 2}),
        ("judgebench", {"question": "Name a colour.", "response_A": "Blue.", "response_B": "Red.", "label": "B>A"}),
        ("ranked", {"prompt": "Name a colour.", "responses": ["Blue.", "Red."], "ranks": [2, 1]}),
        (
            "nemo",
            {"context": [ASKED], "completions": [{"rank": 1, "completion": [BLUE]}, {"rank": 0, "completion": [RED]}]},
        ),
        ("votes", {"prompt": "Name a colour.", "response_a": "Blue.", "response_b": "Red.", "model_a": "x"}),
    ],
)
def test_shapes(target: str, expected: Row) -> None:
    (row,) = rows(target, GROUP)
    assert {name: row[name] for name in expected} == expected


def test_a_table_has_a_row_for_each_vote_with_its_side_and_seconds() -> None:
    swapped = PreferenceGroup("h", ASK, says("a", "b"), (Comparison(0, 1, votes=(Vote("bob", 0, 1),)),))
    labelled = PreferenceGroup("l", ASK, says("a", "b"), (Comparison(1, 0),))
    names = ("task", "annotator", "left", "right", "label", "seconds", "left_model")
    listed = [tuple(row[name] for name in names) for row in rows("votes-table", GROUP, swapped, labelled)]
    assert listed == [
        ("g", "7", "Blue.", "Red.", "right", 2.5, "x"),
        ("g", "ann", "Blue.", "Red.", "tie", None, "x"),
        ("g", "0x", "Blue.", "Red.", "right", None, "x"),
        ("h", "bob", "b", "a", "right", None, ""),
        ("l", "", "a", "b", "right", None, ""),
    ]


def test_tasks_for_label_studio_hold_no_labels_and_the_rewards_own_judgement() -> None:
    (task,) = rows("label-studio", GROUP, rewards=(2.0, -1.0))
    assert task["data"] == {
        "prompt": "Name a colour.",
        "answer1": "Blue.",
        "answer2": "Red.",
        "id": "g",
        "source": "web",
        "model_a": "x",
        "model_b": "y",
        "time": "2024",
    }
    assert "annotations" not in task
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("rm", pytest.approx(1 / (1 + math.exp(-3))))
    (result,) = prediction["result"]
    assert result == {
        "from_name": "comparison",
        "to_name": "comparison",
        "type": "pairwise",
        "value": {"selected": "left"},
    }


def test_without_comparisons_every_pair_is_a_task_with_its_own_prediction() -> None:
    bare = PreferenceGroup("b", ASK, says("a", "b", "c"))
    tasks = rows("label-studio", bare, rewards=(1.0, 3.0, 2.0))
    assert [(task["data"]["answer1"], task["data"]["answer2"]) for task in tasks] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    chosen = [task["predictions"][0]["result"][0]["value"]["selected"] for task in tasks]
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert chosen == ["right", "right", "left"]
    assert scores == pytest.approx([1 / (1 + math.exp(-gap)) for gap in (2, 1, 1)])
    assert [task["predictions"] for task in rows("label-studio", bare)] == [[], [], []]


def test_the_export_of_label_studio_names_annotators_as_it_does() -> None:
    (task,) = rows("label-studio-export", GROUP)
    by = [annotation.get("completed_by") for annotation in task["annotations"]]
    assert by == [7, {"email": "ann"}, {"email": "0x"}]
    assert [annotation.get("lead_time") for annotation in task["annotations"]] == [2.5, None, None]
    kinds = [annotation["result"][0]["type"] for annotation in task["annotations"]]
    assert kinds == ["pairwise", "choices", "pairwise"]


@pytest.mark.parametrize(
    ("firsts", "said", "lost"),
    [
        ((0, 0), None, {}),
        ((1, 1), "right", {}),
        ((None, None), "unknown", {}),
        ((0, 1), "unknown", {"position": 2}),
        ((0, None), "unknown", {"position": 1}),
    ],
)
def test_a_task_says_which_side_came_first_where_all_saw_the_same(firsts: tuple, said: str | None, lost: dict) -> None:
    votes = tuple(Vote(str(number), 0, first) for number, first in enumerate(firsts))
    group = PreferenceGroup("g", ASK, says("a", "b"), (Comparison(0, 1, votes=votes),))
    job = Job(plain=True, carries=TARGETS["label-studio-export"].carries)
    (task,) = TARGETS["label-studio-export"].rows(group, job)
    assert (task["data"].get("first"), job.lost) == (said, lost)


def test_records_for_argilla_hold_no_labels_and_the_rewards_as_a_suggestion() -> None:
    three = PreferenceGroup("t", ASK, says("a", "b", "c"), (Comparison(0, 1),))
    (record,) = rows("argilla", three, rewards=(1.0, 3.0, 2.0))
    assert record["fields"] == {"instruction": "Name a colour.", "response1": "a", "response2": "b", "response3": "c"}
    assert record["responses"] == {}
    suggestion = record["suggestions"]["ranking"]
    assert suggestion["value"] == ["response2", "response3", "response1"]
    assert (suggestion["score"], suggestion["agent"]) == (pytest.approx(1 / (1 + math.exp(-1))), "rm")
    (record,) = rows("argilla", three, rewards=(1.0, 1.0, 2.0))
    ranks = [{"value": "response3", "rank": 1}, {"value": "response1", "rank": 2}, {"value": "response2", "rank": 2}]
    assert record["suggestions"]["ranking"]["value"] == ranks


def test_a_group_that_is_split_splits_its_rewards() -> None:
    three = PreferenceGroup("t", ASK, says("a", "b", "c"), (Comparison(2, 0), Comparison(0, 1)))
    first, second = rows("argilla-export", three, rewards=(1.0, 3.0, 2.0))
    assert first["suggestions"]["ranking"]["value"] == ["response2", "response1"]  # c before a
    assert second["suggestions"]["ranking"]["value"] == ["response2", "response1"]  # b before a
    assert [record["id"] for record in (first, second)] == ["t#0-2", "t#0-1"]


@pytest.mark.parametrize(
    ("pairs", "camps"),
    [
        (((0, 2), (1, 2)), ([0, 1], [2])),
        (((0, 1), (0, 2)), ([0], [1, 2])),
        (((0, 1),), None),  # somebody is in no camp
        (((0, 1), (1, 2)), None),  # somebody is in both
        (((0, 2), (1, 2), (0, 1)), None),
        (((0, 2), (1, 2), (0, 2)), None),
        ((), None),
    ],
)
def test_camps(pairs: tuple, camps: tuple | None) -> None:
    comparisons = tuple(Comparison(*pair) for pair in pairs)
    assert two_camps(PreferenceGroup("c", ASK, says("a", "b", "c"), comparisons)) == camps
    tied = (*comparisons, Comparison(0, 1, probability=0.5))
    assert two_camps(PreferenceGroup("c", ASK, says("a", "b", "c"), tied)) is None


def test_places_say_the_same_as_the_verdicts_or_there_are_none() -> None:
    assert ranks_of({(0, 1): None, (0, 2): 0, (1, 2): 1}, 3) == [1, 1, 3]
    assert ranks_of({(0, 1): 1}, 2) == [2, 1]
    assert ranks_of({(0, 1): None, (0, 2): None, (1, 2): 1}, 3) is None
    assert ranks_of({(0, 1): 0, (0, 2): 0}, 3) is None


def test_prompts_are_texts_in_all_rows_or_messages_in_all() -> None:
    turns = PreferenceGroup("m", (*ASK, *says("Hm.")[0], *ASK), says("Blue.", "Red."), (Comparison(0, 1),))
    assert [type(row["prompt"]) for row in rows("trl", GROUP)] == [str]
    assert [type(row["prompt"]) for row in rows("trl", GROUP, turns)] == [list, list]
    assert [type(row["chosen"]) for row in rows("rewardbench", GROUP, turns)] == [str, str]


# ---- files

COLUMNS = (Column("a"), Column("n", "number"), Column("i", "integer"), Column("t", "turns"), Column("l", "texts"))
ROWS = [
    {"a": 'x, "y"\n', "n": 0.5, "i": 1, "t": [BLUE], "l": ["p", "q"]},
    {"a": "", "n": None, "i": 2, "t": [], "l": []},
]


def read_back(path: Path) -> Iterator[dict]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        yield from parquet.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            yield from csv.DictReader(file)
    else:
        text = path.read_text()
        yield from json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines())


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".parquet"])
def test_rows_come_back_from_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "deep" / f"out{ending}"
    with writing(path, COLUMNS, plain=False) as write:
        for row in ROWS:
            write(row | {"unwanted": 1})
        assert not path.exists()
        (draft,) = path.parent.iterdir()
        inode = draft.stat().st_ino
    assert path.stat().st_ino == inode  # renamed, not copied: nobody can see half of it
    expected: list[dict] = ROWS
    if ending == ".csv":
        expected = [
            {"a": 'x, "y"\n', "n": "0.5", "i": "1", "t": json.dumps([BLUE]), "l": '["p", "q"]'},
            {"a": "", "n": "", "i": "2", "t": "[]", "l": "[]"},
        ]
    assert list(read_back(path)) == expected
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_file_that_breaks_off_leaves_the_older_one(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    path.write_text("old")

    def break_off() -> None:
        with writing(path, COLUMNS, plain=False) as write:
            write(ROWS[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_parquet_is_written_in_row_groups(tmp_path: Path) -> None:
    from pyarrow import parquet

    path = tmp_path / "out.parquet"
    with writing(path, (Column("a"),), plain=True) as write:
        for number in range(2500):
            write({"a": str(number)})
    file = parquet.ParquetFile(path)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [1024, 1024, 452]
    assert [row["a"] for row in read_back(path)] == [str(number) for number in range(2500)]


def test_half_of_an_emoji_in_a_name_is_written_as_its_escape(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with writing(path, (), plain=True) as write:
        write({"annotator": "\ud83d"})
    assert json.loads(path.read_text()) == {"annotator": "\ud83d"}


def test_every_target_is_documented() -> None:
    import palate.data.writers.targets as module

    assert [name for name in TARGETS if name not in (module.__doc__ or "")] == []
