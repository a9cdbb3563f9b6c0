"""One holder at a time, also where the file is deleted in between."""

import errno
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from palate import lock
from palate.errors import ConfigError, PalateWarning
from palate.lock import held

fcntl = pytest.importorskip("fcntl", reason="there is no such lock on Windows")


def test_a_second_holder_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held(path), pytest.raises(ConfigError, match=r"a\.lock is held by another palate process"), held(path):
        pass
    with held(path):
        pass


def test_an_error_inside_is_not_taken_for_another_holder(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), held(tmp_path / "a.lock"):
        raise BlockingIOError
    with held(tmp_path / "a.lock"):
        pass


def test_a_holder_is_waited_for_as_long_as_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ExitStack()
    first.enter_context(held(tmp_path / "a.lock"))
    monkeypatch.setattr(lock.time, "sleep", lambda _seconds: first.close())
    with held(tmp_path / "a.lock", patience=60):
        pass


def test_a_file_that_its_holder_deleted_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.partial"

    def flock(file: Any, operation: int) -> None:
        monkeypatch.undo()
        path.unlink()  # by a holder that has come to its end since it was opened here
        fcntl.flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with held(path), pytest.raises(ConfigError, match="held by another"), held(path):
        pass
    assert path.exists()


def test_a_file_system_without_locks_is_said_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.warns(PalateWarning, match="knows no locks: see that nobody else writes there"), held(tmp_path / "a"):
        pass
