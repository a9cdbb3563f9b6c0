"""The playground in a real browser: quiet, readable at every width, by keyboard and by ear, in light and dark."""

import json
from itertools import pairwise

import pytest
from tests.playground.positions import FRAME, Playground

from palate.playground.page import SECTIONS, render_playground

pytestmark = pytest.mark.slow

PRESS_ALL = "document.querySelectorAll('main button:not(:disabled)').forEach((one) => one.click())"
OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
GROUND = "getComputedStyle(document.body).backgroundColor"


def test_the_page_is_quiet_whatever_is_pressed(page: Playground) -> None:
    page.run(OPEN_ALL)
    page.run(PRESS_ALL)
    page.run(
        "document.querySelectorAll('input').forEach((one) => { "
        "for (const value of ['', '1e9', '-1', one.min, one.max]) { "
        "if (one.type !== 'radio') one.value = value; "
        "one.dispatchEvent(new Event('input', {bubbles: true})); "
        "one.dispatchEvent(new Event('change', {bubbles: true})); } })"
    )
    page.run(FRAME)
    assert page.browser.said == []
    shown = page.run("[...document.querySelectorAll('main data')].map((one) => one.textContent)")
    assert len(shown) > 50
    assert [text for text in shown if not text or "NaN" in text or "undefined" in text] == []
    drawn = page.run(
        "[...document.querySelectorAll('svg *')].flatMap((one) => [...one.attributes]).map((one) => one.value)"
    )
    assert len(drawn) > 1500
    assert [value for value in drawn if "NaN" in value or "Infinity" in value] == []


@pytest.mark.parametrize("width", [320, 390, 800, 1440])
def test_the_page_never_scrolls_sideways(page: Playground, width: int) -> None:
    page.open(width)
    page.run(OPEN_ALL)
    page.run(PRESS_ALL)
    page.run(FRAME)
    assert page.run("innerWidth") == width
    assert page.run("document.documentElement.scrollWidth") <= width
    beyond = (
        "[...document.querySelectorAll('body *')].filter(one => !one.closest('svg, .skip') "
        "&& one.getClientRects().length && one.getBoundingClientRect().right > innerWidth + 1)"
        ".map(one => one.outerHTML.slice(0, 80))"
    )
    assert page.run(beyond) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_text_in_drawings_can_be_read(page: Playground, width: int) -> None:
    """At least 10 pixels high on the screen, and inside its drawing."""
    page.open(width)
    small = (
        "[...document.querySelectorAll('svg text')].filter((one) => { const svg = one.ownerSVGElement; const box = "
        "one.getBoundingClientRect(); const frame = svg.getBoundingClientRect(); const scale = svg.getScreenCTM().a; "
        "return parseFloat(getComputedStyle(one).fontSize) * scale < 10 || box.left < frame.left - 1 || box.right > "
        "frame.right + 1 || box.bottom > frame.bottom + 2 || box.top < frame.top - 4; })"
        ".map((one) => one.ownerSVGElement.dataset.draw + ': ' + one.textContent)"
    )
    assert page.run("document.querySelectorAll('svg text').length") > 60
    assert page.run(small) == []


def test_keys_move_sliders_and_choices(page: Playground) -> None:
    page.run("document.querySelector('#loss [type=range]').focus()")
    page.browser.press("ArrowRight")
    assert page.run("document.querySelector('#loss-chosen').value") == "0.01"
    assert page.see("#loss")["loss"].value < 0.6931
    page.browser.press("End")
    assert page.run("document.querySelector('#loss-chosen').value") == "4"
    page.run("document.querySelector('#architecture [type=radio]').focus()")
    page.browser.press("ArrowRight")
    assert page.run("document.querySelector('#architecture [value=reward]').checked")
    assert page.see("#architecture .body")["head"].text == "4,096"


