"""Where rows come from, and what is said when they do not come."""

import csv
import gzip
import io
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from palate.data.read import read_preferences
from palate.data.sources import read_rows
from palate.data.textfiles import RawRow, RowOrFault
from palate.errors import DataError

ROWS = [
    {"prompt": "Name a colour.", "chosen": "Blue, say.", "rejected": "No.", "margin": 0.5},
    {
        "prompt": "Ein Tier?",
        "chosen": "Ein Bär,\n„zum Beispiel“.",
        "rejected": "Nein. \u2028 Nie.",
        "margin": 0.25,
    },
]


def jsonl(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(rows: list[dict], delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def save(path: Path, text: str) -> str:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def good(rows: list[RowOrFault]) -> list[RawRow]:
    assert all(isinstance(row, RawRow) for row in rows)
    return [row for row in rows if isinstance(row, RawRow)]


TEXTS = {
    "jsonl": jsonl(ROWS),
    "json": json.dumps(ROWS, indent=1),
    "csv": table(ROWS),
    "tsv": table(ROWS, "\t"),
}


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("kind", TEXTS)
def test_every_text_format_gives_the_same_groups(tmp_path: Path, kind: str, gz: str) -> None:
    source = save(tmp_path / f"prefs.{kind}{gz}", TEXTS[kind])
    data = read_preferences(source)
    expected = read_preferences(save(tmp_path / "expected.jsonl", jsonl(ROWS)))
    assert [(g.prompt, g.responses, g.comparisons) for g in data.groups] == [
        (g.prompt, g.responses, g.comparisons) for g in expected.groups
    ]
    assert [g.comparisons[0].margin for g in data.groups] == [0.5, 0.25]
    assert data.formats == {"pair-standard": 2}


def test_parquet_gives_the_same_values_with_row_numbers(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    source = str(tmp_path / "prefs.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS * 1000), source)
    rows = good(list(read_rows(source)))
    assert [row.values for row in rows[:2]] == ROWS
    assert rows[-1].where == f"{source}:2000"


@pytest.mark.parametrize(
    "text",
    [
        jsonl(ROWS),
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"version": 1, "data": ROWS}, indent=2),
        "\n  " + json.dumps(ROWS),
    ],
)
def test_json_may_be_lines_or_an_object_with_one_list(tmp_path: Path, text: str) -> None:
    assert [row.values for row in good(list(read_rows(save(tmp_path / "a.json", text))))] == ROWS


def test_json_object_that_is_a_row_is_one_row_even_if_it_holds_lists(tmp_path: Path) -> None:
    row = {"prompt": [{"role": "user", "content": "Hi"}], "response": "Hello"}
    (only,) = good(list(read_rows(save(tmp_path / "a.json", json.dumps(row)))))
    assert only.values == row


def test_where_is_the_path_as_given_and_the_line_on_which_the_record_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.csv", 'prompt,chosen,rejected\n"one\ntwo",b,c\n\nd,e,f\n')
    save(tmp_path / "a.jsonl", "\n" + jsonl(ROWS[:1]) + "\n" + jsonl(ROWS[1:]))
    assert [row.where for row in good(list(read_rows("a.csv")))] == ["a.csv:2", "a.csv:5"]
    assert [row.where for row in good(list(read_rows("./a.jsonl")))] == ["./a.jsonl:2", "./a.jsonl:4"]


def test_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    (row,) = good(list(read_rows(save(tmp_path / "a.csv", "\ufeffprompt,chosen\na,b\n"))))
    assert row.values == {"prompt": "a", "chosen": "b"}


def test_lists_in_table_cells_are_decoded_and_lookalikes_are_not(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Sort 3 1 2."}]
    cells = {
        "prompt": json.dumps(messages),
        "responses": '["a", "b"]',
        "scores": "[1, 2]",
        "chosen": "[1, 2, 3]",
    }
    (row,) = good(list(read_rows(save(tmp_path / "a.csv", table([cells])))))
    assert row.values == {
        "prompt": messages,
        "responses": ["a", "b"],
        "scores": [1, 2],
        "chosen": "[1, 2, 3]",
    }


def test_cells_longer_than_the_csv_default_are_read(tmp_path: Path) -> None:
    (row,) = good(list(read_rows(save(tmp_path / "a.csv", f"prompt\n{'x' * 200_000}\n"))))
    assert len(row.values["prompt"]) == 200_000


def test_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "b").mkdir(parents=True)
    (folder / "c").mkdir()
    (folder / ".cache").mkdir()
    save(folder / "b" / "2.jsonl.gz", jsonl(ROWS[1:]))
    save(folder / "a.csv", table(ROWS[:1]))
    save(folder / "README.md", "not data")
    save(folder / "a.csv.summary.json", "{}")
    save(folder / "a.csv.dropped.jsonl", "{}")
    save(folder / ".cache" / "old.jsonl", jsonl(ROWS))
    for name in "zwyxv":
        save(folder / "c" / f"{name}.jsonl", jsonl(ROWS[:1]))
    rows = good(list(read_rows(str(folder))))
    expected = ["a.csv:2", "b/2.jsonl.gz:1", *(f"c/{name}.jsonl:1" for name in "vwxyz")]
    assert [row.where for row in rows] == [f"{folder}/{place}" for place in expected]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_text_is_read_lazily(tmp_path: Path, name: str) -> None:
    """A fault far down the file must not be met by someone who reads only its head."""
    text = jsonl(ROWS[:1] * 3) if name.endswith("jsonl") else table(ROWS[:1] * 3)
    source = tmp_path / name
    source.write_bytes(text.encode() + b"\xff\n")
    assert read_preferences(str(source), max_groups=3).rows == 3
    with pytest.raises(DataError, match="not UTF-8"):
        read_preferences(str(source), max_groups=4)


def test_parquet_is_read_lazily_and_says_where_it_breaks(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    source = tmp_path / "a.parquet"
    rows = [{"prompt": f"prompt {i}", "response": f"response {i}"} for i in range(5000)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), source, row_group_size=1024, compression="zstd")
    page = parquet.read_metadata(source).row_group(4).column(0).data_page_offset
    data = bytearray(source.read_bytes())
    data[page : page + 200] = b"\xff" * 200
    source.write_bytes(data)
    assert len(list(itertools.islice(read_rows(str(source)), 4096))) == 4096
    with pytest.raises(DataError, match="not a sound Parquet file after row 4096") as caught:
        list(read_rows(str(source)))
    assert caught.value.reason == "broken-parquet"


def fault(source: str, **settings: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_preferences(source, on_bad_row="skip", **settings)  # type: ignore[arg-type]
    return caught.value


def test_not_utf8_names_line_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "\xe9"}\n')
    error = fault(str(path))
    assert error.reason == "not-utf8"
    assert str(error).startswith(f"{path}:2: byte 0xe9 at file offset 16 is not UTF-8")
    assert path.read_bytes()[16] == 0xE9


@pytest.mark.parametrize("kind", TEXTS)
def test_truncated_gzip_stops_the_reading_even_when_rows_are_skipped(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}.gz"
    path.write_bytes(gzip.compress(TEXTS[kind].encode())[:-12])
    error = fault(str(path))
    assert error.reason == "truncated-gzip"
    assert "cut off" in str(error)


def test_gz_that_is_no_gzip_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_text(jsonl(ROWS))
    error = fault(str(path))
    assert (error.reason, error.where) == ("broken-gzip", str(path))


@pytest.mark.parametrize(
    ("name", "text", "reason", "says"),
    [
        ("a.jsonl", "\n\n", "empty-file", "no rows"),
        ("a.json", "", "empty-file", "no rows"),
        ("a.json", "[]", "empty-file", "no rows"),
        ("a.csv", "prompt,chosen\n", "empty-file", "no rows"),
        ("a.txt", "x", "unknown-file-type", "'.txt'; readable are .jsonl, .json, .csv"),
        ("noending", "x", "unknown-file-type", "'nothing'"),
        ("a.parquet.gz", "x", "unknown-file-type", "'.parquet.gz'"),
        ("a.json", '[{"a": 1},\n{"a": }]', "broken-json", "a.json:2: not JSON (Expecting value, column 7)"),
        ("a.json", "[" * 100_000, "broken-json", "a.json:1: not JSON"),
        ("a.json", "3", "no-row-list", "holds 3, not rows"),
        ("a.json", '{"a": [{}], "b": [{}]}', "no-row-list", "its keys ['a', 'b'] hold lists"),
        ("a.json", '{"a": 1}', "no-row-list", "none of its keys ['a']"),
        ("a.csv", 'a,b\n1,2\n"3,4\n', "broken-csv", "a.csv:3: the record that begins here"),
        ("a.csv", "a,a\n1,2\n", "broken-csv", "repeated column names in the header: ['a']"),
        ("a.parquet", "PAR1nonsense", "broken-parquet", "not a sound Parquet file"),
    ],
)
def test_file_faults_stop_the_reading_even_when_rows_are_skipped(
    tmp_path: Path, name: str, text: str, reason: str, says: str
) -> None:
    error = fault(save(tmp_path / name, text) if name != "a.parquet.gz" else raw(tmp_path / name, text))
    assert error.reason == reason
    assert says in str(error)
    assert str(tmp_path / name) in error.where


def raw(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("source", ["none.jsonl", "./none", "a/b/c/none", "none.csv.gz"])
def test_missing_file_is_never_looked_up_on_the_hub(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it would raise
    error = fault(source)
    assert (error.reason, error.where) == ("file-missing", source)


def test_folder_without_data_says_what_is_readable(tmp_path: Path) -> None:
    save(tmp_path / "README.md", "x")
    error = fault(str(tmp_path))
    assert error.reason == "empty-folder"
    assert ".parquet" in str(error)


def fake_hub(monkeypatch: pytest.MonkeyPatch, answer: object) -> list[tuple[str, str | None, str]]:
    calls = []

    def load_dataset(name: str, config: str | None, *, split: str) -> object:
        calls.append((name, config, split))
        if isinstance(answer, Exception):
            raise answer
        return answer

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return calls


def test_hub_dataset_is_read_with_configuration_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_hub(monkeypatch, ROWS)
    data = read_preferences("some-org/prefs:short", split="test")
    assert calls == [("some-org/prefs", "short", "test")]
    assert [group.where for group in data.groups] == ["some-org/prefs:short:1", "some-org/prefs:short:2"]


def test_hub_failure_says_both_what_was_tried_and_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, ConnectionError("Couldn't reach the Hub\nlong details"))
    error = fault("some-org/prefs", split="dev")
    assert error.reason == "no-such-source"
    assert str(error).startswith("some-org/prefs: neither an existing file or folder, nor loadable")
    assert "split 'dev' (Couldn't reach the Hub)" in str(error)
