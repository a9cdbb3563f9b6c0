"""Every format that is read, from the columns to the groups."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.formats import FORMATS, recognise
from palate.data.parse import ParsedRow, parse_rows
from palate.data.read import PreferenceData, read_preferences
from palate.data.strengths import STRENGTH_MARGINS
from palate.data.textfiles import RawRow
from palate.data.transcripts import parse_transcript
from palate.records import Comparison, Message, PreferenceGroup

WHERE = "prefs.jsonl:7"
ASK = [{"role": "user", "content": "Name a colour."}]
BLUE = {"role": "assistant", "content": "Blue."}
NO = {"role": "assistant", "content": "No."}
PAIR = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}
PROMPT = (Message("user", "Name a colour."),)


def parse(values: dict, *, require_comparisons: bool = True) -> tuple[str, ParsedRow]:
    row = RawRow(WHERE, values)
    found = recognise(row, require_comparisons=require_comparisons)
    return found.name, parse_rows((row,), found, require_comparisons=require_comparisons)


def group(values: dict) -> PreferenceGroup:
    (only,) = parse(values)[1].groups
    return only


def says(*texts: str) -> tuple[tuple[Message, ...], ...]:
    return tuple((Message("assistant", text),) for text in texts)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("pair-standard", PAIR),
        ("pair-conversational", {"prompt": ASK, "chosen": [BLUE], "rejected": [NO]}),
        ("pair-conversational", {"prompt": ASK, "chosen": "Blue.", "rejected": "No."}),
        ("pair-conversational", {"prompt": "Name a colour.", "chosen": [*ASK, BLUE], "rejected": [*ASK, NO]}),
        ("pair-conversational", {"prompt": " Name a colour. ", "chosen": [*ASK, BLUE], "rejected": "No."}),
        ("pair-implicit-prompt", {"chosen": [*ASK, BLUE], "rejected": [*ASK, NO]}),
        ("pair-implicit-prompt", {"prompt": None, "chosen": [*ASK, BLUE], "rejected": [*ASK, NO]}),
        (
            "hh-transcript",
            {
                "chosen": "\n\nHuman: Name a colour.\n\nAssistant: Blue.",
                "rejected": " \nHuman: Name a colour. \n\nAssistant: No.\n",
            },
        ),
        ("ranked", {"prompt": "Name a colour.", "responses": ["Blue.", "No."], "ranks": [0, 1]}),
        ("ranked", {"prompt": ASK, "responses": [[BLUE], "No."], "scores": [7.5, -1]}),
        (
            "ranked-nemo",
            {
                "context": ASK,
                "completions": [{"rank": 0, "completion": [BLUE]}, {"rank": 1, "completion": [NO]}],
            },
        ),
    ],
)
def test_the_same_preference_in_every_spelling(name: str, values: dict) -> None:
    found, parsed = parse(values)
    (only,) = parsed.groups
    assert found == name
    assert [turn.content.strip() for turn in only.prompt] == ["Name a colour."]
    assert only.responses == says("Blue.", "No.")
    assert only.comparisons == (Comparison(0, 1),)
    assert (only.id, only.where, parsed.notes) == (WHERE, WHERE, ())


def test_explicit_text_is_kept_to_the_letter() -> None:
    assert group(PAIR | {"chosen": "  Blue.\n"}).responses[0] == (Message("assistant", "  Blue.\n"),)


def test_responses_may_hold_several_messages() -> None:
    tools = [{"role": "tool", "content": "blue"}, {"role": "tool", "content": "red"}]
    chosen = [{"role": "assistant", "content": "Looking."}, *tools, BLUE]
    _, parsed = parse({"prompt": ASK, "chosen": chosen, "rejected": [NO]})
    assert [turn.role for turn in parsed.groups[0].responses[0]] == ["assistant", "tool", "tool", "assistant"]
    assert parsed.notes == ()  # two results of tools in a row are no oddity


def test_implicit_prompt_is_the_longest_common_prefix_of_turns() -> None:
    more = {"role": "user", "content": "Another?"}
    _, parsed = parse({"chosen": [*ASK, BLUE, more, NO], "rejected": [*ASK, BLUE, more, BLUE]})
    assert [turn.content for turn in parsed.groups[0].prompt] == ["Name a colour.", "Blue.", "Another?"]
    assert parsed.notes == ()


def test_a_conversation_that_continues_the_other_keeps_a_response_for_both() -> None:
    more = {"role": "user", "content": "Another?"}
    _, parsed = parse({"chosen": [*ASK, BLUE, more, NO], "rejected": [*ASK, BLUE]})
    assert parsed.groups[0].prompt == PROMPT
    assert [len(response) for response in parsed.groups[0].responses] == [3, 1]
    assert parsed.notes == ("parted-early",)


@pytest.mark.parametrize(
    ("chosen", "rejected", "note"),
    [
        ("Human: Hi\n\nAssistant:", "Human: Hi\n\nAssistant: No", "empty-response-in-transcript"),
        (
            "Human: Hi\n\nHuman: You\n\nAssistant: a",
            "Human: Hi\n\nHuman: You\n\nAssistant: b",
            "repeated-role",
        ),
        (
            "Human: Hi\n\nAssistant: a",
            "Human: Hi\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
            "parted-early",
        ),
        (
            "Human: Hi\n\nAssistant:\n\nHuman: x\n\nAssistant: a",
            "Human: Hi\n\nAssistant: \n\nHuman: x\n\nAssistant: b",
            "empty-turn",
        ),
    ],
)
def test_oddities_of_transcripts_are_kept_and_noted(chosen: str, rejected: str, note: str) -> None:
    name, parsed = parse({"chosen": f"\n\n{chosen}", "rejected": f"\n\n{rejected}"})
    assert name == "hh-transcript"
    assert parsed.notes == (note,)
    assert parsed.groups[0].prompt[0] == Message("user", "Hi")


TURN = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).map(str.strip)
CLEAN = TURN.filter(lambda text: "\n\nHuman:" not in text and "\n\nAssistant:" not in text)


@given(st.lists(CLEAN, min_size=2, max_size=6))
def test_transcript_turns_survive_a_round_trip(texts: list[str]) -> None:
    speakers = ["Human" if i % 2 == 0 else "Assistant" for i in range(len(texts))]
    text = "".join(f"\n\n{speaker}: {turn}" for speaker, turn in zip(speakers, texts, strict=True))
    turns = parse_transcript(text)
    assert [turn.content for turn in turns] == texts
    assert [turn.role for turn in turns] == ["user" if speaker == "Human" else "assistant" for speaker in speakers]


FILLED = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(str.strip)
PAIRS = st.fixed_dictionaries(
    {
        "prompt": FILLED.map(lambda text: f"? {text}"),
        "chosen": FILLED.map(lambda text: f"+ {text}"),
        "rejected": FILLED.map(lambda text: f"- {text}"),
        "margin": st.floats(0, 1e6),
    }
)


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_pairs_survive_a_round_trip_through_every_kind_of_file(
    tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    path = tmp_path_factory.mktemp("pairs") / f"pairs.{kind}"

    @settings(deadline=None, max_examples=50)
    @given(st.lists(PAIRS, min_size=1, max_size=4))
    def holds(rows: list[dict]) -> None:
        save(path, rows)
        groups = read_preferences(str(path)).groups
        assert [one.prompt[0].content for one in groups] == [row["prompt"] for row in rows]
        texts = [[response[0].content for response in one.responses] for one in groups]
        assert texts == [[row["chosen"], row["rejected"]] for row in rows]
        assert [one.comparisons for one in groups] == [(Comparison(0, 1, row["margin"]),) for row in rows]

    holds()


def save(path: Path, rows: list[dict]) -> None:
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), quoting=csv.QUOTE_NONNUMERIC)
            writer.writeheader()
            writer.writerows(rows)
        elif path.suffix == ".json":
            json.dump(rows, file, ensure_ascii=False)
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"margin": 0.75}, Comparison(0, 1, margin=0.75)),
        ({"margin": "0.75"}, Comparison(0, 1, margin=0.75)),
        ({"margin": None, "weight": ""}, Comparison(0, 1)),
        ({"strength": "Slightly_Better"}, Comparison(0, 1, margin=1 / 3)),
        ({"strength": "better"}, Comparison(0, 1, margin=2 / 3)),
        ({"strength": "much better"}, Comparison(0, 1, margin=1.0)),
        ({"strength": "significantly  better"}, Comparison(0, 1, margin=1.0)),
        ({"strength": "very-strong"}, Comparison(0, 1, margin=1.0)),
        ({"strength": 0.4}, Comparison(0, 1, margin=0.4)),
        ({"strength": "0.4"}, Comparison(0, 1, margin=0.4)),
        ({"weight": 2}, Comparison(0, 1, weight=2.0)),
        ({"probability": 0.8}, Comparison(0, 1, probability=0.8)),
        ({"soft_label": 0.5}, Comparison(0, 1, probability=0.5)),
        ({"probability": 0.25, "margin": 1}, Comparison(1, 0, margin=1.0, probability=0.75)),
    ],
)
def test_optional_columns_of_pairs(columns: dict, expected: Comparison) -> None:
    found = group(PAIR | columns)
    assert found.comparisons == (expected,)
    assert found.responses == says("Blue.", "No.")


def test_strength_margins_lie_on_the_scale_of_four_steps() -> None:
    assert sorted(set(STRENGTH_MARGINS.values())) == [0.0, 1 / 3, 2 / 3, 1.0]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [({"id": "x1"}, "x1"), ({"pair_id": 5}, "5"), ({"prompt_id": "p", "id": ""}, "p"), ({}, WHERE)],
)
def test_the_datas_own_id_is_used_where_there_is_one(columns: dict, expected: str) -> None:
    assert group(PAIR | columns).id == expected


def test_system_column_becomes_the_first_message() -> None:
    assert group(PAIR | {"system": "Be kind."}).prompt == (Message("system", "Be kind."), *PROMPT)
    assert group(PAIR | {"system": ""}).prompt == PROMPT


def test_unused_columns_are_named_and_empty_ones_are_not() -> None:
    assert parse(PAIR | {"colour": "web", "extra": None, "id": 1})[1].notes == ("unused-column: colour",)


@pytest.mark.parametrize("values", [PAIR, {"prompt": "Say it.", "responses": ["a", "b"], "ranks": [1, 2]}])
def test_comparisons_are_kept_where_they_are_not_required(values: dict) -> None:
    assert len(parse(values, require_comparisons=False)[1].groups[0].comparisons) == 1


def test_format_names_are_the_documented_ones() -> None:
    import palate.data.formats as module

    documented = module.__doc__ or ""
    assert [one.name for one in FORMATS if one.name not in documented] == []


def read(tmp_path: Path, rows: list[dict], **settings: object) -> PreferenceData:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_preferences(str(path), **settings)  # type: ignore[arg-type]


def test_a_file_may_mix_formats_and_the_summary_says_so(tmp_path: Path) -> None:
    ranked = {"prompt": "Say it.", "responses": ["a", "b", "c"], "ranks": [1, 2, 3], "topic": "x"}
    data = read(tmp_path, [PAIR, ranked, PAIR])
    assert data.formats == {"pair-standard": 2, "ranked": 1}
    assert data.summary() == (
        "3 rows of formats pair-standard 2, ranked 1 -> 3 groups, 5 comparisons; unused columns: topic"
    )


def test_repeated_ids_are_noted_and_made_unique(tmp_path: Path) -> None:
    data = read(tmp_path, [PAIR | {"id": "x"}, PAIR | {"id": "x"}, PAIR | {"id": "y"}])
    assert [one.id for one in data.groups] == ["x", f"x@{tmp_path}/rows.jsonl:2", "y"]
    assert data.notes == {"duplicate-id": 1}
