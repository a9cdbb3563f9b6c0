"""The key that is sent is the first of the file, in whatever company, and no message shows what a file holds."""

from pathlib import Path

import pytest

from palate.config.keys import first_key, key_lines
from palate.errors import ConfigError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "keys"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("text", ["sesame", "sesame\n", "# ours\n\n  sesame  \nanother\n", "sesame\r\nanother\r\n"])
def test_the_first_usable_line_is_the_key(tmp_path: Path, text: str) -> None:
    assert first_key(write(tmp_path, text)) == "sesame"
    assert first_key(str(tmp_path / "keys")) == key_lines(tmp_path / "keys")[0]


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "open sesame\n", "sesamé\n", "ses\tame\n", b"sesame\xff\n"])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(ConfigError, match="key") as caught:
        first_key(write(tmp_path, text))
    assert str(tmp_path) in str(caught.value)
    assert "ame" not in str(caught.value).replace(str(tmp_path), "")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the keys in"):
        first_key(tmp_path / "none")
