"""What is said of a run that is under way."""

import pytest

from palate.score_parts.inputs import Stamp
from palate.score_parts.manifest import PartResult
from palate.score_parts.plan import Part
from palate.score_parts.progress import Tracker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def part(name: str, expected: int | None, size: int = 100) -> Part:
    return Part(name, f"{name}.in", Stamp(size, 0, "", expected), None, 0, expected, size)


def test_speed_and_time_left_are_of_what_this_run_scores() -> None:
    clock, (a, b) = Clock(), (part("a", 1000), part("b", 1000))
    tracker = Tracker([a, b], {}, clock)
    assert (tracker.now().per_second, tracker.now().seconds_left) == (0.0, None)
    tracker.tell(a, 600)  # found on disk
    clock.now += 4
    tracker.tell(a, 800)
    now = tracker.now()
    assert (now.done, now.prompts, now.expected) == (0, 800, 2000)
    assert now.per_second == pytest.approx(50)
    assert now.seconds_left == pytest.approx(1200 / 50)
    tracker.tell(a, PartResult(prompts=900))  # some rows were none
    assert (tracker.now().done, tracker.now().expected) == (1, 1900)


def test_parts_of_earlier_runs_are_done_and_no_speed() -> None:
    clock, (a, b) = Clock(), (part("a", 10), part("b", 10))
    tracker = Tracker([a, b], {"a": PartResult(prompts=7)}, clock)
    tracker.tell(b, 0)
    clock.now += 1
    tracker.tell(b, 5)
    assert (tracker.now().done, tracker.now().prompts, tracker.now().per_second) == (1, 12, 5.0)


def test_a_part_whose_rows_nobody_knows_is_as_dense_as_the_rest() -> None:
    tracker = Tracker([part("a", 50, size=100), part("b", None, size=300)], {}, Clock())
    assert tracker.now().expected == 50 + 150
    alone = Tracker([part("b", None)], {}, Clock())
    assert (alone.now().expected, alone.now().seconds_left) == (0, None)


def test_more_than_was_expected_is_not_less_than_nothing_left() -> None:
    clock, a = Clock(), part("a", 3)
    tracker = Tracker([a], {}, clock)
    tracker.tell(a, 0)
    clock.now += 1
    tracker.tell(a, 5)
    assert (tracker.now().expected, tracker.now().seconds_left) == (5, None)


def test_a_failed_part_is_done_with() -> None:
    a = part("a", 10)
    tracker = Tracker([a], {}, Clock())
    tracker.tell(a, 4)
    tracker.tell(a, PartResult(error="broken"))
    assert (tracker.now().done, tracker.now().prompts, tracker.now().expected) == (1, 4, 4)
