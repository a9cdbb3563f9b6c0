"""The page as text: one file, nothing from elsewhere, every section taught in the same way."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

from palate.auditing.limits import AUDIT_LIMITS
from palate.metrics.hacking import SHORTFALL
from palate.playground.page import SECTIONS, page_facts, render_playground, write_playground
from palate.playground.sample import draw_sample
from palate.playground.shapes import SHAPES
from palate.walkthrough import FEATURES_CHOSEN, FEATURES_REJECTED

PAGE = render_playground()


def section(key: str) -> str:
    found = re.search(rf'<section class="part" id="{key}".*?</section>', PAGE, re.DOTALL)
    assert found, key
    return found[0]


def test_the_page_names_no_other_file() -> None:
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", PAGE))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert not re.search(r"\b(?:src|srcset)\s*=|@import|url\((?!#)|\bfetch\(|XMLHttpRequest|WebSocket", PAGE)
    assert {one for one in re.findall(r'href="([^"]*)"', PAGE) if not one.startswith("#")} == set()
    assert len(PAGE.encode()) < 250_000


def test_the_policy_names_the_script_and_the_style() -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', PAGE)
    assert policy
    for tag in ("style", "script"):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
        assert len(bodies) == 1
        digest = base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert not re.search(r"\sstyle=|\son\w+=", PAGE)  # the policy would refuse them


def test_every_section_begins_with_two_sentences_and_something_to_try() -> None:
    for key in SECTIONS:
        lead = re.search(r'<div class="lead">(.*?)</div>\s*<div class="body">', section(key), re.DOTALL)
        assert lead, key
        first = re.search(r"<h2.*?</h2>\s*<p>(.*?)</p>", lead[1], re.DOTALL)
        assert first, key
        assert len(re.findall(r"[.?!](?:\s|$)", first[1].strip())) == 2, first[1]
        assert lead[1].count('<p class="try">') == 1


def test_the_facts_are_palates_own() -> None:
    inside = re.search(r'<script type="application/json" id="facts">(.*?)</script>', PAGE, re.DOTALL)
    assert inside
    facts = json.loads(inside[1])
    assert facts == json.loads(json.dumps(page_facts()))
    assert [one["name"] for one in facts["shapes"]] == [one.name for one in SHAPES]
    limit = AUDIT_LIMITS["length-bias"]
    assert (facts["sample"]["warn"], facts["sample"]["fail"], facts["shortfall"]) == (limit.warn, limit.fail, SHORTFALL)
    for name, vector in (("chosen", FEATURES_CHOSEN), ("rejected", FEATURES_REJECTED)):
        values = re.findall(rf'data-input="{name}\d"[^>]*value="([^"]*)"', section("worked"))
        assert tuple(map(float, values)) == vector


def test_the_sample_has_two_columns_that_do_not_go_together() -> None:
    sample = draw_sample()
    columns = np.array([sample.length, sample.rest])
    assert np.abs(columns.mean(axis=1)).max() < 1e-6
    assert np.abs(np.cov(columns, bias=True) - np.eye(2)).max() < 1e-5
    assert draw_sample() == sample


def test_writing_makes_folders_and_replaces_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    for _ in range(2):
        write_playground(path)
        assert path.read_text(encoding="utf-8") == PAGE
        path.write_text("old", encoding="utf-8")


def test_modules_are_small() -> None:
    scripts = [Path(str(one)) for one in Path(str(files("palate.playground"))).rglob("*.js")]
    assert len(scripts) > 15
    assert {one.name: n for one in scripts if (n := len(one.read_text(encoding="utf-8").splitlines())) > 150} == {}


def test_making_the_page_needs_no_torch() -> None:
    code = (
        "import sys; from palate.playground.page import render_playground as r; r();"
        "print([n for n in ('torch', 'transformers', 'scipy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
