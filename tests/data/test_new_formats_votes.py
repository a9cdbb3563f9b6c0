"""Judgements out of annotation tools and tables: who voted, for what, on which side it stood, and how long it took."""

import csv
import json
from itertools import combinations
from pathlib import Path

import pytest

from palate.data.formats import recognise
from palate.data.parse import ParsedRow, parse_rows
from palate.data.read import PreferenceData, read_preferences
from palate.data.textfiles import RawRow
from palate.errors import DataError
from palate.records import Comparison, Message, PreferenceGroup, Vote

WHERE = "tasks.json:1"
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


def read(path: Path, *rows: dict, **settings: object) -> PreferenceData:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_preferences(str(path), **settings)  # type: ignore[arg-type]


# ---- the votes of palate's own shape


def test_votes_know_what_stood_first_and_how_long_they_took() -> None:
    votes = [
        "a",
        {"annotator": "w", "value": "b", "seconds": "2.5"},
        {"annotator": 7, "value": "tie", "first": "b"},
        {"annotator": 8.0, "value": "a", "first": None, "seconds": 0},
    ]
    found = group({"prompt": "Name a colour.", "response_a": "Blue.", "response_b": "Red.", "votes": votes})
    assert found.comparisons[0].votes == (
        Vote(f"{WHERE}#1", 0, 0),
        Vote("w", 1, 0, 2.5),
        Vote("7", None, 1),
        Vote("8", 0, None, 0.0),
    )


# ---- Label Studio


def selected(side: str) -> dict:
    return {
        "id": "x",
        "from_name": "comparison",
        "to_name": "comparison",
        "type": "pairwise",
        "value": {"selected": side},
    }


TIE = {"from_name": "tie", "to_name": "prompt", "type": "choices", "value": {"choices": ["Tie"]}}


def task(*annotations: dict, **data: object) -> dict:
    shown = {"prompt": "Name a colour.", "answer1": "Blue.", "answer2": "Red."}
    return {"id": 5, "data": shown | data, "annotations": list(annotations), "created_at": "2024-05-01"}


def annotation(*results: dict, **fields: object) -> dict:
    return {"id": 7, "completed_by": 3, "result": list(results), "was_cancelled": False, "lead_time": 12.4} | fields


def test_label_studio_votes() -> None:
    votes = (
        annotation(selected("right")),
        annotation(selected("left"), completed_by={"id": 4, "email": "ann@example.org"}, lead_time=None),
        annotation(selected("left"), TIE, completed_by={"id": 9}),
        annotation(TIE, completed_by="bob"),
    )
    name, parsed = parse(task(*votes))
    (found,) = parsed.groups
    assert (name, found.id, found.time, found.prompt) == ("label-studio", "5", "2024-05-01", PROMPT)
    assert found.responses == says("Blue.", "Red.")
    assert found.comparisons == (
        Comparison(
            0,
            1,
            probability=0.5,
            votes=(
                Vote("3", 1, 0, 12.4),
                Vote("ann@example.org", 0, 0, None),
                Vote("9", None, 0, 12.4),
                Vote("bob", None, 0, 12.4),
            ),
        ),
    )
    assert parsed.notes == ()


def test_cancelled_and_empty_annotations_do_not_count_and_are_noted() -> None:
    rating = {"from_name": "how", "type": "rating", "value": {"rating": 4}}
    votes = (
        annotation(selected("left"), was_cancelled=True),
        annotation(),
        annotation(selected("left"), skipped=True),
        annotation(selected("right"), rating, completed_by=4),
    )
    _, parsed = parse(task(*votes))
    assert parsed.groups[0].comparisons == (Comparison(1, 0, votes=(Vote("4", 1, 0, 12.4),)),)
    assert parsed.notes == ("cancelled-annotation", "empty-annotation", "unread-result: rating")


