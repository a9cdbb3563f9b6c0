"""Which files are found, and when one is the same as before."""

import gzip
import os
from pathlib import Path

import pytest

from palate.data import sources
from palate.errors import ConfigError, DataError
from palate.score_parts import inputs
from palate.score_parts.inputs import find_inputs, take_stamp


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.CSV", "sub/c.json.gz", "sub/d.parquet", ".hidden/e.jsonl", "README.md", "f.parquet.gz"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


OUT = Path("nowhere")


def found(*sources: Path | str, out: Path = OUT) -> list[tuple[str, str]]:
    return [(Path(file.path).name, file.stem) for file in find_inputs([str(source) for source in sources], out).files]


def test_a_folder_gives_all_data_files_below_it_under_their_place(folder: Path) -> None:
    assert found(folder) == [("a.CSV", "a"), ("b.jsonl", "b"), ("c.json.gz", "sub/c"), ("d.parquet", "sub/d")]
    assert find_inputs([str(folder)], OUT).ignored == 2


def test_a_pattern_gives_files_under_their_place_below_its_fixed_part(folder: Path) -> None:
    assert found(f"{folder}/**/*.json*") == [("b.jsonl", "b"), ("c.json.gz", "sub/c")]
    assert found(f"{folder}/s*") == [("c.json.gz", "sub/c"), ("d.parquet", "sub/d")]
    assert found(f"{folder}/**") == found(folder)


def test_files_are_found_under_their_names(folder: Path) -> None:
    assert found(folder / "sub" / "d.parquet", folder / "b.jsonl") == [("d.parquet", "d"), ("b.jsonl", "b")]


def test_a_name_with_brackets_is_a_name_where_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].jsonl").write_text("")
    assert found(tmp_path / "a[1].jsonl") == [("a[1].jsonl", "a[1]")]


@pytest.mark.parametrize("source", ["nowhere.jsonl", "owner/dataset", "simulated"])
def test_what_is_not_there_is_said(source: str) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        find_inputs([source], OUT)


def test_nothing_readable_nothing_named_and_twice_the_same_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="no data file here"):
        find_inputs([str(folder / "README.md")], OUT)
    with pytest.raises(ConfigError, match="names nothing"):
        find_inputs([], OUT)
    with pytest.raises(ConfigError, match=r"b\.jsonl twice"):
        find_inputs([str(folder), str(folder / "sub" / ".." / "b.jsonl")], OUT)


def test_what_palate_wrote_beside_data_is_data_only_where_it_is_named(folder: Path) -> None:
    plain = found(folder)
    for name in ("b.jsonl.summary.json", "b.jsonl.dropped.jsonl", "sub/d.summary.json"):
        (folder / name).write_text("{}")
    for source in (folder, f"{folder}/**", f"{folder}/**/*.*"):
        assert found(source) == plain
        assert find_inputs([str(source)], OUT).own == 3
    assert find_inputs([str(folder)], OUT).ignored == 2
    assert found(folder / "b.jsonl.dropped.jsonl") == [("b.jsonl.dropped.jsonl", "b.jsonl.dropped")]


def test_what_lies_below_out_is_no_data_of_the_folder_around_it(folder: Path) -> None:
    plain, out = found(folder), folder / "rewards"
    (out / "sub").mkdir(parents=True)
    (out / "b.jsonl").write_text("{}")
    (out / "sub" / "c.jsonl").write_text("{}")
    for source in (folder, f"{folder}/**/*.*"):
        assert found(source, out=out) == plain
        assert find_inputs([str(source)], out).own == 2
    assert len(found(folder)) == len(plain) + 2
    # named itself it is found, for the run to refuse it
    assert found(out / "b.jsonl", out=out) == [("b.jsonl", "b")]
    assert found(f"{out}/*.jsonl", out=out) == [("b.jsonl", "b")]
    assert found(out / "sub", out=out) == [("c.jsonl", "c")]


@pytest.mark.parametrize(("pattern", "mended"), [("**.jsonl", "**/*.jsonl"), ("a**/*.csv", "**/a*/*.csv")])
def test_stars_that_are_no_whole_part_of_a_pattern_are_refused(pattern: str, mended: str, folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_inputs([f"{folder}/{pattern}"], OUT)
    assert (caught.value.reason, caught.value.where) == ("bad-pattern", f"{folder}/{pattern}")
    assert str(caught.value).endswith(f"write {folder}/{mended}")


def test_what_is_looked_for_is_what_can_be_read() -> None:
    endings = [*sources._READERS, *(f"{ending}.gz" for ending in sources._TEXT_READERS)]
    assert all(inputs._READABLE.search(f"file{ending}") for ending in endings)
    assert not any(inputs._READABLE.search(f"file{ending}") for ending in (".parquet.gz", ".gz", ".txt", ".jsonl.bz2"))


def test_a_file_with_the_same_size_and_time_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("one\ntwo\n")
    first = take_stamp(path)
    stat = path.stat()
    path.write_text("one\nTWO\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert take_stamp(path, first) is first
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert take_stamp(path, first).digest != first.digest


def test_a_file_that_was_only_touched_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("one\n")
    first = take_stamp(path)
    os.utime(path, ns=(1, 1))
    assert (take_stamp(path, first).digest, take_stamp(path, first).mtime_ns) == (first.digest, 1)


def test_lines_are_counted_where_a_line_is_a_row(tmp_path: Path) -> None:
    whole = gzip.compress(b"one\ntwo\nthree\n")
    for name, content, lines in (
        ("a.jsonl", b"1\n2\n", 2),
        ("b.jsonl.gz", whole, 3),
        ("c.csv", b"x\n", 1),
        ("d.json", b"[\n]\n", None),
        ("e.parquet", b"\n", None),
        ("cut.jsonl.gz", whole[:-9], 0),  # breaks off: the reader says so, not this
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert take_stamp(path).lines == lines, name
