"""Every kind of bad row: what is said about it, and that the rows around it survive when it is skipped."""

import json
from pathlib import Path

import pytest

from palate.data.read import PreferenceData, read_preferences, write_dropped
from palate.data.rows import row_to_group
from palate.errors import ConfigError, DataError

PAIR = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}
ASK = {"role": "user", "content": "Name a colour."}
BLUE = {"role": "assistant", "content": "Blue."}
VOTES = {"prompt": "Name a colour.", "response_a": "Blue.", "response_b": "No."}
RANKED = {"prompt": "Name a colour.", "responses": ["Blue.", "No."]}
BENCH = {"prompt": "Name a colour.", "chosen": ["a", "b", "c"], "rejected": ["d", "e", "f"], "domain": "chat"}
LLMBAR = {"input": "Name a colour.", "output_1": "Blue.", "output_2": "No.", "label": 1}
JUDGE = {"question": "Name a colour.", "response_A": "Blue.", "response_B": "No.", "label": "A>B"}
HELPFUL = {"prompt": "Name a colour.", "response": "Blue.", "helpfulness": 3}
STRENGTH = {"prompt": "Name a colour.", "response_1": "Blue.", "response_2": "No.", "preference_strength": 1}
OVERALL = {"context": [ASK], "response1": "Blue.", "response2": "No.", "overall_preference": 1}
FEEDBACK = {"instruction": "Name a colour.", "completions": [{"response": "Blue."}, {"response": "No."}]}
SHOWN = {"prompt": "Name a colour.", "answer1": "Blue.", "answer2": "No."}
CHOSEN = {"type": "pairwise", "value": {"selected": "left"}}
LEFT = {"completed_by": 3, "result": [CHOSEN]}
TASK = {"data": SHOWN, "annotations": [LEFT]}
MIN = SHOWN | {"id": 5, "annotator": 3, "annotation_id": 1, "comparison": "left"}
FIELDS = {"instruction": "Name a colour.", "response1": "Blue.", "response2": "No."}
CAST = {"task": "t", "annotator": "ann", "left": "Blue.", "right": "No.", "label": "left"}
OWN = {"prompt": "Name a colour.", "responses": ["Blue.", "No."], "comparisons": [{"winner": 0, "loser": 1}]}
TREE_LEAF = {"role": "assistant", "text": "Yes.", "rank": 0}
NAN = float("nan")


def turn(role: str, content: object = "Hm.") -> dict:
    return {"role": role, "content": content}