def test_an_annotation_that_nobody_signed_is_a_label() -> None:
    unsigned = annotation(selected("right"), completed_by=None, ground_truth=True)
    assert group(task(unsigned)).comparisons == (Comparison(1, 0),)
    signed = annotation(selected("left"))
    assert group(task(unsigned, signed)).comparisons == (Comparison(0, 1, votes=(Vote("3", 0, 0, 12.4),)),)


def test_a_task_that_nobody_judged_can_only_be_scored() -> None:
    for row in (task(), task(annotation(selected("left"), was_cancelled=True)), {"data": task()["data"]}):
        assert parse(row, require_comparisons=False)[1].groups[0].comparisons == ()
        with pytest.raises(DataError, match="no response is compared"):
            parse(row)


@pytest.mark.parametrize("names", [("response_a", "response_b"), ("left", "right"), ("text1", "text2")])
def test_the_texts_of_a_task_may_have_other_names(names: tuple[str, str]) -> None:
    data = {"question": "Name a colour.", names[0]: "Blue.", names[1]: ""}
    found = group({"data": data | {"source": "web", "id": "q-1"}, "annotations": [annotation(selected("left"))]})
    assert (found.id, found.source, found.prompt, found.responses) == ("q-1", "web", PROMPT, says("Blue.", ""))


def test_predictions_of_models_are_no_judgements() -> None:
    row = task(annotation(selected("left"))) | {"predictions": [{"result": [selected("right")]}]}
    assert group(row).comparisons[0].winner == 0


@pytest.mark.parametrize(
    ("verdict", "preferred"),
    [
        ({"comparison": "right"}, 1),
        ({"comparison": {"selected": "left"}}, 0),
        ({"comparison": [{"selected": "right"}]}, 1),
        ({"tie": "tie"}, None),
        ({"comparison": "left", "tie": "tie"}, None),
    ],
)
def test_json_min_has_a_row_for_each_annotation(tmp_path: Path, verdict: dict, preferred: int | None) -> None:
    shown = {"prompt": "Name a colour.", "answer1": "Blue.", "answer2": "Red.", "id": 5}
    row = shown | {"annotator": 3, "annotation_id": 1, "lead_time": 2.0, "created_at": "2024", "updated_at": "2024"}
    other = shown | {"id": 6, "comparison": "left", "annotator": "a@b.c", "annotation_id": 2, "lead_time": 1}
    data = read(tmp_path / "min.jsonl", row | verdict, other, row | {"comparison": "left", "annotator": 4})
    assert (data.rows, data.formats, data.notes) == (3, {"label-studio-min": 3}, {})
    first, second = data.groups
    assert (first.id, first.prompt, first.responses) == ("5", PROMPT, says("Blue.", "Red."))
    assert first.comparisons[0].votes == (Vote("3", preferred, 0, 2.0), Vote("4", 0, 0, 2.0))
    assert second.comparisons[0].votes == (Vote("a@b.c", 0, 0, 1.0),)


@pytest.mark.parametrize(("first", "index"), [("right", 1), ("unknown", None), ("left", 0)])
def test_a_task_may_say_which_side_was_seen_first(first: str, index: int | None) -> None:
    assert group(task(annotation(selected("left")), first=first)).comparisons[0].votes[0].first == index


# ---- Argilla


def record(*answers: dict, **fields: str) -> dict:
    shown = {"instruction": "Name a colour.", "response1": "Blue.", "response2": "Red.", "response3": "Dog."} | fields
    about = {"metadata": {"source": "web", "models": ["x", "y", "z"]}, "vectors": {}, "status": "completed"}
    return {"id": "q-1", "fields": shown, **about, "suggestions": {}, "responses": {"ranking": list(answers)}}


def answer(value: object, user: str | None = "u1", status: str | None = "submitted") -> dict:
    return {"value": value, "user_id": user, "status": status}


RANKED = [{"value": "response2", "rank": 1}, {"value": "response1", "rank": 2}, {"value": "response3", "rank": 2}]


