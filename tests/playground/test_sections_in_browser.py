"""What single sections draw, and what their buttons and drawings do."""

from itertools import pairwise

import pytest
from tests.playground.positions import FRAME, Playground

from palate.walkthrough import walkthrough

pytestmark = pytest.mark.slow


def place(page: Playground, mark: str) -> tuple[float, float]:
    """The middle of a circle, in units of its drawing."""
    page.run(FRAME)
    x, y = page.run(f"(({{cx, cy}}) => [cx.baseVal.value, cy.baseVal.value])(document.querySelector('{mark}'))")
    return x, y


def test_the_point_is_where_the_values_are(page: Playground) -> None:
    for chosen, rejected, margin in ((0, 0, 0), (2.5, -1.25, 0.5), (-4, 4, 3)):
        page.visit("#loss", [{"chosen": chosen, "rejected": rejected, "margin": margin}])
        shown = page.see("#loss")
        x, y = place(page, '[data-draw="landscape"] .point')
        assert (x, y) == pytest.approx((42 + (rejected + 4) / 8 * 348, 360 - (chosen + 4) / 8 * 348), abs=0.02)
        x, y = place(page, '[data-draw="curve"] .point')
        assert x == pytest.approx(40 + (chosen - rejected + 8) / 16 * 350, abs=0.02)
        assert y == pytest.approx(222 - shown["loss"].value / 11 * 210, abs=0.02)


def test_arrows_point_downhill_and_are_as_long_as_the_slope(page: Playground) -> None:
    page.visit("#loss", [{"chosen": -1, "rejected": 1, "margin": 0}])
    page.run(FRAME)
    head = "document.querySelector('[data-draw=landscape] .arrow.ink .head').points[0]"
    x, y = page.run(f"[{head}.x, {head}.y]")
    slope = page.see("#loss")["gradRejected"].value
    at_x, at_y = place(page, '[data-draw="landscape"] .point')
    assert (at_x - x, at_y - y) == pytest.approx((1.6 * slope / 8 * 348,) * 2, abs=0.05)


def test_presets_and_the_step_downhill(page: Playground) -> None:
    wanted = {"First step": 0.6931, "Easy pair": 0.0486, "Mislabelled pair": 3.0486}
    for name, loss in wanted.items():
        page.run(f"[...document.querySelectorAll('#loss button')].find((one) => one.textContent === '{name}').click()")
        assert page.see("#loss")["loss"].value == pytest.approx(loss, abs=5e-5)
    before = page.see("#loss")
    page.run("document.querySelector('[data-downhill]').click()")
    rewards = page.run("['chosen', 'rejected'].map((n) => +document.querySelector(`#loss [data-input=${n}]`).value)")
    assert rewards == pytest.approx([-1.5 - before["gradChosen"].value, 1.5 - before["gradRejected"].value])
    assert page.see("#loss")["loss"].value < before["loss"].value


def test_presets_glide_unless_readers_want_no_motion(page: Playground) -> None:
    page.open(calm=False)
    jump = "document.querySelectorAll('#loss [data-preset]')[2].click()"
    page.run(f"{jump}; {FRAME}")
    assert page.see("#loss")["loss"].value < 3.0
    page.run("new Promise((done) => setTimeout(() => done(0), 600))")
    assert page.see("#loss")["loss"].value == pytest.approx(3.0486, abs=5e-5)


def test_a_glide_gives_way_to_the_reader(page: Playground) -> None:
    page.open(calm=False)
    page.run(f"document.querySelectorAll('#loss [data-preset]')[2].click(); {FRAME}")
    page.visit("#loss", [{"chosen": 2, "rejected": 1}])
    page.run("new Promise((done) => setTimeout(() => done(0), 600))")
    assert page.see("#loss")["loss"].value == pytest.approx(0.3133, abs=5e-5)


