"""Benchmarks, ratings and trainers' keys, from the columns to the groups; and where rows say they come from."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from palate.data.benchmarks import STYLES
from palate.data.formats import recognise
from palate.data.parse import ParsedRow, parse_rows
from palate.data.read import PreferenceData, read_preferences
from palate.data.textfiles import RawRow
from palate.errors import DataError
from palate.records import Comparison, Message, PreferenceGroup

WHERE = "prefs.jsonl:7"
ASK = {"role": "user", "content": "Name a colour."}
PROMPT = (Message("user", "Name a colour."),)


def parse(values: dict) -> tuple[str, ParsedRow]:
    row = RawRow(WHERE, values)
    found = recognise(row)
    return found.name, parse_rows((row,), found)


def group(values: dict) -> PreferenceGroup:
    (only,) = parse(values)[1].groups
    return only


def says(*texts: str) -> tuple[tuple[Message, ...], ...]:
    return tuple((Message("assistant", text),) for text in texts)


def read(tmp_path: Path, *rows: dict, **settings: object) -> PreferenceData:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_preferences(str(path), **settings)  # type: ignore[arg-type]


# ---- benchmarks

REWARDBENCH = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No.", "id": 12}
REWARDBENCH |= {"chosen_model": "m-1", "rejected_model": "m-2", "subset": "refusals-offensive"}


def test_rewardbench_names_subset_and_models() -> None:
    name, parsed = parse(REWARDBENCH)
    (found,) = parsed.groups
    assert (name, parsed.notes) == ("rewardbench", ())
    expected = PreferenceGroup("12", PROMPT, says("Blue.", "No."), (Comparison(0, 1),), WHERE)
    assert (found.id, found.prompt, found.responses, found.comparisons) == (
        expected.id,
        expected.prompt,
        expected.responses,
        expected.comparisons,
    )
    assert (found.source, found.models) == ("refusals-offensive", ("m-1", "m-2"))


def test_benchmarks_are_read_as_they_are_where_a_response_repeats_its_prompt_or_is_empty() -> None:
    echo = REWARDBENCH | {"chosen": "Name a colour. Blue.", "rejected": ""}
    assert parse(echo)[1].notes == ("empty-response-kept",)
    with pytest.raises(DataError, match="begins with the prompt"):
        parse({"prompt": "Name a colour.", "chosen": "Name a colour. Blue.", "rejected": "No."})


def test_rewardbench_2_compares_every_chosen_with_every_rejected_response() -> None:
    row = {"id": "t:0", "prompt": "Name a colour.", "chosen": ["Blue.", "Red."], "rejected": ["No.", "Five.", "Dog."]}
    row |= {"num_correct": 2, "num_incorrect": 3, "total_completions": 5, "models": list("abcde"), "subset": "Ties"}
    name, parsed = parse(row)
    (found,) = parsed.groups
    assert (name, found.id, found.source, parsed.notes) == ("pair-lists", "t:0", "Ties", ())
    assert found.responses == says("Blue.", "Red.", "No.", "Five.", "Dog.")
    assert found.comparisons == tuple(Comparison(i, j) for i in (0, 1) for j in (2, 3, 4))
    assert found.models == tuple("abcde")


def test_names_for_other_responses_are_left_alone() -> None:
    row = {"prompt": "Name a colour.", "chosen": ["Blue."], "rejected": ["No.", "Five."], "models": ["a", "b"]}
    _, parsed = parse(row)
    assert parsed.groups[0].models == ()
    assert parsed.notes == ("unused-column: models",)


def test_the_same_text_on_both_sides_is_not_compared_with_itself() -> None:
    _, parsed = parse({"prompt": "Name a colour.", "chosen": ["Blue.", "Red."], "rejected": ["Blue."]})
    assert parsed.groups[0].comparisons == (Comparison(1, 2),)
    assert parsed.notes == ("identical-responses",)


def test_rm_bench_is_one_group_of_nine_comparisons_whose_matrix_is_known() -> None:
    row = {"id": "chat/1", "prompt": "Name a colour.", "domain": "chat"}
    row |= {"chosen": ["c0", "c1", "c2"], "rejected": ["r0", "r1", "r2"]}
    name, parsed = parse(row)
    (found,) = parsed.groups
    assert (name, found.id, found.source) == ("rm-bench", "chat/1", "chat")
    assert found.responses == says("c0", "c1", "c2", "r0", "r1", "r2")
    assert found.models == STYLES + STYLES
    cells = {(found.models[one.winner], found.models[one.loser]) for one in found.comparisons}
    assert (len(found.comparisons), len(cells)) == (9, 9)
    assert all(one.winner < 3 <= one.loser for one in found.comparisons)


@pytest.mark.parametrize(("label", "winner"), [(1, 0), (2, 1), ("1", 0), ("2", 1)])
def test_llmbar_labels_count_from_one(label: object, winner: int) -> None:
    found = group({"input": "Name a colour.", "output_1": "Blue.", "output_2": "Red.", "label": label})
    assert (found.prompt, found.responses) == (PROMPT, says("Blue.", "Red."))
    assert found.comparisons == (Comparison(winner, 1 - winner),)


@pytest.mark.parametrize(("label", "winner"), [("A>B", 0), ("B>A", 1)])
def test_judgebench_responses_are_by_one_model(label: str, winner: int) -> None:
    row = {"pair_id": "p", "original_id": 3, "source": "mmlu", "question": "Name a colour.", "response_model": "gpt"}
    name, parsed = parse(row | {"response_A": "Blue.", "response_B": "Red.", "label": label})
    (found,) = parsed.groups
    assert (name, found.id, found.source, found.models) == ("judgebench", "p", "mmlu", ("gpt", "gpt"))
    assert found.comparisons == (Comparison(winner, 1 - winner),)
    assert parsed.notes == ("unused-column: original_id",)


# ---- ratings


def helpsteer(prompt: str, response: str, helpfulness: int) -> dict:
    aspects = dict.fromkeys(("correctness", "coherence", "complexity", "verbosity"), 2)
    return {"prompt": prompt, "response": response, "helpfulness": helpfulness, **aspects}


def test_helpsteer_rows_of_a_prompt_are_one_group_with_margins(tmp_path: Path) -> None:
    rows = [helpsteer("a?", "a1", 4), helpsteer("a?", "a2", 1), helpsteer("b?", "b1", 2), helpsteer("b?", "b2", 2)]
    data = read(tmp_path, *rows, helpsteer("a?", "a3", 0))
    assert (data.rows, data.formats) == (5, {"helpsteer": 5})
    first, second = data.groups
    assert (first.responses, first.where) == (says("a1", "a2", "a3"), f"{tmp_path}/rows.jsonl:1")
    assert first.comparisons == (Comparison(0, 1, 0.75), Comparison(0, 2, 1.0), Comparison(1, 2, 0.25))
    assert (second.where, second.comparisons) == (f"{tmp_path}/rows.jsonl:3", (Comparison(0, 1, probability=0.5),))
    assert data.notes == {
        f"unused-column: {name}": 2 for name in ("correctness", "coherence", "complexity", "verbosity")
    }


def test_helpsteer_prompts_of_several_turns_are_divided(tmp_path: Path) -> None:
    prompt = "Hi\n<extra_id_1>Assistant\nHello.\nYes?\n<extra_id_1>User\nA colour?"
    (found,) = read(tmp_path, helpsteer(prompt, "Blue.", 3), helpsteer(prompt, "No.", 1)).groups
    turns = [("user", "Hi"), ("assistant", "Hello.\nYes?"), ("user", "A colour?")]
    assert [(turn.role, turn.content) for turn in found.prompt] == turns


def test_a_lone_response_is_no_comparison_and_can_be_scored(tmp_path: Path) -> None:
    rows = helpsteer("a?", "a1", 4), helpsteer("b?", "b1", 1), helpsteer("b?", "b2", 0)
    with pytest.raises(DataError, match="no response is compared"):
        read(tmp_path, *rows)
    data = read(tmp_path, *rows, on_bad_row="skip")
    assert ([one.reason for one in data.dropped], len(data.groups)) == (["no-comparisons"], 1)
    assert [len(one.responses) for one in read(tmp_path, *rows, require_comparisons=False).groups] == [1, 2]


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        (-3, Comparison(0, 1, margin=1.0)),
        ("-1", Comparison(0, 1, margin=1 / 3)),
        (0, Comparison(0, 1, probability=0.5)),
        (2, Comparison(1, 0, margin=2 / 3)),
    ],
)
def test_strengths_of_helpsteer_pairs(strength: object, expected: Comparison) -> None:
    second = {"prompt": "Name a colour.", "response_1": "Blue.", "response_2": "Red.", "preference_strength": strength}
    third = {"context": [ASK], "response1": "Blue.", "response2": "Red.", "overall_preference": strength}
    for row, name in ((second, "helpsteer2-preference"), (third | {"domain": "stem"}, "helpsteer3-preference")):
        found, parsed = parse(row)
        assert (found, parsed.groups[0].comparisons) == (name, (expected,))
        assert (parsed.groups[0].prompt, parsed.groups[0].responses) == (PROMPT, says("Blue.", "Red."))
    assert parsed.groups[0].source == "stem"


def completion(response: str, *ratings: str, **more: object) -> dict:
    names = ("instruction_following", "truthfulness")
    aspects = {name: {"Rating": rating, "Rationale": "..."} for name, rating in zip(names, ratings, strict=False)}
    return {"response": response, "model": f"model of {response}", "annotations": aspects, **more}


def test_ultrafeedback_ranks_by_the_mean_of_the_aspects() -> None:
    listed = [completion("a", "5", "4", overall_score=1), completion("b", "3", "N/A"), completion("c", "3", "3")]
    name, parsed = parse({"source": "flan", "instruction": "Name a colour.", "models": ["x"], "completions": listed})
    (found,) = parsed.groups
    assert (name, found.source) == ("ultrafeedback", "flan")
    assert found.models == ("model of a", "model of b", "model of c")
    assert found.comparisons == (Comparison(0, 1, 0.375), Comparison(0, 2, 0.375), Comparison(1, 2, probability=0.5))


def test_ultrafeedback_falls_back_on_a_score_that_all_completions_have() -> None:
    listed = [completion("a", "5", overall_score=2), completion("b", overall_score="6.5")]
    row = {"instruction": "Name a colour.", "completions": listed}
    assert group(row).comparisons == (Comparison(1, 0, margin=0.5),)
    listed = [one | {"fine-grained_score": score} for one, score in zip(listed, (4, 3.0), strict=True)]
    assert group(row | {"completions": listed}).comparisons == (Comparison(0, 1, margin=0.25),)


# ---- trainers' keys and origins


def test_openrlhf_keys() -> None:
    row = {"context_messages": [ASK], "chosen": [{"role": "assistant", "content": "Blue."}], "rejected": "No."}
    name, parsed = parse(row | {"margin": 0.5})
    (found,) = parsed.groups
    assert name == "openrlhf"
    assert (found.prompt, found.responses) == (PROMPT, says("Blue.", "No."))
    assert found.comparisons == (Comparison(0, 1, margin=0.5),)


PAIR = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"source": "web", "subset": "a"}, ("web", (), "")),
        ({"source": None, "data_source": "", "dataset": "d"}, ("d", (), "")),
        ({"subset": 3}, ("3", (), "")),
        ({"domain": "math", "timestamp": 1700000000}, ("math", (), "1700000000")),
        ({"created_at": "2024-05-01T00:00:00Z"}, ("", (), "2024-05-01T00:00:00Z")),
        ({"time": datetime(2024, 5, 1)}, ("", (), "2024-05-01T00:00:00")),  # noqa: DTZ001  Parquet has naive ones
        ({"models": ["x", "y"]}, ("", ("x", "y"), "")),
        ({"model_a": "x", "model_b": "y"}, ("", ("x", "y"), "")),
        ({"chosen_model": "x", "rejected_model": "y"}, ("", ("x", "y"), "")),
        ({"response_model": "x"}, ("", ("x", "x"), "")),
    ],
)
def test_origin_columns(columns: dict, expected: tuple) -> None:
    _, parsed = parse(PAIR | columns)
    (found,) = parsed.groups
    assert (found.source, found.models, found.time) == expected
    extra = {"unused-column: subset"} if columns.get("source") else set()
    assert set(parsed.notes) == extra


def test_two_names_are_not_enough_for_three_responses() -> None:
    row = {"prompt": "Name a colour.", "responses": ["a", "b", "c"], "ranks": [1, 2, 3], "model_a": "x", "model_b": "y"}
    _, parsed = parse(row)
    assert parsed.groups[0].models == ()
    assert parsed.notes == ("unused-column: model_a", "unused-column: model_b")


@pytest.mark.parametrize("columns", [{"source": {"a": 1}}, {"models": "x"}, {"model_a": "x"}, {"time": ["x"]}])
def test_columns_that_hold_something_else_are_unused(columns: dict) -> None:
    _, parsed = parse(PAIR | columns)
    assert parsed.notes == tuple(f"unused-column: {name}" for name in columns)
    assert (parsed.groups[0].source, parsed.groups[0].models, parsed.groups[0].time) == ("", (), "")


def test_a_soft_label_below_one_half_keeps_the_models_with_their_responses() -> None:
    found = group(PAIR | {"probability": 0.25, "chosen_model": "x", "rejected_model": "y"})
    assert (found.comparisons[0].winner, found.models[1]) == (1, "y")
    assert found.responses[1] == says("No.")[0]
