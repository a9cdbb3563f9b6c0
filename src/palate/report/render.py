"""A report as one page: no network, no other file, nothing of the data taken for code.

Three things keep text from becoming code. Jinja escapes whatever is not `Markup`, and only `svg_parts` and this module
make `Markup`. The page's policy lets the browser run the one script and the one style whose hashes it names. And the
script sets text as text.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from palate.report.excerpts import Excerpts
from palate.report.findings import Block, Fact, Paragraph, Table
from palate.report.measures import draw_measure, say_numbers
from palate.report.numbers import format_column, format_number
from palate.report.svg import make_figure

if TYPE_CHECKING:
    from palate.report.document import Report

# What has no picture gets one: control characters theirs, lone surrogates, which UTF-8 cannot hold, a question mark.
_VISIBLE = (
    {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)}
    | {0x7F: 0x2421}
    | dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000)], 0xFFFD)
)


def render_page(report: "Report") -> str:
    """The page; every call is its own, so that the budget for long texts is too."""
    style, script = _asset("style.css"), _asset("script.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    page = _environment().get_template("report.html.jinja")
    rendered = page.render(
        report=report,
        excerpt=Excerpts(),
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
    )
    return rendered.translate(_VISIBLE)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("palate.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=format_number,
        kind=lambda block: type(block).__name__.lower(),
        runs=_runs,
        columns=_columns,
        fact=_say_fact,
        figure=make_figure,
        bar=draw_measure,
        said=say_numbers,
    )
    return environment


def _asset(name: str) -> str:
    return files("palate.report").joinpath("page", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _runs(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Neighbouring plots together, so that they stand side by side; everything else alone."""
    kinds = groupby(blocks, lambda block: not isinstance(block, Table | Paragraph))
    return [
        run for plots, found in kinds for run in ([("plots", list(found))] if plots else [("", [b]) for b in found])
    ]


def _columns(table: Table) -> list[tuple[bool, tuple[str, ...]]]:
    """For each column whether it is of numbers, and its cells as they are shown.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
    """
    if any(len(row) != len(table.columns) for row in table.rows):
        raise ValueError(f"table {table.caption!r}: a row has not {len(table.columns)} cells")
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    return [(bool(cells) and not any(isinstance(c, str) for c in cells), format_column(cells)) for cells in columns]


def _say_fact(fact: Fact) -> str:
    if isinstance(fact, str):
        return fact
    return format(fact, ".6g") if isinstance(fact, float) else json.dumps(fact, ensure_ascii=False, default=str)
