"""The pictures of the playground in the documentation.

python -m tests.playground.pictures    takes them anew, with Chromium
"""

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.playground.positions import FRAME, Playground
from tests.report.browser import Browser

from palate.playground.page import write_playground

EDGE = 14  # pixels around what is taken
FOLDER = Path(__file__).parents[2] / "docs" / "images"


@dataclass(frozen=True, slots=True)
class Picture:
    """What to press, and which part of the page to take: from the top of one element to the bottom of another."""

    name: str
    script: str
    part: str
    until: str
    dark: bool = False
    width: int = 1240


def press(selector: str) -> str:
    return f"document.querySelector('{selector}').click();"


PICTURES = (
    Picture("loss", press("#loss [data-preset]:nth-child(3)"), "#loss .body", "#loss .bench"),
    Picture(
        "architecture", press("#architecture [value=reward]"), "#architecture .body", "#architecture .bench", dark=True
    ),
    Picture("pooling", press("#pooling [value=bug]"), "#pooling-title", "#pooling .says"),
    Picture(
        "sharing",
        press("#sharing [data-preset]:nth-child(2)"),
        "#sharing .body",
        "#sharing [data-draw=blocks]",
        dark=True,
    ),
    Picture("worked", "", "#worked .stages", "#worked .stages"),
    Picture("length", press("#length [value=on]"), "#length .body", "#length .body"),
    Picture(
        "best-of-n", press("#best_of_n [data-preset]:nth-child(3)"), "#best_of_n .body", "#best_of_n .body", dark=True
    ),
    Picture("phone", press("#loss [data-preset]:nth-child(3)"), "#loss .buttons", "#loss .says", width=390),
)


def take(playground: Playground, picture: Picture) -> bytes:
    """A PNG of a part of the page, a little smaller than on the screen."""
    playground.browser.call("Emulation.setScrollbarsHidden", hidden=True)
    playground.open(picture.width, dark=picture.dark)
    playground.run(f"{picture.script} {FRAME}")
    first = f"document.querySelector('{picture.part}').getBoundingClientRect()"
    left, top, right = playground.run(f"(({{left, top, right}}) => [left, top + scrollY, right])({first})")
    bottom = playground.run(f"document.querySelector('{picture.until}').getBoundingClientRect().bottom + scrollY")
    clip = {
        "x": left - EDGE,
        "y": top - EDGE,
        "width": right - left + 2 * EDGE,
        "height": bottom - top + 2 * EDGE,
        "scale": 0.9,
    }
    shot = playground.browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    return base64.b64decode(shot["data"])


def main() -> None:
    """Take all of them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "playground.html")
        write_playground(file)
        browser = Browser(Path(folder, "profile"))
        try:
            for picture in PICTURES:
                (FOLDER / f"playground-{picture.name}.png").write_bytes(take(Playground(browser, file), picture))
        finally:
            browser.close()


if __name__ == "__main__":
    main()
