"""The partial file: what survives of it, and for whom."""

import json
from pathlib import Path

import pytest

from palate.errors import ConfigError, DataError
from palate.score_lines import append, count, put_in_place, read_lines, resume

LINES = [{"id": f"p{n}", "rewards": [float(n)]} for n in range(5)]


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl.partial"
    assert resume(path, "job") == 0
    assert list(append(path, [LINES[:3], LINES[3:]])) == [3, 2]
    return path


@pytest.mark.parametrize(("whole", "kept"), [(1, 5), (2, 4), (3, 3), (6, 0)])
def test_a_torn_line_and_what_is_no_whole_window_are_cut_off(whole: int, kept: int, partial: Path) -> None:
    with partial.open("a") as file:
        file.write('{"id": "p5", "rew')
    assert resume(partial, "job", whole=whole) == kept
    assert list(read_lines(partial)) == LINES[:kept]
    list(append(partial, [LINES[kept:]]))
    assert list(read_lines(partial)) == LINES


@pytest.mark.parametrize("length", range(16))
def test_a_torn_header_is_written_again(length: int, partial: Path) -> None:
    partial.write_bytes(partial.read_bytes()[:length])
    assert resume(partial, "job") == 0
    list(append(partial, [LINES]))
    assert list(read_lines(partial)) == LINES


def test_another_jobs_file_is_refused_and_left_as_it_is(partial: Path) -> None:
    before = partial.read_bytes()
    with pytest.raises(ConfigError, match="belongs to another scoring job"):
        resume(partial, "another")
    assert partial.read_bytes() == before
    assert resume(partial, "another", restart=True) == 0


def test_what_the_lines_say_is_counted_and_put_in_place(partial: Path) -> None:
    list(append(partial, [[{"rewards": None, "reason": "over-long"}, {"rewards": [1.0], "truncated_tokens": 3}]]))
    found = count(partial, expected=7)
    assert (found.prompts, found.unscored, found.truncated) == (7, {"over-long": 1}, 1)
    out = partial.with_suffix("")
    put_in_place(partial, out)
    assert [json.loads(line) for line in out.read_text().splitlines()] == list(read_lines(partial))
    assert sorted(path.name for path in out.parent.iterdir()) == ["a.jsonl", "a.jsonl.partial"]


def test_more_or_fewer_lines_than_expected_and_one_that_is_torn_are_refused(partial: Path) -> None:
    for expected in (4, 6):
        with pytest.raises(DataError, match=f"5 lines for {expected} prompts.* delete it"):
            count(partial, expected=expected)
    text = partial.read_bytes()
    for torn in (b'{"id": "p5", "rew{"id": "p6"}\n', b"\xff\n", b"\0\0\n"):
        partial.write_bytes(text + torn)
        with pytest.raises(DataError, match=r"a\.jsonl\.partial:7: not a line of rewards .* delete"):
            count(partial, expected=6)