# reason, field, part of the message, row
BAD_ROWS: list[tuple[str, str | None, str, dict]] = [
    ("missing-column", "rejected", "missing for a row of format pair", {"prompt": "a", "chosen": "b"}),
    (
        "missing-column",
        "prompt",
        "missing for a row of format ranked",
        {"responses": ["a", "b"], "ranks": [0, 1]},
    ),
    ("missing-column", "response_b", "add it", {"prompt": "a", "response_a": "b", "votes": ["a"]}),
    ("missing-column", "responses", "add ranks (lower is better) or scores", RANKED),
    ("missing-column", "prompt[0].content", "found: role", PAIR | {"prompt": [{"role": "user"}]}),
    ("identical-pair", "rejected", "the same as chosen", PAIR | {"rejected": "Blue."}),
    ("identical-pair", "rejected", "the same", {"chosen": [ASK, BLUE], "rejected": [ASK, BLUE]}),
    (
        "identical-pair",
        "rejected",
        "the same",
        {"chosen": "\n\nHuman: Hi\n\nAssistant: a", "rejected": "\n\nHuman: Hi\n\nAssistant: a "},
    ),
    ("identical-pair", "responses", "the same text", RANKED | {"responses": ["a", "a"], "ranks": [0, 1]}),
    ("empty-response", "chosen", "fill it or remove", PAIR | {"chosen": " \n"}),
    ("empty-response", "rejected", "holds no text", PAIR | {"rejected": [turn("assistant", "")]}),
    ("empty-response", "rejected", "holds no text", PAIR | {"rejected": []}),
    (
        "empty-response",
        "chosen",
        "holds no text",
        {"chosen": [ASK, turn("assistant", "")], "rejected": [ASK, BLUE]},
    ),
    ("empty-response", "response_b", "holds no text", VOTES | {"response_b": "", "votes": ["a"]}),
    ("empty-prompt", "prompt", "fill it", PAIR | {"prompt": " "}),
    ("empty-prompt", "prompt", "fill it", PAIR | {"prompt": []}),
    ("empty-prompt", "prompt", "a user turn is missing", PAIR | {"prompt": [turn("system")]}),
    ("empty-prompt", "prompt", "holds no text", PAIR | {"prompt": [turn("user", ""), BLUE, ASK]}),
    ("nan-margin", "margin", "is nan; a margin is a finite number", PAIR | {"margin": NAN}),
    ("nan-margin", "margin", "is inf;", PAIR | {"margin": float("inf")}),
    ("nan-margin", "strength", "is nan;", PAIR | {"strength": NAN}),
    ("bad-number", "margin", "found text ('wide'); write a number", PAIR | {"margin": "wide"}),
    ("bad-number", "margin", "found a truth value (true)", PAIR | {"margin": True}),
    ("bad-number", "margin", "at least 0: exchange chosen and rejected", PAIR | {"margin": -0.5}),
    ("bad-number", "margin", "expected a number", PAIR | {"margin": 10**400}),
    ("bad-number", "weight", "a weight is above 0", PAIR | {"weight": 0}),
    ("bad-number", "weight", "is nan; write a finite number", PAIR | {"weight": NAN}),
    ("bad-number", "probability", "lies in [0, 1]", PAIR | {"probability": 1.5}),
    ("bad-number", "soft_label", "is nan", PAIR | {"soft_label": NAN}),
    ("bad-number", "ranks[1]", "found nothing (null)", RANKED | {"ranks": [0, None]}),
    ("bad-number", "scores[0]", "is nan", RANKED | {"scores": [NAN, 1]}),
    (
        "wrong-role",
        "prompt[0].role",
        "unknown role 'human'; known are system, user",
        PAIR | {"prompt": [turn("human")]},
    ),
    ("wrong-role", "prompt", "move that turn into it", PAIR | {"prompt": [ASK, BLUE]}),
    ("wrong-role", "chosen", "its turns are user", PAIR | {"chosen": [turn("user")]}),
    (
        "wrong-role",
        "chosen",
        "its turns are user, assistant",
        PAIR | {"chosen": [turn("user", "Else?"), BLUE]},
    ),
    ("wrong-role", "chosen", "holds no response", {"chosen": [ASK], "rejected": [ASK, BLUE]}),
    (
        "wrong-role",
        "rejected",
        "holds no response",
        {"chosen": "Human: a\n\nAssistant: b", "rejected": "Human: a"},
    ),
    (
        "wrong-role",
        "prompt.role",
        "known are prompter, assistant",
        {"prompt": {"role": "user", "text": "Hi", "replies": []}},
    ),
    ("prompt-in-response", "chosen", "cut that off", PAIR | {"chosen": "Name a colour. Blue."}),
    (
        "prompt-in-response",
        "rejected",
        "again",
        PAIR | {"prompt": [turn("system"), ASK], "rejected": [turn("assistant", "Name a colour.\nNo.")]},
    ),
    ("not-text", "chosen", "found nothing (null)", PAIR | {"chosen": None}),
    ("not-text", "prompt", "found a number (3); write it as text", PAIR | {"prompt": 3}),
    (
        "not-text",
        "rejected[0].content",
        "found a list of 1",
        PAIR | {"rejected": [turn("assistant", ["No."])]},
    ),
    ("not-text", "responses[1]", "found a number (2)", RANKED | {"responses": ["a", 2], "ranks": [0, 1]}),
    ("not-text", "chosen", "half of an emoji", PAIR | {"chosen": "Blue \ud83d"}),
    ("not-an-object", "prompt[0]", "expected an object", PAIR | {"prompt": ["Name a colour."]}),
    ("not-a-list", "ranks", "expected a list, found text", RANKED | {"ranks": "0, 1"}),
    ("unknown-format", None, "columns question, answer; rename", {"question": "a", "answer": "b"}),
    ("unknown-format", None, "hh-transcript (chosen, rejected)", {"prompt": "a"}),
    ("unknown-format", None, "the columns none", {}),
    (
        "ambiguous-prompt",
        "chosen",
        "add a prompt column",
        {"chosen": "Hi there, a", "rejected": "Hi there, b"},
    ),
    (
        "ambiguous-prompt",
        "rejected",
        "would be a guess",
        {"chosen": "Human: a\n\nAssistant: b", "rejected": "b"},
    ),
    (
        "no-shared-prompt",
        "rejected",
        "shares no user turn",
        {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: b"},
    ),
    ("too-few-responses", "responses", "1 given, but", RANKED | {"responses": ["a"], "ranks": [0]}),
    ("too-few-responses", "response", "nothing to compare", {"prompt": "a", "response": "b"}),
    ("rank-count", "ranks", "3 numbers for 2 responses", RANKED | {"ranks": [0, 1, 2]}),
    (
        "rank-count",
        "responses[0].rank",
        "1 numbers for 2 responses",
        RANKED | {"responses": [{"text": "a", "rank": 1}, {"text": "b"}]},
    ),
    ("unknown-strength", "strength", "known are unsure, ", PAIR | {"strength": "a bit"}),
    ("conflicting-columns", "scores", "besides that in ranks", RANKED | {"ranks": [0, 1], "scores": [1, 0]}),
    ("conflicting-columns", "strength", "margin and strength", PAIR | {"margin": 1, "strength": "better"}),
    ("conflicting-columns", "soft_label", "keep one", PAIR | {"probability": 1, "soft_label": 1}),
    ("conflicting-columns", "system", "keep one", PAIR | {"system": "a", "prompt": [turn("system"), ASK]}),
    ("style-count", "chosen", "2 responses; RM-Bench has one for each", BENCH | {"chosen": ["a", "b"]}),
    ("not-text", "rejected[1]", "found a number (2)", BENCH | {"rejected": ["d", 2, "f"]}),
    ("no-comparisons", None, "add comparisons or remove", PAIR | {"chosen": ["a"], "rejected": ["a"]}),
    ("missing-column", "output_2", "missing for a row of format llmbar", {"input": "a", "output_1": "b", "label": 1}),
    ("unknown-label", "label", "is '0'; known are 1 and 2", LLMBAR | {"label": 0}),
    ("unknown-label", "label", "is 'A=B'; known are A>B and B>A: correct it", JUDGE | {"label": "A=B"}),
    ("bad-number", "helpfulness", "is 5; the scale runs from 0 to 4", HELPFUL | {"helpfulness": 5}),
    ("bad-number", "helpfulness", "found text ('good'); write a number", HELPFUL | {"helpfulness": "good"}),
    ("empty-response", "response", "holds no text", HELPFUL | {"response": ""}),
    ("no-comparisons", None, "no response is compared", HELPFUL),
    ("bad-number", "preference_strength", "is -100; the scale runs from -3", STRENGTH | {"preference_strength": -100}),
    ("identical-pair", "response2", "the same as response1", OVERALL | {"response2": "Blue."}),
    ("missing-column", "completions", "no rating that all of them have", FEEDBACK),
    ("too-few-responses", "completions", "1 given, but", FEEDBACK | {"completions": [{"response": "Blue."}]}),
    (
        "bad-number",
        "completions[1].overall_score",
        "is 11; the scale runs from 1 to 10",
        FEEDBACK | {"completions": [{"response": "a", "overall_score": 1}, {"response": "b", "overall_score": 11}]},
    ),
    ("missing-column", "data", "name them answer1 and answer2 (found: prompt, a)", {"data": {"prompt": "x", "a": "y"}}),
    (
        "unknown-vote",
        "annotations[0].result[0].value.selected",
        "unknown verdict 'up'; known are left, right, tie",
        TASK | {"annotations": [{"result": [{"type": "pairwise", "value": {"selected": "up"}}]}]},
    ),
    ("not-a-list", "annotations", "found a number (3)", TASK | {"annotations": 3}),
    ("missing-column", "annotations[0].result", "add it", TASK | {"annotations": [{"completed_by": 3}]}),
    ("bad-number", "annotations[0].lead_time", "is -1; a duration", TASK | {"annotations": [LEFT | {"lead_time": -1}]}),
    (
        "missing-column",
        "annotations[0].completed_by",
        "names nobody; give it an id",
        TASK | {"annotations": [LEFT | {"completed_by": {"name": "x"}}]},
    ),
    (
        "unknown-vote",
        "data.first",
        "unknown side 'top'; known are left, right",
        TASK | {"data": SHOWN | {"first": "top"}},
    ),
    ("no-comparisons", None, "no response is compared", {"data": SHOWN}),
    ("unknown-vote", "comparison", "unknown verdict 'up'", MIN | {"comparison": "up"}),
    ("missing-column", "comparison", "call the controls comparison (Pairwise) and tie", MIN | {"comparison": None}),
    (
        "missing-column",
        None,
        "there are no two texts; name them answer1",
        {k: v for k, v in MIN.items() if k != "answer2"},
    ),
    ("missing-column", "fields", "name them response1, response2", {"fields": {"instruction": "x"}, "responses": {}}),
    (
        "missing-column",
        "responses.ranking",
        "found: preference",
        {"fields": FIELDS, "responses": {"preference": [{"value": "response1"}]}},
    ),
    (
        "unknown-vote",
        "responses.ranking[0].value[1]",
        "ranks 'response9'; rank each of response1, response2 once",
        {"fields": FIELDS, "responses": {"ranking": [{"value": ["response1", "response9"]}]}},
    ),
    (
        "unknown-vote",
        "responses.ranking[0].value[1]",
        "ranks 'response1'",
        {"fields": FIELDS, "responses": {"ranking": [{"value": ["response1", "response1"]}]}},
    ),
    (
        "rank-count",
        "ranking.responses",
        "1 answers by 2 users",
        FIELDS | {"ranking.responses": [["response1"]], "ranking.responses.users": ["a", "b"]},
    ),
    (
        "missing-column",
        "label",
        "missing for a row of format votes-table",
        {k: v for k, v in CAST.items() if k != "label"},
    ),
    ("identical-pair", "right", "the same as left", CAST | {"right": "Blue."}),
    ("unknown-vote", "label", "or the text of one side", CAST | {"label": "a"}),
    ("unknown-vote", "first", "known are left, right, unknown", CAST | {"first": "a"}),
    ("conflicting-columns", "worker", "annotator and worker", CAST | {"worker": "bob"}),
    ("bad-number", "seconds", "is nan", CAST | {"seconds": NAN}),
    ("not-text", "task", "found a list of 1", CAST | {"task": ["t"]}),
    ("too-few-responses", "questions.0", "needs two summaries", {"passage-id": "1", "questions": {"0": {"human": {}}}}),
    (
        "no-votes",
        "questions.0",
        "summaries 0 and 1 have no reviewer in common",
        {
            "passage-id": "1",
            "questions": {
                "0": {
                    "bart": {"response": "a", "reviews": [{"worker_id": "1", "overall-rating": 3}]},
                    "human": {"response": "b", "reviews": [{"worker_id": "2", "overall-rating": 3}]},
                }
            },
        },
    ),
    ("unknown-vote", "votes[0].first", "known are a, b", VOTES | {"votes": [{"value": "a", "first": "tie"}]}),
    ("bad-number", "votes[0].seconds", "is -1; a duration", VOTES | {"votes": [{"value": "a", "seconds": -1}]}),
    ("wrong-type", "models", "give a list of 2 names", OWN | {"models": ["x"]}),
    ("wrong-type", "source", "3 is not text", OWN | {"source": 3}),
    (
        "bad-index",
        "comparisons[0].votes",
        "first is 7, not one of (0, 1)",
        OWN | {"comparisons": [{"winner": 0, "loser": 1, "votes": [{"annotator": "w", "preferred": 0, "first": 7}]}]},
    ),
    (
        "unknown-field",
        "comparisons[0].votes",
        "unknown ['secs']; the fields are annotator, preferred, first, seconds",
        OWN | {"comparisons": [{"winner": 0, "loser": 1, "votes": [{"annotator": "w", "preferred": 0, "secs": 7}]}]},
    ),
    ("not-text", "responses[0]", "half of an emoji", OWN | {"responses": ["a \ud83d", "b"]}),
    ("no-votes", "votes", "the list is empty", VOTES | {"votes": []}),
    ("unknown-vote", "votes[1].value", "known are a, b, tie", VOTES | {"votes": ["a", {"value": "c"}]}),
]
NAMES = [f"{reason}-{field}-{number}" for number, (reason, field, _, _) in enumerate(BAD_ROWS)]


def write(path: Path, *lines: dict | str) -> str:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    return str(path)


@pytest.mark.parametrize(("reason", "field", "says", "row"), BAD_ROWS, ids=NAMES)
def test_bad_row_stops_the_reading_and_says_why(
    tmp_path: Path, reason: str, field: str | None, says: str, row: dict
) -> None:
    source = write(tmp_path / "rows.jsonl", PAIR, row)
    with pytest.raises(DataError) as caught:
        read_preferences(source)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert caught.value.where == f"{source}:2"
    assert str(caught.value).startswith(f"{source}:2: {field or ''}")
    assert says in str(caught.value)


@pytest.mark.parametrize(("reason", "field", "says", "row"), BAD_ROWS, ids=NAMES)
def test_skipped_bad_row_is_listed_and_leaves_the_others_intact(
    tmp_path: Path, reason: str, field: str | None, says: str, row: dict
) -> None:
    source = write(tmp_path / "rows.jsonl", PAIR, row, PAIR | {"id": "last"})
    data = read_preferences(source, on_bad_row="skip")
    assert [group.id for group in data.groups] == [f"{source}:1", "last"]
    assert data.rows == 3
    assert f"dropped: {reason} 1" in data.summary()
    (dropped,) = written(tmp_path / "out" / "dropped.jsonl", data)
    message = dropped.pop("message")
    assert dropped == {"where": f"{source}:2", "reason": reason, "field": field}
    assert says in message


def written(path: Path, data: PreferenceData) -> list[dict]:
    write_dropped(path, data.dropped)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "reason", "says"),
    [
        ('{"prompt": "a", "chosen": }', "broken-json", "not JSON (Expecting value, column 27)"),
        ('{"prompt": "a"', "broken-json", "not JSON"),
        ('["a", "b"]', "not-an-object", "this is a list"),
        ("null", "not-an-object", "one {...} a line"),
        ("[" * 100_000, "broken-json", "not JSON"),
    ],
)
def test_a_broken_line_is_a_bad_row(tmp_path: Path, line: str, reason: str, says: str) -> None:
    source = write(tmp_path / "rows.jsonl", PAIR, line, PAIR)
    with pytest.raises(DataError) as caught:
        read_preferences(source)
    assert (caught.value.reason, caught.value.where) == (reason, f"{source}:2")
    assert says in str(caught.value)
    data = read_preferences(source, on_bad_row="skip")
    assert (len(data.groups), data.rows, data.formats) == (2, 3, {"pair-standard": 2})
    assert [(row.where, row.reason) for row in data.dropped] == [(f"{source}:2", reason)]