def test_argilla_rankings_are_votes_on_every_pair() -> None:
    names = ["response1", "response2", "response3"]
    name, parsed = parse(record(answer(RANKED), answer(names, "u2"), {"value": names, "user_id": "u3"}))
    (found,) = parsed.groups
    assert (name, found.id, found.source, found.models) == ("argilla", "q-1", "web", ("x", "y", "z"))
    assert (found.prompt, found.responses, parsed.notes) == (PROMPT, says("Blue.", "Red.", "Dog."), ())
    pairs = {(min(c.winner, c.loser), max(c.winner, c.loser)): c for c in found.comparisons}
    assert list(pairs) == [(0, 1), (0, 2), (1, 2)]
    assert [vote.preferred for vote in pairs[0, 1].votes] == [1, 0, 0]
    assert [vote.preferred for vote in pairs[0, 2].votes] == [None, 0, 0]
    assert [vote.preferred for vote in pairs[1, 2].votes] == [1, 1, 1]
    assert pairs[0, 2].probability == pytest.approx(5 / 6)
    assert {vote.annotator for vote in pairs[0, 1].votes} == {"u1", "u2", "u3"}
    assert all(vote.first is None for one in found.comparisons for vote in one.votes)


def test_drafts_are_no_answers_and_partial_rankings_say_what_they_say() -> None:
    drafts = answer(RANKED, "u2", "draft"), answer(RANKED, "u3", "discarded")
    _, parsed = parse(record(answer(["response3", "response1"]), *drafts))
    assert parsed.groups[0].comparisons == (Comparison(2, 0, votes=(Vote("u1", 2),)),)
    assert parsed.notes == ("unsubmitted-answer",)


def test_an_answer_that_nobody_signed_is_a_label() -> None:
    assert group(record(answer(["response1", "response2"], None))).comparisons == (Comparison(0, 1),)


def test_flattened_records_say_the_same() -> None:
    nested = record(answer(RANKED), answer(["response1", "response2"], "u2"), answer(RANKED, "u3", "draft"))
    flat = nested["fields"] | {"id": "q-1", "status": "completed", "_server_id": "s", "source": "web"}
    flat |= {"models": ["x", "y", "z"], "ranking.responses": [RANKED, ["response1", "response2"], RANKED]}
    flat |= {"ranking.responses.users": ["u1", "u2", "u3"]}
    flat |= {"ranking.responses.status": ["submitted", "submitted", "draft"]}
    name, parsed = parse(flat)
    assert (name, parsed) == ("argilla-flat", parse(nested)[1])


def test_a_record_without_answers_can_only_be_scored() -> None:
    for row in (record(), record() | {"responses": {}}):
        assert len(parse(row, require_comparisons=False)[1].groups[0].responses) == 3
        with pytest.raises(DataError, match="no response is compared"):
            parse(row)


# ---- a table of votes


def cast(task: object, annotator: str, left: str, right: str, label: str, **more: object) -> dict:
    return {"task": task, "annotator": annotator, "left": left, "right": right, "label": label, **more}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_rows_of_a_task_stand_anywhere_and_sides_may_change(tmp_path: Path, ending: str) -> None:
    rows = [
        cast("t9", "ann", "Blue.", "Red.", "left", prompt="Name a colour.", seconds=3.5),
        cast("t2", "ann", "yes", "no", "equal", prompt="Well?", seconds=""),
        cast("t9", "bob", "Red.", "Blue.", "LEFT", prompt="Name a colour.", seconds=""),
        cast("t9", "eve", "Blue.", "Red.", "Blue.", prompt="Name a colour.", seconds=1),
    ]
    data = read(tmp_path / f"votes.{ending}", *rows)
    assert (data.rows, data.formats, data.notes) == (4, {"votes-table": 4}, {})
    first, second = data.groups
    assert (first.id, first.prompt, first.responses) == ("t9", PROMPT, says("Blue.", "Red."))
    votes = (Vote("ann", 0, 0, 3.5), Vote("bob", 1, 1), Vote("eve", 0, 0, 1.0))
    assert first.comparisons == (Comparison(0, 1, probability=pytest.approx(2 / 3), votes=votes),)
    assert (second.id, second.comparisons[0].probability) == ("t2", 0.5)