def test_the_point_follows_the_pointer(page: Playground) -> None:
    page.run("document.querySelector('[data-draw=landscape]').scrollIntoView({block: 'center'})")
    box = page.run(
        "(b => [b.x, b.y, b.width])(document.querySelector('[data-draw=landscape]').getBoundingClientRect())"
    )
    scale = box[2] / 400

    def mouse(kind: str, x: float, y: float) -> None:
        at = {"x": box[0] + x * scale, "y": box[1] + y * scale}
        page.browser.call("Input.dispatchMouseEvent", type=kind, **at, button="left", buttons=1, clickCount=1)

    mouse("mousePressed", 216, 186)
    mouse("mouseMoved", 42 + 348 * 0.75, 360 - 348 * 0.25)
    mouse("mouseReleased", 42 + 348 * 0.75, 360 - 348 * 0.25)
    mouse("mouseMoved", 216, 186)
    rewards = page.run("['rejected', 'chosen'].map((n) => +document.querySelector(`#loss [data-input=${n}]`).value)")
    assert rewards == pytest.approx([2, -2], abs=0.03)


def test_steps_by_hand_go_on_from_where_they_are(page: Playground) -> None:
    losses = [page.see("#worked")["loss"].value]
    for _ in range(3):
        page.run("document.querySelector('[data-step]').click()")
        losses.append(page.see("#worked")["loss"].value)
    wanted = walkthrough()
    assert losses[:2] == pytest.approx([wanted.before.loss, wanted.after.loss], abs=1e-12)
    assert all(after < before for before, after in pairwise(losses))
    page.run("document.querySelector('[data-restart]').click()")
    assert page.see("#worked")["loss"].value == losses[0]


def test_stages_come_one_by_one(page: Playground) -> None:
    visible = (
        "[...document.querySelectorAll('[data-stage]')].map((one) => "
        "one.querySelector('data').checkVisibility({visibilityProperty: true}))"
    )
    assert page.run(visible) == [True] * 7
    page.run("document.querySelector('[data-first]').click()")
    for stages in range(1, 8):
        assert page.run(visible) == [True] * stages + [False] * (7 - stages)
        assert page.run("document.querySelector('[data-back]').disabled") == (stages == 1)
        page.run("document.querySelector('[data-next]').click()")
    page.run("document.querySelector('[data-back]').click()")
    assert page.run(visible) == [True] * 6 + [False]


def test_the_layer_that_changes_is_the_last_one(page: Playground) -> None:
    layers = (
        "[...document.querySelectorAll('.layer')].map((one) => "
        "[one.querySelector('b').textContent, one.matches('.changes')])"
    )
    assert page.run(layers) == [["LM head", True], ["32 layers and a last norm", False], ["embedding", False]]
    page.visit("#architecture .body", [{"kind": "reward"}])
    page.run(FRAME)
    heads = [["reward head", True], ["pooling", True]]
    assert page.run(layers) == [*heads, ["32 layers and a last norm", False], ["embedding", False]]
    assert page.run("document.querySelector('.layer .shape').textContent").endswith(
        "1, no bias, float32, starts at zero"
    )


def test_which_tokens_are_read(page: Playground) -> None:
    read = (
        "[...document.querySelectorAll('#pooling .row')].map((row) => "
        "[...row.querySelectorAll('.token')].flatMap((one, i) => one.matches('.read') ? [i] : []))"
    )
    wanted = {
        ("last", "right"): [37, 27, 30],
        ("last", "left"): [37] * 3,
        ("bug", "right"): [37] * 3,
        ("cls", "left"): [0, 10, 7],
    }
    for (rule, side), places in wanted.items():
        page.visit("#pooling", [{"rule": rule, "side": side}])
        assert page.run(read) == [[one] for one in places], (rule, side)
    page.visit("#pooling", [{"rule": "mean-response", "side": "right"}])
    assert page.run(read) == [list(range(24, 38)), list(range(24, 28)), list(range(24, 31))]
