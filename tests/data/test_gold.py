"""Gold: a trusted number a response, carried from file to file and read where responses are only to be scored."""

import json
from pathlib import Path

import pytest

from palate.conversion import convert
from palate.data.read import read_preferences
from palate.data.rows import group_to_row, row_to_group
from palate.data.simulate import read_qualities, simulate, truth_path, write_jsonl, write_truth
from palate.errors import ConfigError, DataError

GROUP = {"prompt": "q", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 1}], "gold": [0.5, -2]}
ROWS = [
    {"prompt": "q", "responses": ["a", "b"], "gold": [0.5, -2]},
    {"prompt": "q", "response": "a", "gold": 0.5},
    GROUP,
    {"prompt": "q", "responses": ["a", "b"]},
    {"prompt": "q", "response": "a", "gold": None},
]


def written(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_gold_is_read_beside_responses_and_says_so(tmp_path: Path) -> None:
    data = read_preferences(written(tmp_path / "g.jsonl", *ROWS), require_comparisons=False)
    assert [group.gold for group in data.groups] == [(0.5, -2.0), (0.5,), (0.5, -2.0), (), ()]
    assert data.notes == {}


def test_gold_is_written_and_read_again(tmp_path: Path) -> None:
    group = row_to_group(GROUP, "x:1")
    assert row_to_group(group_to_row(group), "x:1") == group
    assert "gold" not in group_to_row(row_to_group({**GROUP, "gold": []}, "x:1"))
    source = written(tmp_path / "g.jsonl", GROUP)
    assert convert(source, to="palate", out=str(tmp_path / "p.jsonl")).lost == {}
    assert read_preferences(str(tmp_path / "p.jsonl")).groups[0].gold == (0.5, -2.0)
    assert convert(source, to="trl", out=str(tmp_path / "t.jsonl")).lost == {"gold": 1}


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ([1], "2 numbers"),
        ([1, "good"], "2 numbers"),
        ([1, None], "2 numbers"),
        ([1, True], "2 numbers"),
        (0.5, "2 numbers"),
        ([1, float("nan")], "not finite"),
    ],
)
def test_broken_gold_of_a_group_is_refused(gold: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        row_to_group({**GROUP, "gold": gold}, "x:1")
    assert (caught.value.field, caught.value.reason) == ("gold", "wrong-type")


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        ({"responses": ["a", "b"], "gold": [1]}, "rank-count", "gold"),
        ({"responses": ["a", "b"], "gold": 1}, "not-a-list", "gold"),
        ({"responses": ["a", "b"], "gold": [1, "x"]}, "bad-number", "gold[1]"),
        ({"response": "a", "gold": float("inf")}, "bad-number", "gold"),
        ({"response": "a", "gold": [1]}, "bad-number", "gold"),
    ],
)
def test_broken_gold_of_samples_is_refused(tmp_path: Path, row: dict, reason: str, field: str) -> None:
    source = written(tmp_path / "g.jsonl", {"prompt": "q"} | row)
    with pytest.raises(DataError) as caught:
        read_preferences(source, require_comparisons=False)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_the_truth_lies_beside_simulated_data_and_is_no_data(tmp_path: Path) -> None:
    made = simulate(12, seed=1)
    write_jsonl(made, tmp_path / "m.jsonl")
    write_truth(made, truth_path(tmp_path / "m.jsonl"))
    assert len(read_preferences(str(tmp_path)).groups) == 12  # a folder is read without it
    found = read_qualities(truth_path(tmp_path / "m.jsonl"))
    assert found == {one.id: tuple(response.quality for response in one.responses) for one in made.truth}
    line = json.loads(truth_path(tmp_path / "m.jsonl").read_text().splitlines()[0])
    assert (line["kind"], line["answer"]) == (made.truth[0].kind, made.truth[0].answer)


def test_many_responses_a_prompt() -> None:
    made = simulate(22, seed=1, responses=(32, 32))
    assert {len(group.responses) for group in made.groups} == {32}
    with pytest.raises(ConfigError, match="between 2 and 32"):
        simulate(22, responses=(2, 33))


def test_a_truth_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="simulate it again"):
        read_qualities(tmp_path / "t")
    with pytest.raises(DataError, match="cannot be read"):
        read_qualities(tmp_path / "none")