def test_a_table_may_do_without_prompts_and_annotators_and_compare_more_than_two(tmp_path: Path) -> None:
    rows = [cast(1, "", "a", "b", "left"), cast(1, "", "c", "b", "tie"), cast(1, "", "c", "a", "left")]
    (found,) = read(tmp_path / "votes.csv", *rows).groups
    assert (found.id, found.prompt, found.responses) == ("1", (), says("a", "b", "c"))
    assert found.comparisons == (Comparison(0, 1), Comparison(1, 2, probability=0.5), Comparison(2, 0))


def test_a_table_knows_models_and_workers(tmp_path: Path) -> None:
    row = {"task": "t", "worker": 4, "left": "a", "right": "b", "label": "right", "subset": "s"}
    models = {"left_model": "x", "right_model": "y"}
    swapped = row | {"left": "b", "right": "a", "left_model": "y", "right_model": "x", "worker": 5}
    data = read(tmp_path / "votes.jsonl", row | models, swapped)
    (found,) = data.groups
    assert (found.models, found.source, data.notes) == (("x", "y"), "s", {})
    assert found.comparisons[0].votes == (Vote("4", 1, 0), Vote("5", 0, 1))


@pytest.mark.parametrize(("first", "index"), [("left", 0), ("right", 1), ("unknown", None), ("", 0)])
def test_a_row_may_say_which_side_was_seen_first(tmp_path: Path, first: str, index: int | None) -> None:
    (found,) = read(tmp_path / "votes.csv", cast("t", "ann", "a", "b", "left", first=first)).groups
    assert found.comparisons[0].votes == (Vote("ann", 0, index),)


def test_one_bad_vote_leaves_the_others_of_its_task(tmp_path: Path) -> None:
    rows = [cast("t", "ann", "a", "b", "left"), cast("t", "bob", "a", "b", "maybe"), cast("t", "eve", "a", "b", "left")]
    with pytest.raises(DataError, match=r"votes\.jsonl:2: label: unknown label 'maybe'; known are left, right, tie"):
        read(tmp_path / "votes.jsonl", *rows)
    data = read(tmp_path / "votes.jsonl", *rows, on_bad_row="skip")
    assert [vote.annotator for vote in data.groups[0].comparisons[0].votes] == ["ann", "eve"]
    assert (data.rows, [one.where for one in data.dropped]) == (3, [f"{tmp_path}/votes.jsonl:2"])


def test_a_task_with_two_prompts_is_left_out_whole_and_says_so(tmp_path: Path) -> None:
    rows = [cast("t", "ann", "a", "b", "left", prompt=prompt) for prompt in ("p", "p", "q")]
    data = read(tmp_path / "votes.jsonl", *rows, cast("u", "ann", "a", "b", "left"), on_bad_row="skip")
    assert ([one.id for one in data.groups], data.rows) == (["u"], 4)
    (dropped,) = data.dropped
    assert (dropped.where, dropped.field) == (f"{tmp_path}/votes.jsonl:3", "prompt")
    assert "differs from the prompt of the same task at" in dropped.message
    assert dropped.message.endswith("(with all 3 rows of its group)")


def test_tasks_of_different_files_are_different_tasks(tmp_path: Path) -> None:
    for name in ("a", "b"):
        read(tmp_path / f"{name}.jsonl", cast(1, "ann", f"{name}1", f"{name}2", "left"))
    data = read_preferences(str(tmp_path))
    assert [len(one.responses) for one in data.groups] == [2, 2]
    assert data.notes == {"duplicate-id": 1}


