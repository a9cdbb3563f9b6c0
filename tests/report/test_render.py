"""The page as a file: what is in it and what cannot be. What it does is in test_page_in_browser."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report.example import PROVENANCE, example_report
from tests.report.hostile import poison

from palate.report.document import Report
from palate.report.excerpts import BUDGET, SHOWN
from palate.report.findings import Check, Example, Finding, Measure, Section, Table
from palate.report.plots import Bars
from palate.report.render import render_page


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(*blocks: Table | Bars, findings: tuple[Finding, ...] = ()) -> str:
    check = Check(Section("a", "A", "Why.", blocks), findings)
    return render_page(Report("Data", (), (check,), PROVENANCE))


def finding_with(*texts: str) -> Finding:
    example = Example("a.jsonl:1", tuple(("prompt", text) for text in texts))
    return Finding("x", "warn", "T", Measure(1, "u"), "Cure.", examples=(example,), count=1)


def test_nothing_is_loaded_from_anywhere() -> None:
    for report in (example_report(), poison(example_report())):
        for tag, attributes in Elements(render_page(report)).found:
            assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "audio", "video", "use"}
            assert not attributes.keys() & {"src", "srcset", "style", "xlink:href", "action", "srcdoc"}
            assert (attributes.get("href") or "#").startswith("#")
            assert not any(name.startswith("on") for name in attributes)
    css = re.search("<style>(.*?)</style>", render_page(example_report()), re.S)
    assert css is not None
    assert "url(" not in css.group(1)
    assert "@import" not in css.group(1)


def test_hostile_text_adds_no_element() -> None:
    def tags(report: Report) -> dict[str, int]:
        names = [tag for tag, _ in Elements(render_page(report)).found]
        return {name: names.count(name) for name in ("script", "style", "svg", "h3", "figure", "article", "table", "a")}

    assert tags(poison(example_report())) == tags(example_report())


def test_the_policy_names_the_one_script_and_the_one_style() -> None:
    page = render_page(example_report())
    [policy] = re.findall('Content-Security-Policy" content="([^"]*)"', page)
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_file_is_utf8_whatever_the_text(tmp_path: Path) -> None:
    poison(example_report()).write_html(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_bytes().decode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert "\u2400\u2401\u241b[31m" in text


def test_long_texts_are_cut_and_the_rest_is_kept_while_there_is_room() -> None:
    page = page_of(findings=(finding_with("a" * SHOWN, "b" * (SHOWN + 5), "c" * (SHOWN + BUDGET), "d" * (SHOWN + 7)),))
    assert "… 5 more characters</summary>" in page
    assert "… 2,000,000 more characters, in the JSON report" in page
    assert "… 7 more characters</summary>" in page
    assert "which was not enough for 1 of them" in page
    assert page.count("c") < SHOWN + 10_000
    assert "more characters" not in page_of(findings=(finding_with("a" * SHOWN),))


def test_numbers_in_tables_are_aligned_and_rounded() -> None:
    page = page_of(Table(("name", "share"), (("a", 0.12345), ("b", None), ("c", 12)), "Shares", omitted=3))
    assert '<th scope="col">name</th><th scope="col" class="number">share</th>' in page
    assert '<td class="number">0.123</td>' in page
    assert '<td class="number">\N{EN DASH}</td>' in page
    assert "and 3 more rows" in page


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="'Shares': a row has not 2 cells"):
        page_of(Table(("name", "share"), (("a",),), "Shares"))


def test_an_empty_plot_and_an_empty_report_say_so() -> None:
    assert "There is nothing to draw." in page_of(Bars("t", "x", (), ()))
    page = render_page(Report("Data", (), (), PROVENANCE))
    assert "Nothing wrong was found" in page
    assert "No check found anything to report." in page


def test_a_skipped_check_says_why() -> None:
    page = render_page(example_report())
    assert "Not checked: the data does not say which response was shown first" in page
    assert "1 skipped" in page


def test_the_same_report_is_the_same_page() -> None:
    assert render_page(example_report()) == render_page(example_report())
