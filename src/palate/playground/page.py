"""The page: templates, style, script and facts in one file that loads nothing.

The page's policy lets the browser run the one script and the one style whose hashes it names, so that whatever is
typed into a field stays what it is.
"""

import base64
import hashlib
import json
import math
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from palate import __version__
from palate.atomic import write_text
from palate.auditing.limits import AUDIT_LIMITS
from palate.metrics.hacking import SHORTFALL
from palate.playground.bundle import bundle
from palate.playground.sample import LOG_MEAN, LOG_SPREAD, RESPONSES, draw_sample
from palate.playground.shapes import FAMILIES, SHAPES
from palate.walkthrough import FEATURES_CHOSEN, FEATURES_REJECTED, LEARNING_RATE

SECTIONS = {
    "loss": "The loss landscape",
    "architecture": "The architecture",
    "sharing": "Every token once",
    "worked": "One step by hand",
    "length": "Length bias",
    "best_of_n": "Best of n",
}
"""By the name of their template, in order."""


def write_playground(path: Path) -> None:
    """Write the page; folders above it are made, and a file that is there is replaced.

    Raises:
        OSError: it cannot be written.
    """
    write_text(path, render_playground())


@cache
def render_playground() -> str:
    """The page as text."""
    limit = AUDIT_LIMITS["length-bias"]
    style = _read("report", "page/style.css") + _read("playground", "page/style.css")
    script = bundle(_modules(), "main.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    # Nothing of a user's goes in, and formulas are markup that is put together: there is nothing to escape.
    environment = Environment(
        loader=PackageLoader("palate.playground", "page"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        version=__version__,
        style=style,
        script=script,
        facts=json.dumps(page_facts(), ensure_ascii=False).replace("<", "\\u003c"),
        sections=SECTIONS,
        chosen=FEATURES_CHOSEN,
        rejected=FEATURES_REJECTED,
        rate=LEARNING_RATE,
        responses=RESPONSES,
        spread=math.exp(LOG_SPREAD),
        warn=limit.warn,
        fail=limit.fail,
        shortfall=SHORTFALL,
    )


def page_facts() -> dict[str, Any]:
    """What the page's script reads: computed or kept by palate, none of it written twice."""
    limit = AUDIT_LIMITS["length-bias"]
    sample = asdict(draw_sample()) | {"logMean": LOG_MEAN, "logSpread": LOG_SPREAD}
    return {
        "shapes": [asdict(shape) for shape in SHAPES],
        "families": {name: asdict(family) for name, family in FAMILIES.items()},
        "tokens": json.loads(_read("playground", "page/tokens.json")),
        "sample": sample | {"warn": limit.warn, "fail": limit.fail},
        "shortfall": SHORTFALL,
    }


def _modules() -> dict[str, str]:
    """The page's JavaScript by path."""
    found: dict[str, str] = {}
    folders: list[tuple[str, Traversable]] = [("", files("palate.playground").joinpath("page", "js"))]
    while folders:
        prefix, folder = folders.pop()
        for one in folder.iterdir():
            if one.is_dir():
                folders.append((f"{prefix}{one.name}/", one))
            elif one.name.endswith(".js"):
                found[prefix + one.name] = one.read_text(encoding="utf-8")
    return found


def _read(package: str, path: str) -> str:
    return files(f"palate.{package}").joinpath(*path.split("/")).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