def test_max_groups_counts_gathered_groups_too(tmp_path: Path) -> None:
    rows = [cast(f"t{number % 3}", "ann", "a", "b", "left") for number in range(9)]
    data = read(tmp_path / "votes.jsonl", *rows, max_groups=2)
    assert [(one.id, len(one.comparisons[0].votes)) for one in data.groups] == [("t0", 3), ("t1", 3)]


def test_gathered_rows_may_stand_among_others(tmp_path: Path) -> None:
    pair = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}
    rows = [cast("t", "ann", "a", "b", "left"), pair, cast("t", "bob", "a", "b", "left"), pair | {"id": "x"}]
    data = read(tmp_path / "mixed.jsonl", *rows)
    assert [one.where.rpartition(":")[2] for one in data.groups] == ["2", "4", "1"]
    assert data.formats == {"pair-standard": 2, "votes-table": 2}


# ---- published sets


def test_squality_votes_are_the_signs_of_the_ratings() -> None:
    def summary(text: str, *ratings: float) -> dict:
        reviews = [{"worker_id": str(n), "overall-rating": rating} for n, rating in enumerate(ratings)]
        return {"response": text, "reviews": reviews}

    answers = {"bart": summary("a", 10, 50, 40), "dpr": summary("b", 30, 50, 50), "human": summary("c", 90, 40)}
    name, parsed = parse({"passage-id": "51", "questions": {"0": answers}})
    (found,) = parsed.groups
    assert (name, found.id, found.models, found.responses) == ("votes-squality", "51-0", tuple(answers), says(*"abc"))
    first, second, third = found.comparisons
    votes = (Vote("0", 1), Vote("1", None), Vote("2", 1))
    assert first == Comparison(1, 0, margin=pytest.approx(0.1), probability=pytest.approx(5 / 6), votes=votes)
    assert second == Comparison(0, 2, probability=0.5, votes=(Vote("0", 2), Vote("1", 0)))
    assert (third.winner, third.votes) == (1, (Vote("0", 2), Vote("1", 1)))


def test_squality_agrees_with_its_published_figure(real_data: Path) -> None:
    data = read_preferences(str(real_data / "squality_human_eval/all-responses.jsonl.gz"))
    assert (data.rows, len(data.groups), data.formats) == (20, 100, {"votes-squality": 20})
    comparisons = [one for group in data.groups for one in group.comparisons]
    assert (len(comparisons), {group.models for group in data.groups}) == (300, {("bart", "bart-dpr", "human")})
    assert len({group.prompt_hash for group in data.groups}) == 100
    pairs = [pair for one in comparisons for pair in combinations(one.votes, 2)]
    decided = [(a, b) for a, b in pairs if None not in (a.preferred, b.preferred)]
    agreement = sum(a.preferred == b.preferred for a, b in decided) / len(decided)
    assert (len(decided), agreement) == (867, pytest.approx(0.887, abs=5e-4))
    assert all(0 <= one.margin <= 1 for one in comparisons)
    human = [one for one in comparisons if 2 in (one.winner, one.loser) and not one.is_tie]
    assert sum(one.winner == 2 for one in human) / len(human) > 0.95


def test_origins_of_the_published_sets(real_data: Path) -> None:
    pandalm = read_preferences(str(real_data / "pandalm/testset-v1.json.gz"), max_groups=2)
    assert [group.models for group in pandalm.groups] == [("bloom-7b", "llama-7b"), ("bloom-7b", "opt-7b")]
    assert {group.source for group in pandalm.groups} == {"Grammarly"}
    ukp = read_preferences(str(real_data / "ukpconvarg1/pairs.jsonl.gz"))
    assert len({group.source for group in ukp.groups}) == 32
    assert all(vote.first is None is vote.seconds for group in ukp.groups for vote in group.comparisons[0].votes)


@pytest.mark.parametrize("document", [task(annotation(selected("left"))), record(answer(RANKED))])
def test_a_json_document_may_be_one_task_or_one_record(tmp_path: Path, document: dict) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps(document, indent=2))
    assert len(read_preferences(str(path)).groups) == 1
