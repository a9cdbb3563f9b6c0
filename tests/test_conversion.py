"""`palate data convert` as a function: what it writes, what it counts, what it refuses."""

import json
import re
from pathlib import Path

import pytest

import palate.conversion
from palate.conversion import ConvertResult, convert
from palate.data.load import read_groups
from palate.data.rows import group_to_row
from palate.data.writers.targets import TARGETS
from palate.errors import ConfigError, DataError
from palate.records import Comparison, Message, PreferenceGroup

PAIR = {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "No."}


def write(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_conversion_says_what_it_did(tmp_path: Path) -> None:
    tie = {"prompt": "Say it.", "responses": ["a", "b", "c"], "ranks": [1, 1, 2]}
    source = write(tmp_path / "in.jsonl", PAIR | {"margin": 0.5, "id": "x"}, tie)
    seen: list[tuple[int, int]] = []
    done = convert(source, to="trl", out=str(tmp_path / "out.csv"), on_progress=lambda *step: seen.append(step))
    assert isinstance(done, ConvertResult)
    assert (done.out, done.rows) == (tmp_path / "out.csv", 3)
    assert done.lost == {"left-out: tie": 1, "split-group": 1}
    assert (done.report.groups, done.report.formats) == (2, {"pair-standard": 1, "ranked": 1})
    assert seen == [(2, 2)]
    assert done.summary().startswith("2 groups, 4 comparisons -> 3 rows in ")
    figures = json.loads((tmp_path / "out.csv.summary.json").read_text())
    assert (figures["rows"], figures["lost"], figures["read"]["groups"]) == (3, done.lost, 2)
    expected = "prompt,chosen,rejected,margin,id\nName a colour.,Blue.,No.,0.5,x\nSay it.,a,c,0.0,\nSay it.,b,c,0.0,\n"
    assert (tmp_path / "out.csv").read_text() == expected


def test_columns_that_no_group_fills_are_left_away_from_every_row(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", PAIR | {"subset": "s"}, PAIR)
    convert(source, to="trl", out=str(tmp_path / "out.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [list(row) for row in rows] == [["prompt", "chosen", "rejected", "source"]] * 2
    assert [row["source"] for row in rows] == ["s", ""]


def test_bad_rows_stop_it_before_anything_is_written_or_are_listed(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", PAIR, PAIR | {"chosen": ""}, PAIR)
    out = tmp_path / "new" / "out.jsonl"
    with pytest.raises(DataError, match=r"in\.jsonl:2: chosen"):
        convert(source, to="trl", out=str(out))
    assert not out.parent.exists()
    done = convert(source, to="trl", out=str(out), on_bad_row="skip")
    assert (done.rows, [row.where for row in done.report.dropped]) == (2, [f"{source}:2"])
    (listed,) = (out.parent / "out.jsonl.dropped.jsonl").read_text().splitlines()
    assert json.loads(listed)["reason"] == "empty-response"


def test_max_groups_and_folders_and_the_built_in_set(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        write(folder / f"{name}.jsonl", PAIR, PAIR)
    assert convert(str(folder), to="hh", out=str(tmp_path / "out.jsonl"), max_groups=3).rows == 3
    assert convert("simulated:12", to="palate", out=str(tmp_path / "sim.json")).rows == 12
    assert len(read_groups(str(tmp_path / "sim.json")).groups) == 12


@pytest.mark.parametrize(
    ("to", "out", "says"),
    [
        ("dpo", "out.jsonl", "to is 'dpo'; palate writes palate, trl, "),
        ("trl", "out.txt", "trl can be written as .jsonl, .json, .csv, .parquet"),
        ("palate", "out.parquet", "palate can be written as .jsonl, .json"),
        ("rm-bench", "out.csv", "rm-bench can be written as .jsonl, .json, .parquet"),
        ("trl", "in.jsonl", "which is part of what is read"),
        ("trl", "./x/../in.jsonl", "which is part of what is read"),
        ("trl", "link.jsonl", "which is part of what is read"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, out: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    before = write(tmp_path / "in.jsonl", PAIR)
    (tmp_path / "link.jsonl").symlink_to("in.jsonl")
    with pytest.raises(ConfigError, match=re.escape(says)):
        convert("in.jsonl", to=to, out=out)
    assert json.loads(Path(before).read_text()) == PAIR


def test_a_file_inside_the_folder_that_is_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", PAIR)
    with pytest.raises(ConfigError, match="part of what is read"):
        convert(str(tmp_path), to="trl", out=str(tmp_path / "deep" / "out.jsonl"))


def test_nothing_to_write_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", PAIR)
    with pytest.raises(DataError, match=r"nothing of it can be written as votes \(left-out: no-votes 1\)") as caught:
        convert(source, to="votes", out=str(tmp_path / "out.jsonl"))
    assert caught.value.reason == "nothing-written"
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.jsonl"]


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("old")
    convert(write(tmp_path / "in.jsonl", PAIR), to="trl", out=str(tmp_path / "out.jsonl"))
    assert json.loads((tmp_path / "out.jsonl").read_text()) == PAIR


# ---- predictions


def scored(tmp_path: Path, *lines: dict) -> str:
    return write(tmp_path / "rm-3.jsonl", *lines)


GROUPS = ({"prompt": "a?", "responses": ["x", "y", "z"], "id": "one"}, {"prompt": "b?", "response": "w", "id": "two"})
LINES = ({"id": "one", "where": "f:1", "rewards": [1.0, 3.0, 2.0]}, {"id": "two", "where": "f:2", "rewards": [0.5]})


def test_predictions_go_along(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *GROUPS)
    out = tmp_path / "tasks.json"
    done = convert(source, to="label-studio", out=str(out), predictions=scored(tmp_path, *LINES))
    tasks = json.loads(out.read_text())
    assert [task["predictions"][0]["model_version"] for task in tasks] == ["rm-3"] * 3
    sides = [task["predictions"][0]["result"][0]["value"]["selected"] for task in tasks]
    assert (sides, done.lost) == (["right", "right", "left"], {"left-out: one-response": 1, "split-group": 1})


def test_groups_without_rewards_are_counted(tmp_path: Path) -> None:
    lines = {"id": "one", "rewards": None, "reason": "over-long"}, LINES[1]
    source, out = write(tmp_path / "in.jsonl", *GROUPS), tmp_path / "records.jsonl"
    done = convert(source, to="argilla", out=str(out), predictions=scored(tmp_path, *lines))
    assert json.loads(out.read_text())["suggestions"] == {}
    assert done.lost == {"prediction": 1, "left-out: one-response": 1}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (LINES[:1], "in.jsonl:2: the predictions end before group two"),
        ((*LINES, LINES[0]), "rm-3.jsonl:3: predictions go on after the last group"),
        (LINES[::-1], "rm-3.jsonl:1: the predictions are of 'two' here, the data of 'one'"),
        (({"id": "one", "rewards": [1.0, 2.0]},), "rm-3.jsonl:1: rewards: not one number for each of 3 responses"),
        (({"id": "one", "rewards": [1.0, 2.0, float("nan")]},), "rewards: not one number"),
        (({"id": "one"},), "the predictions are of 'one' here"),
    ],
)
def test_predictions_of_other_data_are_refused(tmp_path: Path, lines: tuple, says: str) -> None:
    source = write(tmp_path / "in.jsonl", *GROUPS)
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        convert(source, to="label-studio", out=str(tmp_path / "o.json"), predictions=scored(tmp_path, *lines))
    assert caught.value.reason == "predictions-differ"
    assert not (tmp_path / "o.json").exists()


def test_a_broken_line_of_predictions_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("{\n")
    source = write(tmp_path / "in.jsonl", *GROUPS)
    with pytest.raises(DataError, match=r"p\.jsonl:1: not JSON"):
        convert(source, to="argilla", out=str(tmp_path / "o.json"), predictions=str(tmp_path / "p.jsonl"))


def test_predictions_are_refused_where_they_cannot_go_along_or_would_be_overwritten(tmp_path: Path) -> None:
    source, lines = write(tmp_path / "in.jsonl", *GROUPS), scored(tmp_path, *LINES)
    with pytest.raises(ConfigError, match=r"trl has no place for predictions; .* one of label-studio, "):
        convert(source, to="trl", out=str(tmp_path / "o.jsonl"), predictions=lines)
    with pytest.raises(ConfigError, match="part of what is read"):
        convert(source, to="argilla", out=lines, predictions=lines)


def test_every_loss_is_documented(tmp_path: Path) -> None:
    """Whatever a writer counts has a line in the table of this module."""
    used = set()
    for path in sorted((Path(palate.conversion.__file__).parent / "data" / "writers").glob("*.py")):
        text = path.read_text()
        used |= set(re.findall(r'lose\(\s*"([\w-]+)"', text)) | set(re.findall(r'leave_out\(\s*"([\w-]+)"', text))
    table = re.findall(r"^\| ([^|]+) \|", palate.conversion.__doc__ or "", re.MULTILINE)
    documented = {name.removeprefix("left-out: ") for row in table for name in row.split(", ")}
    assert used - documented == set()
    assert len(used) > 15


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Groups are never held: only the writer of Parquet holds a batch of rows."""
    import tracemalloc

    def peak(number: int) -> int:
        path = tmp_path / f"{number}.jsonl"
        with path.open("w") as file:
            for n in range(number):
                group = PreferenceGroup(
                    f"g{n}",
                    (Message("user", f"{n} {'word ' * 100}"),),
                    tuple((Message("assistant", f"{n} {side} {'text ' * 100}"),) for side in "ab"),
                    (Comparison(0, 1),),
                )
                file.write(json.dumps(group_to_row(group)) + "\n")
        tracemalloc.start()
        convert(str(path), to="votes-table", out=str(tmp_path / "out.jsonl"))
        read_groups_one_by_one(tmp_path / "out.jsonl")
        _, high = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return high

    assert peak(1200) - peak(300) < 400_000  # the difference in text is 1.4 MB


def read_groups_one_by_one(path: Path) -> None:
    from palate.data.load import stream_groups

    for _ in stream_groups(str(path)):
        pass


def test_targets_have_names_and_endings() -> None:
    assert all(name == target.name for name, target in TARGETS.items())
    assert all(set(target.endings) <= {".jsonl", ".json", ".csv", ".parquet"} for target in TARGETS.values())


def test_the_list_of_an_earlier_run_does_not_stay(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    convert(write(tmp_path / "in.jsonl", PAIR, PAIR | {"chosen": ""}), to="trl", out=str(out), on_bad_row="skip")
    assert (tmp_path / "out.jsonl.dropped.jsonl").exists()
    convert(write(tmp_path / "in.jsonl", PAIR), to="trl", out=str(out))
    assert not (tmp_path / "out.jsonl.dropped.jsonl").exists()


def test_data_of_bad_rows_alone_is_not_blamed_on_the_format(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", PAIR | {"chosen": ""})
    with pytest.raises(DataError, match="no group in it can be read"):
        convert(source, to="trl", out=str(tmp_path / "out.jsonl"), on_bad_row="skip")


@pytest.mark.parametrize("text", ["a\rb", "\r", "a\r\nb", "a,b"])
def test_every_line_break_survives_a_table(tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.csv"
    convert(write(tmp_path / "in.jsonl", PAIR | {"chosen": f"x{text}y", "margin": 0.5}, PAIR), to="trl", out=str(out))
    first, second = read_groups(str(out)).groups
    assert first.responses[0][0].content == f"x{text}y"
    assert first.comparisons[0].margin == 0.5
    assert second.responses[0][0].content == "Blue."


def test_rewards_beyond_any_float_are_refused(tmp_path: Path) -> None:
    scores = write(tmp_path / "scores.jsonl", {"id": "x", "rewards": [10**400, 1]})
    source = write(tmp_path / "in.jsonl", PAIR | {"id": "x"})
    with pytest.raises(DataError, match="not one number for each"):
        convert(source, to="argilla", out=str(tmp_path / "out.jsonl"), predictions=scores)
