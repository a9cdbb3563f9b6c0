"""The reference pages, read off the code when the site is built, so that they cannot go stale.

A hook of MkDocs: a line `@@settings@@` becomes every command with every setting, a line `@@python@@` the names that
`import palate` offers, each with its docstring (mkdocstrings does the rest). A page that would
load anything from another address is an error: the site works offline.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

import palate
from palate import config as settings
from palate.cli.examples import EXAMPLES
from palate.cli.main import COMMANDS


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a configuration as its source has it: the type and default as written, the text below it."""

    name: str
    kind: str
    default: str | None
    text: str
    positional: bool

    @property
    def flag(self) -> str:
        """As the command line takes it."""
        return self.name.upper() if self.positional else "--" + self.name.replace("_", "-")


def settings_of(kind: type[Any]) -> list[Setting]:
    """The settings of a configuration, in the order of its source.

    Raises:
        ValueError: a setting has no text below it.
    """
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = []
    for field, after in zip(body.body, [*body.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign):
            continue
        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            raise ValueError(f"{kind.__name__}.{ast.unparse(field.target)} has no text below it")
        shown, positional = _annotation(field.annotation)
        default = _default(kind, field)
        found.append(Setting(ast.unparse(field.target), shown, default, str(after.value.value), positional))
    return found


def _annotation(node: ast.expr) -> tuple[str, bool]:
    """The type as a reader needs it, and whether the setting stands without a flag."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        assert isinstance(node.slice, ast.Tuple)
        inner, *marks = node.slice.elts
        return _annotation(inner)[0], any(ast.unparse(mark) == "Positional" for mark in marks)
    written = ast.unparse(node)
    for name in ("PoolingName", "TrackerName"):
        written = written.replace(name, ast.unparse(ast.parse(str(getattr(settings, name)).replace("typing.", ""))))
    return re.sub(r"Literal\[([^\]]*)\]", lambda found: found[1].replace(", ", " | ").replace("'", ""), written), False


def _default(kind: type[Any], field: ast.AnnAssign) -> str | None:
    """The value itself, not the name of a constant; None where the setting has to be given."""
    if field.value is None:
        return None
    value = next(f.default for f in kind.__dataclass_fields__.values() if f.name == ast.unparse(field.target))
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def settings_page() -> str:
    """Every command with its example and settings."""
    return "\n".join(line for name in COMMANDS for line in _command(name))


def _command(name: str) -> Iterator[str]:
    command = COMMANDS[name]
    yield from (f"## palate {name}", "", f"{command.summary[0].upper()}{command.summary[1:]}.", "")
    yield from ("```", EXAMPLES[name], "```", "")
    if command.config is None:
        return
    kind = getattr(settings, command.config)
    yield from (f"In Python `palate.config.{kind.__name__}`. {' '.join((kind.__doc__ or '').split())}", "")
    yield from ("| setting | type | default | |", "|---|---|---|---|")
    for setting in settings_of(kind):
        default = "" if setting.default is None else f"`{setting.default}`" if setting.default else "none"
        kind_shown = setting.kind.replace("|", "\\|")
        text = " ".join(setting.text.split()).replace("|", "\\|")
        yield f"| `{setting.flag}` | `{kind_shown}` | {default or 'to be given'} | {text} |"
    yield ""


def python_page() -> str:
    """The public names, functions before classes, for mkdocstrings."""
    names = sorted(palate.__all__, key=lambda name: (name[0].isupper(), name))
    return "\n\n".join(f"::: palate.{name}" for name in names)


def on_page_markdown(markdown: str, **_of_mkdocs: Any) -> str:
    """Called by MkDocs with each page."""
    for mark, make in (("@@settings@@", settings_page), ("@@python@@", python_page)):
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown


_FETCHED = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*\s(?:src|href)=["']?(https?:[^"'\s>]*)""")


def fetched_from_elsewhere(page: str) -> list[str]:
    """Addresses on other hosts that a browser would load with the page; links that a reader follows are none.

    >>> fetched_from_elsewhere('<a href="https://a.org"></a><script src="https://b.org/x.js"></script>')
    ['https://b.org/x.js']
    """
    return _FETCHED.findall(page)


def on_post_build(config: Any, **_of_mkdocs: Any) -> None:
    """Called by MkDocs when the site is written.

    Raises:
        PluginError: a page loads something from another address.
    """
    for page in sorted(Path(config["site_dir"]).rglob("*.html")):
        if found := fetched_from_elsewhere(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page}: not offline, it loads {', '.join(found)}")