def test_every_control_is_reached_by_the_tab_key(page: Playground) -> None:
    page.run(OPEN_ALL)
    wanted = page.run(
        "[...document.querySelectorAll('*')].flatMap((one, at) => one.matches('button:not(:disabled), select, textarea,"
        " a, summary, input:not([type=radio]), [type=radio]:checked') ? [at] : [])"
    )
    seen = set()
    for _ in range(2 * len(wanted)):
        page.browser.press("Tab")
        seen.add(page.run("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        assert page.run("getComputedStyle(document.activeElement).outlineStyle !== 'none' || "
                        "document.activeElement.matches('[type=radio], body, main')")  # fmt: skip
    assert set(wanted) <= seen


def test_what_cannot_be_used_is_marked_and_not_taken(page: Playground) -> None:
    before = page.see("#loss")["loss"].value
    field = "document.querySelector('#loss-chosen')"
    for typed in ("", "5", "-4.01"):
        page.run(
            f"{field}.focus(), {field}.value = '{typed}', {field}.dispatchEvent(new Event('input', {{bubbles: true}}))"
        )
        assert page.run(f"{field}.getAttribute('aria-invalid')") == "true"
        assert page.see("#loss")["loss"].value == before
    page.run(f"{field}.blur()")
    assert page.run(f"[{field}.value, {field}.getAttribute('aria-invalid')]") == ["0", None]
    page.visit("#loss", [{"chosen": 0.123}])  # finer than the slider's step
    assert page.see("#loss")["loss"].value == pytest.approx(0.6335, abs=1e-4)
    page.visit("#architecture .body", [{"hidden_size": 12.5}])
    assert page.see("#architecture .body")["body"].value == 7_504_924_672


def test_the_button_changes_the_theme(page: Playground) -> None:
    page.open(dark=True)
    dark = page.run(GROUND)
    page.run("document.querySelector('[data-theme-toggle]').click()")
    light = page.run(GROUND)
    assert light != dark
    page.open()
    assert page.run(GROUND) == light


def test_it_can_be_printed(page: Playground) -> None:
    page.open(dark=True)
    page.browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert page.run("getComputedStyle(document.documentElement).colorScheme") == "light"
    for gone in ("button", "[type=range]", "nav"):
        assert page.run(f"getComputedStyle(document.querySelector('{gone}')).display") == "none", gone
    pdf = page.browser.call("Page.printToPDF", printBackground=True)["data"]
    assert len(pdf) > 50_000


def test_it_can_be_read_without_seeing_it(page: Playground) -> None:
    """Everything to act on or to look at has a name of its own, headings do not skip a level, formulas are formulas."""
    page.run(OPEN_ALL)
    tree = page.browser.call("Accessibility.getFullAXTree")["nodes"]
    wanted = {
        "button",
        "img",
        "image",
        "link",
        "slider",
        "spinbutton",
        "combobox",
        "radio",
        "checkbox",
        "group",
        "navigation",
    }
    named = [node for node in tree if node.get("role", {}).get("value") in wanted and not node["ignored"]]
    assert {node["role"]["value"] for node in named} >= {
        "button",
        "slider",
        "spinbutton",
        "combobox",
        "radio",
        "checkbox",
    }
    assert [node for node in named if not node.get("name", {}).get("value")] == []
    images = [node["name"]["value"] for node in named if node["role"]["value"] in {"img", "image"}]
    assert len(images) == page.run("document.querySelectorAll('svg').length") == len(set(images))
    ids = page.run("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    targets = page.run("[...document.querySelectorAll('a[href]')].map(one => one.getAttribute('href').slice(1))")
    assert set(targets) <= set(ids)
    assert set(SECTIONS) <= set(targets)
    levels = page.run("[...document.querySelectorAll('h1, h2, h3, h4, h5')].map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.run("document.querySelectorAll('.lead math').length") >= 5


@pytest.mark.parametrize("width", [390, 1440])
def test_fingers_find_the_controls(page: Playground, width: int) -> None:
    """WCAG 2.2, 2.5.8: at least 24 by 24 pixels."""
    page.open(width)
    page.run(OPEN_ALL)
    small = (
        "[...document.querySelectorAll('main button, main select, main input, nav a')].filter((one) => { const box = "
        "(one.closest('label.tick, .choice label') ?? one).getBoundingClientRect(); "
        "return box.width < 24 || box.height < 24; })"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )
    assert page.run(small) == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(page: Playground, dark: bool) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5, what cannot be pressed excepted."""
    page.open(dark=dark)
    page.run(OPEN_ALL)
    page.run(
        "document.querySelectorAll('#pooling [value=bug], #architecture [value=reward]').forEach((one) => one.click())"
    )
    page.run(FRAME)
    pale = """(() => {
      const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const blend = (colours) => {
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255);
        const [r, g, b] = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const shown = (one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest("svg, .skip, :disabled");
      const holds = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      const holders = [...document.querySelectorAll("body *")].filter((one) => shown(one) && holds(one));
      return [holders.length, holders.filter((one) => {
        const grounds = [];
        for (let at = one; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
        const ground = blend(grounds);
        const ink = blend([...grounds, getComputedStyle(one).color]);
        return Math.max(ink, ground) / Math.min(ink, ground) < 4.5;
      }).map((one) => one.outerHTML.slice(0, 90))];
    })()"""
    count, found = page.run(pale)
    assert count > 400
    assert found == []


def test_the_page_says_what_to_do_without_scripts(page: Playground) -> None:
    assert "<noscript>" in render_playground()
    assert json.loads(page.run("JSON.stringify(Object.keys(window.palate))"))[-1] == "main.js"
