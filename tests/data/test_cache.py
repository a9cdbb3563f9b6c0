"""A cache that serves what was made before, and never anything else."""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from palate.data import cache
from palate.data.cache import Tokenized, digest, load_report, save_report, source_key, tokenized
from palate.data.read import ReadReport
from palate.data.store import to_batch, write_batches
from palate.records import DroppedRow
from palate.testing.groups import token_group

GROUPS = [token_group(4, (3, 5), seed=n) for n in range(4)]
DROPPED = (DroppedRow("a.jsonl:3", "over-long", None, "9 tokens"),)
KEY = "0" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Makes an entry and counts how often."""

    def __init__(self) -> None:
        self.calls = 0
        self.said: list[str] = []

    def __call__(self, path: Path) -> tuple[DroppedRow, ...]:
        self.calls += 1
        write_batches(path, [to_batch(GROUPS)])
        return DROPPED

    def get(self, key: str | None = KEY) -> Tokenized:
        found = tokenized(key, self, self.said.append)
        assert [group.id for group in found.store] == [group.id for group in GROUPS]
        assert found.dropped == DROPPED
        return found


def test_an_entry_is_made_once_and_said_to_be_there(folder: Path) -> None:
    maker = Maker()
    first = maker.get()
    again = maker.get()
    assert maker.calls == 1
    assert again.store.fingerprint() == first.store.fingerprint()
    assert maker.said == [
        f"tokens kept in the cache: {folder / KEY}",
        f"tokens from the cache: {folder / KEY} (--no-cache reads the data anew)",
    ]
    maker.get("1" * 32)
    assert maker.calls == 2
    assert sorted(path.name for path in folder.iterdir()) == [KEY, "1" * 32]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        lambda entry: flip(entry / "tokens.arrow", 1200),
        lambda entry: os.truncate(entry / "tokens.arrow", 900),
        lambda entry: (entry / "tokens.arrow").unlink(),
        lambda entry: (entry / "entry.json").write_text("{"),
        lambda entry: (entry / "entry.json").write_text("[]"),
        lambda entry: (entry / "entry.json").unlink(),
    ],
)
def test_a_damaged_entry_is_noticed_and_made_anew(harm: Any, folder: Path) -> None:
    maker = Maker()
    maker.get()
    harm(folder / KEY)
    maker.get()
    assert maker.calls == 2
    assert f"warning: the cache entry {folder / KEY} is damaged" in maker.said[1]
    maker.get()
    assert maker.calls == 2


def test_two_at_once_are_both_served_and_leave_one_entry(folder: Path) -> None:
    second = Maker()

    class Slow(Maker):
        def __call__(self, path: Path) -> tuple[DroppedRow, ...]:
            second.get()  # another process is faster
            return super().__call__(path)

    first = Slow()
    result = first.get()
    assert (first.calls, second.calls) == (1, 1)
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == [KEY]
    del result
    gc.collect()
    assert [path.name for path in folder.iterdir()] == [KEY]


def test_processes_that_race_all_get_whole_entries(folder: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from palate.data.cache import tokenized\n"
        "from palate.data.store import to_batch, write_batches\n"
        "from palate.testing.groups import token_group\n"
        "def make(path):\n"
        "    write_batches(path, (to_batch([token_group(4, (3, 5), seed=n)]) for n in range(200)))\n"
        "    return ()\n"
        f"print(len(list(tokenized({KEY!r}, make, lambda line: None).store)))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=100)[0].strip() for process in running] == ["200"] * 3
    assert [path.name for path in folder.iterdir()] == [KEY]


def test_a_failure_leaves_nothing_behind(folder: Path) -> None:
    def fail(path: Path) -> tuple[DroppedRow, ...]:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tokenized(KEY, fail, lambda _line: None)
    assert list(folder.iterdir()) == []


def test_what_a_kill_left_is_swept_after_a_day(folder: Path) -> None:
    old, young = folder / ".making-old", folder / ".making-young"
    for path in (old, young):
        path.mkdir(parents=True)
        (path / "tokens.arrow").write_bytes(b"half")
    for path in (old / "tokens.arrow", old):
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    Maker().get()
    assert sorted(path.name for path in folder.iterdir()) == [".making-young", KEY]


def test_what_another_process_removes_meanwhile_is_not_swept_and_stops_no_caching(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder / ".making-gone"
    gone.mkdir(parents=True)
    glob = Path.glob

    def listed(path: Path, pattern: str) -> list[Path]:
        found = list(glob(path, pattern))
        if gone.exists():
            gone.rmdir()
        return found

    monkeypatch.setattr(Path, "glob", listed)
    maker = Maker()
    maker.get()
    assert maker.said == [f"tokens kept in the cache: {folder / KEY}"]


def test_other_users_may_read_an_entry_as_far_as_the_umask_lets_them(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        Maker().get()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder / KEY, *(folder / KEY).iterdir())}
    assert modes == {KEY: 0o750, "tokens.arrow": 0o640, "entry.json": 0o640}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(cache.tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


def test_without_a_key_the_store_lives_as_long_as_it_is_used(folder: Path, temporary: Path) -> None:
    maker = Maker()
    found = maker.get(None)
    part = found.store[1:]
    del found
    assert part[0].id == "tokens-1"
    assert len(list(temporary.iterdir())) == 1
    assert not folder.exists()
    assert maker.said == []
    del part
    gc.collect()


def test_a_cache_that_cannot_be_written_is_said_to_be_and_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PALATE_CACHE", str(tmp_path / "file" / "cache"))
    maker = Maker()
    maker.get()
    assert "cannot be written (Not a directory)" in maker.said[0]
    save_report(KEY, ReadReport(1, 1, (), {}, {}, 1))
    assert load_report(KEY) is None
    gc.collect()


def test_what_reading_said_is_remembered_word_for_word(folder: Path) -> None:
    report = ReadReport(3, 4, DROPPED, {"votes": 4}, {"repeated-role": 9}, 5)
    save_report(KEY, report)
    assert load_report(KEY) == report
    assert load_report("1" * 32) is load_report(None) is None
    for text in ("", "{", "{}", "[]", json.dumps({"rows": 3, "dropped": []})):
        (folder / f"{KEY}.json").write_text(text)
        assert load_report(KEY) is None


def test_the_key_holds_bytes_names_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = tmp_path / "rows.jsonl"
    first.write_text("a")
    keys = {source_key("rows.jsonl", max_groups=None)}
    assert source_key("rows.jsonl", max_groups=None) in keys
    os.utime(first, (0, 0))
    assert source_key("rows.jsonl", max_groups=None) in keys
    keys.add(source_key("rows.jsonl", max_groups=3))
    keys.add(source_key("./rows.jsonl", max_groups=None))  # groups carry the name that was given
    first.write_text("b")
    keys.add(source_key("rows.jsonl", max_groups=None))
    inside = tmp_path / "folder" / "sub"
    inside.mkdir(parents=True)
    for name in ("x.jsonl", "y.jsonl"):
        (inside / name).write_text(name)
    keys.add(source_key("folder"))
    (inside / "y.jsonl").rename(inside / "z.jsonl")
    keys.add(source_key("folder"))
    (inside / ".hidden").write_text("not read")
    assert source_key("folder") in keys
    keys |= {source_key("simulated"), source_key("simulated:7")}
    assert len(keys) == 8
    assert None not in keys


def test_the_key_holds_the_code_that_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source_key("simulated")
    assert {
        "palate",
        "records.py",
        "prefix_tree.py",
        "data/render.py",
        "data/simulate/facts.py",
        "tokenizers",
    } <= cache._code().keys()
    monkeypatch.setattr(cache, "_code", lambda: {"records.py": "changed"})
    assert source_key("simulated") != before


def test_a_hub_dataset_is_known_by_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("datasets")
    monkeypatch.setitem(sys.modules, "datasets", module)

    class Rows(list[dict[str, str]]):
        pass

    def key(mark: str | None, **settings: Any) -> str | None:
        rows = Rows([{"prompt": "a"}])
        if mark is not None:
            rows._fingerprint = mark  # type: ignore[attr-defined]
        module.load_dataset = lambda *_names, **_split: rows
        return source_key("some-org/prefs", **settings)

    keys = {key("x"), key("y"), key("x", split="test")}
    assert len(keys) == 3
    assert key("x") in keys
    assert key(None) is None

    def missing(*_names: str, **_split: str) -> SimpleNamespace:
        raise ConnectionError

    module.load_dataset = missing
    assert source_key("some-org/prefs") is None  # reading it says why
    assert source_key("no/such/file.jsonl") is None


def test_a_source_that_cannot_be_read_has_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.jsonl").write_text("a")
    monkeypatch.setattr(cache, "_file_hash", lambda _path: (_ for _ in ()).throw(PermissionError))
    monkeypatch.setattr(cache, "_code", dict)
    assert source_key(str(tmp_path / "rows.jsonl")) is None


def test_digests_tell_plain_values_apart() -> None:
    values = [(), ("",), ("", ""), ("a", "b"), ("ab",), (None,), ("None",), ({"a": 1},), ({"a": 2},), (1,), ("1",)]
    assert len({digest(*value) for value in values}) == len(values)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
