"""The page in a real browser: hostile text stays text, and readers can do what the page offers."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.report.browser import Browser
from tests.report.example import PROVENANCE, example_report
from tests.report.hostile import poison

from palate.report.document import Report
from palate.report.excerpts import SHOWN
from palate.report.findings import Check, Example, Finding, Measure, Section
from palate.report.render import render_page

OPEN_ALL = "document.querySelectorAll('details').forEach(one => { one.open = true; })"
TIP = (
    "(one => one.checkVisibility({visibilityProperty: true}) ? one.textContent : null)(document.getElementById('tip'))"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    example_report().write_html(folder / "example.html")
    poison(example_report()).write_html(folder / "hostile.html")
    # Escaping has to hold by itself, so it is tried where the policy does not stand behind it.
    page = (folder / "hostile.html").read_text(encoding="utf-8")
    bare = re.sub("<meta http-equiv=[^>]*>", "", page)
    assert bare != page
    (folder / "bare.html").write_text(bare, encoding="utf-8")
    return folder


@pytest.fixture
def example(browser: Browser, pages: Path) -> Browser:
    browser.show_at(1200)
    browser.open(pages / "example.html")
    return browser


def test_the_page_is_quiet_and_loads_nothing(example: Browser) -> None:
    example.run(OPEN_ALL)
    assert example.said == []


@pytest.mark.parametrize("name", ["hostile.html", "bare.html"])
def test_hostile_text_stays_text(browser: Browser, pages: Path, name: str) -> None:
    browser.show_at(1200)
    browser.open(pages / name)
    before = browser.run("document.title")
    assert before.startswith("<script>")  # the title of the report is hostile too
    browser.run(OPEN_ALL)
    browser.run("document.querySelectorAll('svg.plot').forEach(plot => plot.focus({focusVisible: true}))")
    shown = browser.run(TIP)
    assert shown == browser.run("document.activeElement.querySelector('[data-tip]').dataset.tip")
    assert "<script>" in shown
    browser.run("document.querySelectorAll('a, button').forEach(one => one.click())")
    assert browser.run("document.title") == before
    assert browser.run("document.body.id") == ""
    counts = "['script', 'style', 'img', 'iframe', 'form'].map(tag => document.querySelectorAll(tag).length)"
    assert browser.run(counts) == [1, 1, 0, 0, 0]
    attributes = "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames())"
    assert not [one for one in browser.run(attributes) if one.startswith("on") or one in {"src", "srcdoc"}]
    assert browser.run("getComputedStyle(document.body).display") != "none"
    assert "1337" not in browser.run("document.body.textContent")
    assert [one for one in browser.said if "favicon" not in one] == []


def test_every_text_of_the_report_is_on_the_page_as_it_is(browser: Browser, pages: Path) -> None:
    """What a reader sees of a hostile text is the text, up to pictures of control characters."""
    browser.open(pages / "hostile.html")
    report = poison(example_report())
    visible = {"\r": "\u240d", "\x00": "\u2400", "\x01": "\u2401", "\x1b": "\u241b", "\x7f": "\u2421"}
    gone = dict.fromkeys(["\x85", "\ud800", "\udfff"], "\ufffd")
    table = str.maketrans(visible | gone)
    examples = [
        text for one in report.placed for place in one.finding.examples for pair in place.texts for text in pair
    ]
    found = (
        "[...document.querySelectorAll('.texts > div')].map(one => [one.querySelector('h5').textContent, "
        "[...one.querySelectorAll('pre')].map(part => part.textContent).join('')])"
    )
    assert [part for pair in browser.run(found) for part in pair] == [text.translate(table) for text in examples]
    titles = browser.run("[...document.querySelectorAll('h3')].map(one => one.textContent)")
    assert titles == [one.finding.title.translate(table) for one in report.placed]
    names = browser.run(
        "[...document.querySelectorAll('[data-facts] tbody td:first-child')].map(one => one.textContent)"
    )
    assert names == [name.translate(table) for name in report.facts]


def test_line_breaks_survive_where_texts_begin_and_where_they_are_cut(browser: Browser, tmp_path: Path) -> None:
    text = "\n\n" + "a" * (SHOWN - 2) + "\n\nb\n"
    finding = Finding("x", "warn", "T", Measure(1, "u"), "C.", examples=(Example("a:1", (("prompt", text),)),))
    check = Check(Section("a", "A", "Why.", ()), (finding,))
    Report("Data", (), (check,), PROVENANCE).write_html(tmp_path / "r.html")
    browser.open(tmp_path / "r.html")
    assert browser.run("[...document.querySelectorAll('.texts pre')].map(one => one.textContent)") == [
        text[:SHOWN],
        text[SHOWN:],
    ]


def test_the_policy_stops_what_escaping_would_have_let_through(browser: Browser, tmp_path: Path) -> None:
    attack = (
        "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><b style='top:0'>b</b>"
    )
    remote = "<img src='https://example.com/x.png'><link rel=stylesheet href='https://example.com/x.css'>"
    page = render_page(example_report()).replace("<main", attack + remote + "<main")
    (tmp_path / "r.html").write_text(page, encoding="utf-8")
    browser.open(tmp_path / "r.html")
    assert browser.run("document.title") == "Preference data: fail"
    refused = [one for one in browser.said if "Content Security Policy" in one]
    assert len(refused) >= 4
    assert browser.said.count("blocked: csp") == 3


def test_keys_reach_a_plot_and_walk_through_its_marks(example: Browser) -> None:
    for _ in range(100):
        example.press("Tab")
        if example.run("document.activeElement.matches('svg.plot')"):
            break
    tips = example.run("[...document.activeElement.querySelectorAll('[data-tip]')].map(mark => mark.dataset.tip)")
    assert len(tips) > 3
    assert example.run(TIP) == tips[0]
    example.press("ArrowRight")
    assert example.run(TIP) == tips[1]
    example.press("End")
    assert example.run(TIP) == tips[-1]
    assert example.run("document.querySelectorAll('.current').length") == 1
    example.press("Escape")
    assert example.run(TIP) is None
    assert example.run("document.querySelectorAll('.current').length") == 0


@pytest.mark.parametrize("touch", [False, True])
def test_pointing_at_a_mark_shows_its_tip(browser: Browser, pages: Path, touch: bool) -> None:
    browser.show_at(390 if touch else 1200)
    browser.open(pages / "example.html")
    for mark in ("rect.mark", "circle.mark"):
        last = f"[...document.querySelectorAll('svg.plot {mark}')].at(-1)"
        browser.run(f"{last}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = browser.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({last}.getBoundingClientRect())")
        at = {"x": box[0], "y": box[1]}
        if touch:
            browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[at])
            browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        else:
            browser.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
        assert browser.run(TIP) == browser.run(f"{last}.dataset.tip")


def test_tips_stay_inside_the_window(browser: Browser, pages: Path) -> None:
    browser.show_at(390)
    browser.open(pages / "example.html")
    outside = """[...document.querySelectorAll('.mark')].filter(mark => {
        mark.closest('figure').scrollIntoView({block: 'center', behavior: 'instant'});
        mark.dispatchEvent(new PointerEvent('pointermove', {bubbles: true}));
        const box = document.getElementById('tip').getBoundingClientRect();
        return box.width < 20 || box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight;
    }).length"""
    assert browser.run("document.querySelectorAll('.mark').length") > 700
    assert browser.run(outside) == 0


@pytest.mark.parametrize("width", [320, 390, 800, 1440])
@pytest.mark.parametrize("name", ["example.html", "hostile.html"])
def test_the_page_never_scrolls_sideways(browser: Browser, pages: Path, width: int, name: str) -> None:
    browser.show_at(width)
    browser.open(pages / name)
    browser.run(OPEN_ALL)
    assert browser.run("document.documentElement.scrollWidth") <= width
    beyond = (
        "[...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll, svg, .skip, pre') &&"
        "one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"
    )
    assert browser.run(beyond) == []


def test_the_button_changes_the_theme_and_remembers_nothing(browser: Browser, pages: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.show_at(1200, dark=True)
    browser.open(pages / "example.html")
    dark = browser.run(ground)
    browser.run("document.querySelector('[data-theme-toggle]').click()")
    light = browser.run(ground)
    assert light != dark
    browser.open(pages / "example.html")
    assert browser.run(ground) == dark
    browser.show_at(1200)
    assert browser.run(ground) == light
    browser.run("document.querySelector('[data-theme-toggle]').click()")
    assert browser.run(ground) == dark
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.run("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert browser.run("getComputedStyle(document.querySelector('button')).display") == "none"


def test_a_command_is_copied_or_selected(example: Browser) -> None:
    command = example.run("document.querySelector('.command code').textContent")
    button = "document.querySelector('[data-copy]')"
    example.run("navigator.clipboard.writeText = async text => { window.copied = text; }")
    example.run(f"{button}.click()")
    assert example.run("window.copied") == command == example_report().placed[0].finding.command
    assert example.run(f"{button}.textContent") == "Copied"
    example.run("navigator.clipboard.writeText = async () => { throw new Error('refused'); }")
    example.run(f"{button}.click()")
    assert example.run("getSelection().toString()").replace("\n", "") == command
    assert example.run(f"{button}.textContent") == "Selected"


def test_searching_the_figures(example: Browser) -> None:
    rows = "document.querySelectorAll('[data-facts] tbody tr:not([hidden]) td:first-child')"
    shown = f"[...{rows}].map(one => one.textContent)"
    example.run(OPEN_ALL)
    assert example.run(shown) == list(example_report().facts)
    field = "document.getElementById('search')"
    type_in = f"{field}.value = '{{}}', {field}.dispatchEvent(new Event('input'))"
    example.run(type_in.format("LONGER"))
    assert example.run(shown) == ["length.longer_wins"]
    assert example.run("document.querySelector('output').textContent") == f"1 of {len(example_report().facts)}"
    example.run(type_in.format(""))
    assert len(example.run(shown)) == len(example_report().facts)


def test_it_can_be_read_without_seeing_it(example: Browser) -> None:
    """Everything to act on or to look at has a name, ids are unique, headings do not skip a level."""
    tree = example.call("Accessibility.getFullAXTree")["nodes"]
    wanted = {"button", "img", "image", "region", "link", "searchbox", "table"}
    named = [node for node in tree if node.get("role", {}).get("value") in wanted - {"table"}]
    assert len(named) > 20
    assert [node for node in named if not node.get("name", {}).get("value")] == []
    ids = example.run("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    targets = example.run("[...document.querySelectorAll('a[href]')].map(one => one.getAttribute('href').slice(1))")
    assert set(targets) <= set(ids)
    levels = example.run("[...document.querySelectorAll('h1, h2, h3, h4, h5')].map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert example.run("document.querySelectorAll('svg[role=img] [tabindex]').length") == 0
