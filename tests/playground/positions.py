"""Moving the playground's controls as a reader does, and reading what it shows."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.report.browser import Browser

Position = dict[str, Any]

FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))"
"""Waits until what has changed is drawn."""

_VISIT = """((root, positions) => positions.map((position) => {
  for (const [name, value] of Object.entries(position)) {
    const fields = [...root.querySelectorAll(`[data-input="${name}"]`)];
    const radio = fields.find((one) => one.type === "radio" && one.value === value);
    const field = radio ?? fields[0];
    if (radio) radio.checked = true;
    else if (field.type === "checkbox") field.checked = value;
    else field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  return [...root.querySelectorAll("data")].map((one) => [
    (one.dataset.show ?? `reward${one.dataset.reward}`) + (one.dataset.entry ?? ""), one.value, one.textContent]);
}))(document.querySelector(%s), %s)"""

_MINUS = "\N{MINUS SIGN}"
_UNITS = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "%": 0.01}


@dataclass(frozen=True, slots=True)
class Shown:
    """A value on the page: in full, and as a reader sees it."""

    value: float
    text: str

    @property
    def read(self) -> tuple[float, float]:
        """What the text says, and half a unit of its last digit."""
        found = re.fullmatch(rf"([{_MINUS}+]?)([\d,]+)(?:\.(\d+))?\s*(\S*)", self.text)
        assert found, self.text
        sign, digits, decimals, unit = found.groups("")
        scale = _UNITS.get(unit, 1.0)
        number = float(f"{digits.replace(',', '')}.{decimals}0") * scale
        return -number if sign == _MINUS else number, 0.5 * scale * 10.0 ** -len(decimals)

    def says(self, wanted: float, tolerance: float = 1e-9) -> bool:
        """Whether both the value and the text are `wanted`."""
        if wanted == float("inf"):
            return self.value == wanted and self.text == "∞"
        read, half = self.read
        return abs(self.value - wanted) <= tolerance * max(1, abs(wanted)) and abs(read - wanted) <= half * (1 + 1e-6)


class Playground:
    """The page in its browser."""

    def __init__(self, browser: Browser, file: Path) -> None:
        self.browser = browser
        self._file = file

    def open(self, width: int = 1440, *, dark: bool = False, calm: bool = True) -> None:
        """Load it anew at a width of the window."""
        self.browser.show_at(width, dark=dark)
        wishes = {"prefers-color-scheme": "dark" if dark else "light"} | (
            {"prefers-reduced-motion": "reduce"} if calm else {}
        )
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.browser.call("Emulation.setEmulatedMedia", media="", features=features)
        self.browser.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.browser.open(self._file)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self.browser.run(script)

    def visit(self, root: str, positions: list[Position]) -> list[dict[str, Shown]]:
        """Set a section's fields to each position in turn, and read all that it shows there."""
        found = self.run(_VISIT % (json.dumps(root), json.dumps(positions)))
        return [{name: Shown(float(value), text) for name, value, text in shown} for shown in found]

    def see(self, root: str) -> dict[str, Shown]:
        """What a section shows as it stands."""
        return self.visit(root, [{}])[0]
