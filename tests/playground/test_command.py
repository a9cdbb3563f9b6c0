"""`palate playground`: writes the page, shows it where there is a browser, and says where it is."""

from pathlib import Path

import pytest

from palate.cli.main import main
from palate.playground.page import render_playground


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a browser was asked to show; there is one."""
    addresses: list[str] = []

    def show(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", show)
    return addresses


def test_it_writes_and_opens(tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep" / "play ground.html"
    assert main(["playground", "--out", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == render_playground()
    assert opened == [path.as_uri()]
    assert capsys.readouterr().out == f"playground in {path}\n"


def test_it_opens_a_temporary_file(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["playground"]) == 0
    (path,) = tmp_path.rglob("playground.html")
    assert opened == [path.as_uri()]
    assert str(path) in capsys.readouterr().out


def test_it_does_not_open_when_told_so(tmp_path: Path, opened: list[str]) -> None:
    assert main(["playground", "--out", str(tmp_path / "p.html"), "--no-open"]) == 0
    assert opened == []


def test_settings_come_from_a_file_too(tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "settings.yaml").write_text("open: false\n")
    page = tmp_path / "p.html"
    assert main(["playground", "--config", str(tmp_path / "settings.yaml"), "--out", str(page)]) == 0
    assert page.exists()
    assert opened == []


def test_the_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["playground", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("--out", "--open", "--no-open", "Show the page in the browser."))


def test_without_a_browser_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _address: False)
    assert main(["playground", "--out", str(tmp_path / "p.html")]) == 0
    assert "no browser could be opened" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "fault"), [(["--no-open"], "--out FILE"), (["--out", "page.txt"], "must end in .html")]
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], fault: str, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["playground", *arguments]) == 2
    assert fault in capsys.readouterr().err
    assert opened == []
