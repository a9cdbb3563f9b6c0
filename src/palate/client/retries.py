"""When to ask again: after faults that pass, later each time, and never two clients at the same moment."""

import random
from dataclasses import dataclass

PASSING = frozenset({429, 500, 502, 503, 504, 507})
"""Statuses of faults that pass: too much to do, restarting, out of memory. Others come back the same."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Exponential backoff with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015: sleep = U(0, min(cap, base 2^n)).

    Attributes:
        tries: how often to ask in all.
        base, cap: seconds.
    """

    tries: int = 8
    base: float = 0.5
    cap: float = 30.0

    def pause(self, failed: int, retry_after: str | None, rng: random.Random) -> float:
        """Seconds to wait after so many failures; at least what the server asked for, and some more.

        >>> 0 <= Retries().pause(1, None, random.Random(0)) <= 0.5
        True
        >>> 2 <= Retries().pause(1, "2", random.Random(0)) <= 2.5
        True
        """
        spread = rng.uniform(0, min(self.cap, self.base * 2 ** (failed - 1)))
        try:
            asked = float(retry_after or 0)
        except ValueError:  # a date, which palate never sends
            asked = 0.0
        return min(max(asked, 0.0), 2 * self.cap) + spread
