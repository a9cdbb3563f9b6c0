"""What pages claim about the code: messages, settings, names."""

import re
from dataclasses import fields

import pytest
from tests.docs.blocks import ROOT

import palate
from palate import config
from palate.cli.main import COMMANDS

SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py")))
# Messages are written in parts, one a line; here each is one text again.
JOINED = re.sub(r'"\s*\n\s*f?"', "", SOURCE)


def _messages() -> list[str]:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return re.findall(r"^#### `(.+)`$", page, re.MULTILINE)


def test_the_errors_page_has_those_that_people_meet_first() -> None:
    assert len(_messages()) >= 25


@pytest.mark.parametrize("message", _messages())
def test_a_message_on_the_errors_page_is_one_that_palate_gives(message: str) -> None:
    parts = [part.strip(" (){};:.,") for part in message.split("…")]
    for part in filter(None, parts):
        assert part in JOINED, part


def test_the_settings_page_has_every_setting_of_every_command() -> None:
    reference = pytest.importorskip("scripts.docs_reference", reason="needs mkdocs (the docs group)")
    page = reference.settings_page()
    for name, command in COMMANDS.items():
        assert f"## palate {name}\n" in page
        part = page.split(f"## palate {name}\n")[1].split("\n## palate ")[0]
        for setting in fields(getattr(config, command.config)) if command.config else ():
            flag = setting.name.replace("_", "-")
            assert f"| `--{flag}` |" in part or f"| `{setting.name.upper()}` |" in part, f"{name}: {flag}"


def test_a_setting_is_shown_as_its_source_has_it() -> None:
    reference = pytest.importorskip("scripts.docs_reference", reason="needs mkdocs (the docs group)")
    shown = {setting.name: setting for setting in reference.settings_of(config.TrainConfig)}
    assert (shown["lr"].kind, shown["lr"].default) == ("float", "1e-05")
    assert shown["lr"].text == "Peak learning rate of the body."
    assert shown["model"].default is None
    assert shown["length_coefficient"].default == "1.0", "the value, not the constant's name"
    assert shown["pooling"].kind == "last | mean | mean-response | cls | attention"
    assert [s.flag for s in reference.settings_of(config.EvalConfig)][:2] == ["MODEL", "--data"]


def test_the_python_page_has_every_public_name() -> None:
    reference = pytest.importorskip("scripts.docs_reference", reason="needs mkdocs (the docs group)")
    page = reference.python_page()
    assert set(re.findall(r"^::: palate\.(\w+)$", page, re.MULTILINE)) == set(palate.__all__)


def test_a_page_that_loads_something_from_elsewhere_is_noticed() -> None:
    reference = pytest.importorskip("scripts.docs_reference", reason="needs mkdocs (the docs group)")
    found = reference.fetched_from_elsewhere
    assert found('<link rel="stylesheet" href="https://fonts.example.org/x.css">') == [
        "https://fonts.example.org/x.css"
    ]
    assert found('<a href="https://example.org">a link</a><script src="assets/x.js"></script>') == []