def test_a_table_row_with_too_many_cells_is_a_bad_row(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.csv", "prompt,chosen,rejected", "a,b,c", "a,b,c,d", "a,b", "e,f,g")
    data = read_preferences(source, on_bad_row="skip")
    assert len(data.groups) == 2
    assert [row.where for row in data.dropped] == [f"{source}:3", f"{source}:4"]
    assert "4 cells under a header of 3" in data.dropped[0].message
    with pytest.raises(DataError, match=r"rows\.csv:3: 4 cells"):
        read_preferences(source)


def test_nothing_vanishes(tmp_path: Path) -> None:
    rows = [row for _, _, _, row in BAD_ROWS]
    source = write(tmp_path / "rows.jsonl", *rows, PAIR)
    data = read_preferences(source, on_bad_row="skip")
    assert data.rows == len(rows) + 1 == len(data.groups) + len(data.dropped)
    assert len({row.where for row in data.dropped}) == len(rows)


@pytest.mark.parametrize("chosen", ["Good morning to you!", "Name a colour? Blue."])
def test_a_short_prompt_or_another_question_is_no_echo(tmp_path: Path, chosen: str) -> None:
    prompt = "Good morning" if chosen.startswith("Good") else "Name a colour."
    source = write(tmp_path / "rows.jsonl", PAIR | {"prompt": prompt, "chosen": chosen})
    assert read_preferences(source).dropped == ()


def test_writing_dropped_rows_replaces_an_older_list(tmp_path: Path) -> None:
    path = tmp_path / "dropped.jsonl"
    source = write(tmp_path / "rows.jsonl", PAIR | {"chosen": ""}, PAIR)
    write_dropped(path, read_preferences(source, on_bad_row="skip").dropped)
    assert path.read_text().count("\n") == 1
    write_dropped(path, ())
    assert path.read_text() == ""


def test_a_list_that_cannot_be_written_leaves_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "dropped.jsonl"
    path.write_text("old\n")

    def rows() -> object:
        yield from ()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_dropped(path, rows())  # type: ignore[arg-type]
    assert [entry.name for entry in tmp_path.iterdir()] == ["dropped.jsonl"]
    assert path.read_text() == "old\n"


def test_rows_to_be_scored_are_refused_where_comparisons_are_required(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", {"prompt": "Hi?", "responses": ["a", "b"]})
    assert read_preferences(source, require_comparisons=False).groups[0].comparisons == ()
    with pytest.raises(DataError, match="no order"):
        read_preferences(source)


def test_max_groups_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max-groups is 0"):
        read_preferences(write(tmp_path / "rows.jsonl", PAIR), max_groups=0)


@pytest.mark.parametrize("field", ["margin", "weight", "probability"])
def test_whole_numbers_beyond_any_float_are_named(field: str) -> None:
    row = {"prompt": "p", "responses": ["a", "b"], "comparisons": [{"winner": 0, "loser": 1, field: 10**400}]}
    with pytest.raises(DataError, match="is not a finite number"):
        row_to_group(row, "a:1")
    with pytest.raises(DataError, match="is not finite"):
        row_to_group({**row, "comparisons": [], "gold": [10**400, 1]}, "a:1")
