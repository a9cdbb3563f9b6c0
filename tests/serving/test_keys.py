"""Who may listen where, and which files are good for keys."""

from pathlib import Path

import pytest

from palate.errors import ConfigError
from palate.serving.keys import check_bind, read_keys

KEY = "0123456789abcdef"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_one_key_a_line(tmp_path: Path) -> None:
    file = write(tmp_path / "keys", f"# the first team\n{KEY}\n\n  {KEY}2  \n")
    assert read_keys(file) == (KEY, f"{KEY}2")


@pytest.mark.parametrize("text", ["", "# nothing\n", "short\n", f"{KEY} {KEY}\n", "ключ-и-ещё-немного\n"])
def test_files_without_a_usable_key_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="key"):
        read_keys(write(tmp_path / "keys", text))


def test_a_file_that_everyone_can_read_holds_no_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        read_keys(write(tmp_path / "keys", KEY, 0o644))
    with pytest.raises(ConfigError, match="cannot read"):
        read_keys(tmp_path / "none")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    check_bind(host, ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "0"])
def test_anything_else_needs_one(host: str) -> None:
    with pytest.raises(ConfigError, match="--api-key-file"):
        check_bind(host, ())
    check_bind(host, (KEY,))


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(ConfigError, match="no address"):
        check_bind("not an address", ())
