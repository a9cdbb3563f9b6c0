"""What the page says and draws at the ends of its sliders, where random positions hardly ever get."""

import json
import math
import re
from itertools import product

import numpy as np
import pytest
from tests.playground.positions import FRAME, Playground, Position

from palate.auditing.limits import AUDIT_LIMITS
from palate.metrics.dependence import length_dependence
from palate.metrics.hacking import _peak
from palate.playground.sample import LOG_MEAN, LOG_SPREAD, draw_sample

pytestmark = pytest.mark.slow

CUT = """[...document.querySelectorAll('%s svg text, %s svg circle')].filter((one) => {
  const frame = one.ownerSVGElement.getBoundingClientRect(); const box = one.getBoundingClientRect();
  const far = one.tagName === "circle" ? box.width / 2 : 1;
  return box.left < frame.left - far || box.right > frame.right + far || box.top < frame.top - far - 3
    || box.bottom > frame.bottom + far + 1;
}).map((one) => one.ownerSVGElement.dataset.draw + ': ' + one.textContent)"""


def says(page: Playground, root: str, position: Position) -> str:
    page.visit(root, [position])
    text: str = page.run(f"document.querySelector('{root} .says').textContent")
    return text


def test_nothing_is_cut_off_at_the_ends(page: Playground) -> None:
    ends = {
        "#loss": [{"chosen": c, "rejected": r, "margin": m} for c, r, m in product((-4, 1, 4), (-4, 1, 4), (0, 3))],
        "#sharing": [{"count": k, "prompt": p, "response": r} for k, p, r in product((1, 8), (0, 200), (1, 150))],
        "#best_of_n": [{"power": 16, "alpha": a, "beta": b} for a, b in product((0, 0.5, 2), (0, 0.2, 0.6))],
        "#length": [{"bias": b, "deserved": d} for b, d in product((-2, 2), (0, 0.9))],
    }
    for width in (320, 390, 1440):
        page.open(width)
        for root, positions in ends.items():
            for at in positions:
                page.visit(root, [at])
                page.run(FRAME)
                assert page.run(CUT % (root, root)) == [], (width, at)


def test_figures_at_axes_are_as_large_as_other_text(page: Playground) -> None:
    sizes = "[...new Set([...document.querySelectorAll('svg text')].map((one) => getComputedStyle(one).fontSize))]"
    assert page.run(sizes) == ["12px"]


def test_curves_do_not_stop_where_the_frame_ends(page: Playground) -> None:
    """A loss, or a gold, that goes on is not drawn as one that stays where it is."""
    last = "(([a, b]) => a.y - b.y)([...document.querySelector('{}').points].{})"
    page.visit("#loss", [{"chosen": -4, "rejected": 4, "margin": 3}])
    page.run(FRAME)
    assert page.run(last.format("[data-draw=curve] .curve", "slice(0, 2)")) < -0.5
    page.visit("#best_of_n", [{"power": 16, "alpha": 0.7, "beta": 0.6}])
    page.run(FRAME)
    assert page.run(last.format("[data-draw=curves] .curve.s2", "slice(-2)")) < -0.5


def test_the_loss_is_that_of_a_coin_only_without_a_margin(page: Playground) -> None:
    assert "the loss is that of a coin" in says(page, "#loss", {"chosen": 1, "rejected": 1, "margin": 0})
    assert "above that of a coin" in says(page, "#loss", {"chosen": 1, "rejected": 1, "margin": 1})


def test_an_audit_is_not_said_to_do_what_it_would_not(page: Playground) -> None:
    sample, limit = draw_sample(), AUDIT_LIMITS["length-bias"]
    length, rest = np.array(sample.length), np.array(sample.rest)
    tokens, names = np.exp(LOG_MEAN + LOG_SPREAD * length), np.arange(len(length)) // 2
    for bias, deserved in ((0.0, 0.2), (0.3, 0.2), (0.5, 0.2), (1.5, 0.0)):
        reward = deserved * length + np.sqrt(1 - deserved**2) * rest + bias * length
        found = length_dependence(reward, tokens, names.astype(str))
        r2 = max((found.pooled_log.r2, found.within_log.r2), key=lambda one: one.value)
        judged = limit.judge(r2.low if r2.low is not None else r2.value)
        text = says(page, "#length", {"control": "off", "bias": bias, "deserved": deserved})
        said = re.search(r"An audit (fails|warns|would pass)[^.]*", text)
        assert said, text
        assert "enough to be sure" in said[0] or judged is None, (text, judged)


def test_what_is_deserved_is_said_where_it_is_so(page: Playground) -> None:
    at = {"control": "off"}
    assert "deserved" not in says(page, "#length", at | {"bias": -2, "deserved": 0.5})  # shorter ones get more
    assert "deserved" not in says(page, "#length", at | {"bias": -0.9, "deserved": 0.9})  # length explains nothing
    assert "All of that is deserved" in says(page, "#length", at | {"bias": 0, "deserved": 0.9})
    assert "Part of that is deserved" in says(page, "#length", at | {"bias": 0.01, "deserved": 0.9})


