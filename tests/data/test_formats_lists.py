"""Formats of more than a chosen and a rejected response: rankings, votes, trees, and rows to be scored."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palate.data.formats import recognise
from palate.data.parse import ParsedRow, parse_rows
from palate.data.read import read_preferences
from palate.data.rows import group_to_row, row_to_group
from palate.data.textfiles import RawRow
from palate.errors import DataError
from palate.records import Comparison, Message, PreferenceGroup, Vote

WHERE = "prefs.jsonl:7"
ASK = [{"role": "user", "content": "Name a colour."}]
NO = {"role": "assistant", "content": "No."}
PAIR = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}


def parse(values: dict, *, require_comparisons: bool = True) -> tuple[str, ParsedRow]:
    row = RawRow(WHERE, values)
    found = recognise(row, require_comparisons=require_comparisons)
    return found.name, parse_rows((row,), found, require_comparisons=require_comparisons)


def group(values: dict) -> PreferenceGroup:
    (only,) = parse(values)[1].groups
    return only


def says(*texts: str) -> tuple[tuple[Message, ...], ...]:
    return tuple((Message("assistant", text),) for text in texts)


def test_ranks_and_scores_give_all_comparisons() -> None:
    expected = {(2, 0), (2, 1), (1, 0)}
    for order in ({"ranks": [3, 2, 1]}, {"ranks": [2, 1, 0]}, {"scores": [-1, 0.5, 9]}):
        found = group({"prompt": "Count to three.", "responses": ["a", "b", "c"]} | order)
        assert {(one.winner, one.loser) for one in found.comparisons} == expected
        assert all(one.probability == 1 for one in found.comparisons)


@pytest.mark.parametrize("text", ["content", "text", "response", "completion"])
@pytest.mark.parametrize(("order", "winner"), [("rank", 1), ("score", 0)])
def test_order_inside_the_responses(text: str, order: str, winner: int) -> None:
    responses = [{text: "a", order: 2}, {text: "b", order: 1}]
    assert group({"prompt": "Say it.", "responses": responses}).comparisons == (Comparison(winner, 1 - winner),)


def test_equal_places_are_ties() -> None:
    found = group({"prompt": "Say it.", "responses": ["a", "b", "c"], "scores": [1, 1, 0]})
    assert found.comparisons == (Comparison(0, 1, probability=0.5), Comparison(0, 2), Comparison(1, 2))


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=6))
def test_a_ranking_agrees_with_its_scores_in_every_comparison(scores: list[int]) -> None:
    responses = [f"response {i}" for i in range(len(scores))]
    found = group({"prompt": "Say it.", "responses": responses, "scores": scores})
    assert len(found.comparisons) == len(scores) * (len(scores) - 1) // 2
    for one in found.comparisons:
        assert scores[one.winner] >= scores[one.loser]
        assert one.is_tie == (scores[one.winner] == scores[one.loser])


def test_responses_of_the_same_text_are_not_compared() -> None:
    _, parsed = parse({"prompt": "Say it.", "responses": ["a", "b", "a"], "ranks": [0, 1, 2]})
    assert parsed.groups[0].comparisons == (Comparison(0, 1), Comparison(1, 2))
    assert parsed.notes == ("identical-responses",)


@pytest.mark.parametrize(
    ("votes", "winner", "probability"),
    [
        (["a", "a", "b"], 0, 2 / 3),
        (["b", "b", "tie"], 1, 5 / 6),
        (["a", "b"], 0, 0.5),
        (["tie", "tie"], 0, 0.5),
        (["b"], 1, 1.0),
    ],
)
def test_votes_give_the_majority_and_its_share(votes: list[str], winner: int, probability: float) -> None:
    row = {"prompt": "Name a colour.", "response_a": "No.", "response_b": "Blue."}
    found = group(row | {"votes": [{"annotator": f"w{i}", "value": value} for i, value in enumerate(votes)]})
    (comparison,) = found.comparisons
    assert found.responses == says("No.", "Blue.")
    assert (comparison.winner, comparison.loser) == (winner, 1 - winner)
    assert comparison.probability == pytest.approx(probability)
    meaning = {"a": 0, "b": 1, "tie": None}
    assert comparison.votes == tuple(Vote(f"w{i}", meaning[value], first=0) for i, value in enumerate(votes))


def test_voters_without_a_name_are_not_one_person() -> None:
    found = group({"prompt": "Hi?", "response_a": "No.", "response_b": "Yes.", "votes": ["a", {"value": "b"}]})
    assert [vote.annotator for vote in found.comparisons[0].votes] == [f"{WHERE}#1", f"{WHERE}#2"]


def test_ukpconvarg_prompt_names_debate_and_side() -> None:
    votes = [{"annotator": "w1", "value": "a2"}, {"annotator": "w2", "value": "equal"}]
    row = {"debate": "Ban bottles", "stance": "No", "a1": "Bad.", "a2": "Because.", "votes": votes}
    found = group(row)
    assert found.prompt[0].role == "user"
    assert '"Ban bottles"' in found.prompt[0].content
    assert '"No"' in found.prompt[0].content
    assert found.comparisons == (Comparison(1, 0, probability=0.75, votes=(Vote("w1", 1), Vote("w2", None))),)


def test_pandalm_joins_instruction_and_input_and_keeps_what_people_judged() -> None:
    row = {"idx": 3, "instruction": "Is it true?", "input": "2 + 2 = 4", "response1": True, "response2": ""}
    name, parsed = parse(row | {"annotator1": 1, "annotator2": 1.0, "annotator3": "0"})
    (found,) = parsed.groups
    assert (name, found.id) == ("votes-pandalm", "3")
    assert found.prompt == (Message("user", "Is it true?\n\n2 + 2 = 4"),)
    assert found.responses == says("True", "")
    votes = (Vote("annotator1", 0), Vote("annotator2", 0), Vote("annotator3", None))
    assert found.comparisons == (Comparison(0, 1, probability=pytest.approx(5 / 6), votes=votes),)
    assert parsed.notes == ("empty-response-kept", "truth-value-as-text")


def node(name: str, role: str, *replies: dict, **more: object) -> dict:
    return {"message_id": name, "role": role, "text": f"text of {name}", "replies": list(replies), **more}


def test_every_fully_ranked_prompter_node_of_a_tree_is_a_group() -> None:
    below = node("p2", "prompter", node("r3", "assistant", rank=1), node("r4", "assistant", rank=0))
    half = node("p3", "prompter", node("r5", "assistant", rank=0), node("r6", "assistant"))
    lone = node("p4", "prompter", node("r7", "assistant", rank=0))
    root = node(
        "p1",
        "prompter",
        node("r1", "assistant", below, half, rank=0),
        node("r2", "assistant", lone, rank=1),
    )
    name, parsed = parse({"message_tree_id": "t", "prompt": root})
    first, second = parsed.groups
    assert name == "oasst-tree"
    assert (first.id, first.where, first.comparisons) == ("p1", WHERE, (Comparison(0, 1),))
    assert (second.id, second.where, second.comparisons) == ("p2", WHERE, (Comparison(1, 0),))
    assert [(turn.role, turn.content) for turn in second.prompt] == [
        ("user", "text of p1"),
        ("assistant", "text of r1"),
        ("user", "text of p2"),
    ]
    assert parsed.notes == ("unranked-replies",)


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"prompt": "Name a colour.", "response": "Blue."}, 1),
        ({"prompt": ASK, "responses": ["Blue."]}, 1),
        ({"prompt": ASK, "responses": ["Blue.", {"text": "Blue."}, [NO]]}, 3),
    ],
)
def test_rows_to_be_scored_need_no_order(values: dict, count: int) -> None:
    name, parsed = parse(values, require_comparisons=False)
    assert name == "scoring"
    assert len(parsed.groups[0].responses) == count
    assert parsed.groups[0].comparisons == ()


def test_palates_own_groups_are_read_back(tmp_path: Path) -> None:
    votes = (Vote("w1", 1, 1, 2.5), Vote("w2", None, 0), Vote("w3", 0, None, 0.0))
    comparison = Comparison(1, 0, margin=0.5, probability=0.75, weight=2.0, votes=votes)
    origin = {"source": "web", "models": ("x", "y", "z"), "time": "2024"}
    written = PreferenceGroup("x", (Message("user", "Hi?"),), says("No.", "Yes.", "Hm."), (comparison,), **origin)
    path = tmp_path / "groups.jsonl"
    path.write_text(json.dumps(group_to_row(written)) + "\n")
    for required in (True, False):
        data = read_preferences(str(path), require_comparisons=required)
        assert data.formats == {"palate-group": 1}
        assert data.groups == (replace(written, where=f"{path}:1"),)
    assert row_to_group(json.loads(path.read_text()), "f:1") == replace(written, where="f:1")


def test_palates_own_group_needs_comparisons_only_for_training() -> None:
    row = {"prompt": "Hi?", "responses": ["a", "b"], "comparisons": []}
    assert parse(row, require_comparisons=False)[0] == "palate-group"
    with pytest.raises(DataError, match="no response is compared") as caught:
        parse(row)
    assert caught.value.reason == "no-comparisons"


def test_faults_of_palates_own_groups_are_passed_on() -> None:
    row = {"prompt": "Hi?", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 2}]}
    with pytest.raises(DataError) as caught:
        parse(row)
    assert (caught.value.reason, caught.value.where) == ("bad-index", WHERE)


def test_max_groups_stops_in_the_middle_of_a_row_with_several(tmp_path: Path) -> None:
    below = node("p2", "prompter", node("r3", "assistant", rank=1), node("r4", "assistant", rank=0))
    root = node("p1", "prompter", node("r1", "assistant", below, rank=0), node("r2", "assistant", rank=1))
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (PAIR, {"prompt": root}, PAIR)))
    data = read_preferences(str(path), max_groups=2)
    assert ([one.id for one in data.groups], data.rows) == ([f"{tmp_path}/rows.jsonl:1", "p1"], 2)
