"""That the page's colours can be read, and its series told apart, also by those who see fewer colours."""

import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], LUMINANCE, [0.0193, 0.1192, 0.9505]])
# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as protanopes, deuteranopes and tritanopes see it.
VISIONS = {
    "all": np.eye(3),
    "protan": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deutan": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritan": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def colours(dark: bool) -> dict[str, NDArray[np.float64]]:
    """Linear RGB by name."""
    css = files("palate.report").joinpath("page", "style.css").read_text(encoding="utf-8")
    found = re.findall(r"--(\w+): light-dark\(#(\w{6}), #(\w{6})\)", css)
    shares = {name: np.array([int(pair[dark][at : at + 2], 16) for at in (0, 2, 4)]) / 255 for name, *pair in found}
    return {name: np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4) for name, s in shares.items()}


def lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* under D65."""
    xyz = TO_XYZ @ linear.clip(0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(dark: bool) -> None:
    """WCAG 2.2: 4.5 for text, 3 for what is drawn."""
    light = {name: float(LUMINANCE @ colour) + 0.05 for name, colour in colours(dark).items()}
    texts, drawn = ("ink", "soft", "accent", "fail", "warn", "info", "good"), ("s1", "s2", "s3", "s4", "s5", "s6")
    for name in (*texts, *drawn):
        for ground in ("paper", "card", "sunk"):
            ratio = max(light[name], light[ground]) / min(light[name], light[ground])
            assert ratio >= (4.5 if name in texts else 3), (name, ground)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("vision", VISIONS)
def test_series_are_told_apart(vision: str, dark: bool) -> None:
    """Euclidean distance in L*a*b*, where 2.3 is just noticed between large patches."""
    seen = {name: lab(VISIONS[vision] @ colour) for name, colour in colours(dark).items() if re.fullmatch(r"s\d", name)}
    assert len(seen) == 6
    for first, second in combinations(seen, 2):
        assert np.linalg.norm(seen[first] - seen[second]) >= 14, (first, second)