def test_log_length_is_in_the_unit_that_the_page_names(page: Playground) -> None:
    times = page.run("document.querySelector('#length .aside').textContent.match(/([\\d.]+) times as long/)[1]")
    length = np.array(draw_sample().length)
    slope = np.polyfit(length * LOG_SPREAD, length, 1)[0]  # of a reward with b = 1, by the logarithm of tokens
    assert slope * math.log(float(times)) == pytest.approx(1, abs=0.03)


def test_a_peak_that_is_far_away_is_where_it_is(page: Playground) -> None:
    for alpha, beta in ((1, 0.03), (1, 0.02), (1, 0.01), (2, 0.01)):
        (shown,) = page.visit("#best_of_n", [{"alpha": alpha, "beta": beta}])
        wanted = (alpha / (2 * beta)) ** 2 + 1  # ln n, but for 1 / n
        if wanted < 700:
            assert math.log(shown["peak"].value) == pytest.approx(wanted)
        else:
            assert math.isinf(shown["peak"].value)
        assert shown["peak"].text == "over 10¹⁵"


def test_where_nothing_can_be_gained_nothing_is_promised(page: Playground) -> None:
    (shown,) = page.visit("#best_of_n", [{"alpha": 0, "beta": 0}])
    assert shown["peak"].value == _peak(np.zeros(1), np.zeros(1), 100_000)[0] == 1
    assert "always better" not in says(page, "#best_of_n", {"alpha": 0, "beta": 0})


def test_whole_numbers_stay_whole_when_a_glide_is_interrupted(page: Playground) -> None:
    page.open(calm=False)
    page.run(f"document.querySelectorAll('#sharing [data-preset]')[1].click(); {FRAME}")
    page.visit("#sharing", [{"token": 5}])
    page.run("new Promise((done) => setTimeout(() => done(0), 500))")
    assert page.run("document.querySelector('#sharing-token').value") == "5"
    assert page.run("document.querySelectorAll('#sharing input:invalid').length") == 0
    assert "." not in page.run("document.querySelector('#sharing-count').value")


def test_steps_downhill_are_whole_however_fast_they_come(page: Playground) -> None:
    press = "document.querySelector('[data-downhill]').click()"
    for _ in range(3):
        page.run(press)
    slowly = page.see("#loss")["loss"].value
    page.open(calm=False)
    for _ in range(3):
        page.run(f"{press}; {FRAME}")
    page.run("new Promise((done) => setTimeout(() => done(0), 600))")
    assert page.see("#loss")["loss"].value == pytest.approx(slowly)


def test_the_token_that_is_read_is_more_than_a_colour(page: Playground) -> None:
    page.visit("#pooling", [{"rule": "last", "side": "right"}])
    assert page.run("document.querySelectorAll('#pooling [aria-current=true]').length") == 3
    features = [{"name": "forced-colors", "value": "active"}]
    page.browser.call("Emulation.setEmulatedMedia", media="", features=features)
    ground = "getComputedStyle(document.querySelector('#pooling .token.{}')).backgroundColor"
    assert page.run(ground.format("read")) != page.run(ground.format("question"))


def test_what_comes_later_can_be_read(page: Playground) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5, in light and dark."""
    for dark in (False, True):
        page.open(dark=dark)
        page.run("document.querySelector('[data-first]').click()")
        ink, ground, opacity = page.run(
            "((one) => [getComputedStyle(one.querySelector('h3')).color, getComputedStyle(one).backgroundColor, "
            "getComputedStyle(one).opacity])(document.querySelector('.stages > .later'))"
        )
        share = float(opacity)
        ink, ground = ([int(part) / 255 for part in re.findall(r"\d+", colour)[:3]] for colour in (ink, ground))
        seen = [share * a + (1 - share) * b for a, b in zip(ink, ground, strict=True)]
        light = [
            0.05 + np.dot([0.2126, 0.7152, 0.0722], np.power((np.array(c) + 0.055) / 1.055, 2.4))
            for c in (seen, ground)
        ]
        assert max(light) / min(light) > 4.5, dark


def test_only_one_reward_is_the_highest(page: Playground) -> None:
    verdicts = (
        "[...document.querySelectorAll('#pooling .verdict')].filter((one) => one.textContent === 'highest').length"
    )
    for rule, count in (("last", 1), ("cls", 0)):
        page.visit("#pooling", [{"rule": rule, "side": "right"}])
        assert page.run(verdicts) == count, rule


def test_names_hold_what_labels_show(page: Playground) -> None:
    """WCAG 2.2, 2.5.3: who speaks to the page says what stands there."""
    labels = """[...document.querySelectorAll('label')].filter((one) => one.control?.ariaLabel).map((one) => {
      const shown = one.cloneNode(true); shown.querySelectorAll('math, small, select').forEach((part) => part.remove());
      return [shown.textContent.trim().replace(/,$/, ''), one.control.ariaLabel]; })"""
    pairs = page.run(labels)
    assert len(pairs) > 10
    assert [pair for pair in pairs if pair[0].lower() not in pair[1].lower()] == [], json.dumps(pairs)
