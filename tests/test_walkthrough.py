import subprocess
import sys
from dataclasses import astuple, replace

import pytest

from palate.walkthrough import autograd_check, render, walkthrough


def flat(values: object) -> list[float]:
    return [number for value in values for number in flat(value)] if isinstance(values, tuple) else [values]


def test_step_0_has_the_published_numbers() -> None:
    step = walkthrough().before
    assert (step.reward_chosen, step.reward_rejected, step.margin, step.probability) == (0, 0, 0, 0.5)
    assert step.loss == pytest.approx(0.6931, abs=5e-5)
    assert (step.grad_reward_chosen, step.grad_reward_rejected) == (-0.5, 0.5)
    assert step.gradient == pytest.approx((-0.2, -0.3, 0.1, -0.2))


def test_step_1_has_the_published_numbers() -> None:
    result = walkthrough()
    assert result.update == pytest.approx((0.2, 0.3, -0.1, 0.2))
    assert result.after.weights == pytest.approx((0.2, 0.3, -0.1, 0.2))
    assert result.after.reward_chosen == pytest.approx(0.47)
    assert result.after.reward_rejected == pytest.approx(0.11)
    assert result.after.margin == pytest.approx(0.36)
    assert result.after.probability == pytest.approx(0.589, abs=5e-4)
    assert result.after.loss == pytest.approx(0.529, abs=5e-4)


def test_autograd_agrees_on_every_number() -> None:
    by_hand, autograd = flat(astuple(walkthrough())), flat(astuple(autograd_check()))
    assert len(by_hand) == 34
    assert autograd == pytest.approx(by_hand, abs=1e-12)


def test_the_numbers_need_nothing_but_the_standard_library() -> None:
    program = (
        "import sys\nfrom palate.walkthrough import render, walkthrough\n"
        "render(walkthrough(), walkthrough())\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_shows_each_number_beside_autograd_and_their_difference() -> None:
    page = render(walkthrough(), autograd_check())
    rows = [line.split()[-3:] for line in page.splitlines() if "e+00" in line or "e-" in line]
    assert len(rows) == 34
    shown = flat(astuple(walkthrough()))
    assert sorted(float(row[0]) for row in rows) == pytest.approx(sorted(shown), abs=1e-6)
    assert all(row[0] == row[1] and float(row[2]) < 1e-6 for row in rows)
    assert "-0.000000" not in page


def test_the_page_shows_a_disagreement() -> None:
    result = walkthrough()
    page = render(result, replace(result, update=tuple(change + 0.1 for change in result.update)))
    (row,) = [line for line in page.splitlines() if "change of w [1]" in line]
    assert row.split()[-3:] == ["0.200000", "0.300000", "1.0e-01"]


def test_the_footnote_is_right_about_the_wrong_listing() -> None:
    page = render(walkthrough(), walkthrough())
    wrong = (0.2, 0.3, 0.1, 0.2)
    chosen = sum(w * h for w, h in zip(wrong, (0.5, 1.0, -0.3, 0.2), strict=True))
    rejected = sum(w * h for w, h in zip(wrong, (0.1, 0.4, -0.1, -0.2), strict=True))
    assert f"{chosen:.2f} and {rejected:.2f}; 0.19 follows from neither" in page
