"""How far a run is: parts, prompts, how fast, and how long still."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from palate.score_parts.manifest import PartResult
from palate.score_parts.plan import Part


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run.

    Attributes:
        parts, done: all parts, and those with a result.
        prompts: scored, by earlier runs too.
        expected: prompts in all, as far as can be told; at least `prompts`.
        per_second: prompts that this run scored a second; 0 before the first.
        seconds_left: None while nothing can be said.
    """

    parts: int
    done: int
    prompts: int
    expected: int
    per_second: float
    seconds_left: float | None

    def describe(self) -> str:
        """One line for people.

        >>> Progress(parts=4, done=1, prompts=1200, expected=5000, per_second=95.2, seconds_left=39.9).describe()
        '1/4 parts, 1,200 of about 5,000 prompts, 95.2/s, 0:40 left'
        """
        line = f"{self.done}/{self.parts} parts, {self.prompts:,} of about {self.expected:,} prompts"
        line += f", {self.per_second:,.1f}/s" if self.per_second else ""
        return line + (f", {_clock(self.seconds_left)} left" if self.seconds_left is not None else "")


class Tracker:
    """Counts what workers report.

    Args:
        parts: all of them.
        results: of those that are done already, by name.
        clock: in seconds.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        results: dict[str, PartResult],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expected = {part.name: part.expected for part in parts}
        self._sizes = {part.name: part.size for part in parts}
        self._prompts = dict.fromkeys(self._expected, 0)
        self._done: set[str] = set()
        self._fresh = 0
        self._begun: set[str] = set()
        self._clock = clock
        self._start: float | None = None
        for name, result in results.items():
            self._finish(name, result)

    def tell(self, part: Part, event: int | PartResult) -> None:
        """What a worker said: prompts on disk, the first time those that it found there, or how it ended."""
        if self._start is None:
            self._start = self._clock()
        if isinstance(event, PartResult):
            self._finish(part.name, event)
            return
        if part.name in self._begun:
            self._fresh += max(0, event - self._prompts[part.name])
        self._begun.add(part.name)
        self._prompts[part.name] = event

    def _finish(self, name: str, result: PartResult) -> None:
        self._done.add(name)
        if result.error is None:
            self._prompts[name] = result.prompts

    def now(self) -> Progress:
        """This moment."""
        prompts, expected = sum(self._prompts.values()), self._total()
        seconds = 0.0 if self._start is None else self._clock() - self._start
        rate = self._fresh / seconds if seconds > 0 else 0.0
        left = (expected - prompts) / rate if rate and expected > prompts else None
        return Progress(len(self._expected), len(self._done), prompts, expected, rate, left)

    def _total(self) -> int:
        """Prompts in all. What cannot be told without parsing is taken to hold as many a byte as the rest."""
        known = {name: self._prompts[name] if name in self._done else rows for name, rows in self._expected.items()}
        sure = {name: max(rows, self._prompts[name]) for name, rows in known.items() if rows is not None}
        size = sum(self._sizes[name] for name in sure)
        density = sum(sure.values()) / size if size else 0.0
        unsure = (max(round(density * self._sizes[name]), self._prompts[name]) for name in known.keys() - sure.keys())
        return sum(sure.values()) + sum(unsure)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
