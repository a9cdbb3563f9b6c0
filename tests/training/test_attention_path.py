"""A run says by which path its layers attend, and why."""

from pathlib import Path

import pytest

import palate
from palate.testing.runs import tiny_run
from palate.training.display import QuietDisplay


class Lines(QuietDisplay):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(warn=False)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dtype": "fp32"}, ["attention: segments (cpu, float32)"]),
        ({"dtype": "bf16"}, ["attention: segments (cpu, bfloat16)"]),
        ({"layout": "padded"}, []),  # the body's own attention runs, and there is no path to choose
    ],
)
def test_the_path_is_said_before_the_first_step(settings: dict, expected: list[str], tmp_path: Path) -> None:
    shown = Lines()
    palate.train(tiny_run(tmp_path, max_steps=1, **settings), display=shown)
    assert [line for line in shown.lines if line.startswith("attention: ")] == expected
