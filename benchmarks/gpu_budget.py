"""Time that a part of a benchmark may take: what does not fit is left out and said, and the rest still runs."""

import time
from typing import Self


class Budget:
    """Seconds from now on.

    >>> Budget(60).spent, Budget(-1).spent
    (False, True)
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; negative when it was overdrawn."""
        return self._end - time.monotonic()

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0

    def share(self, parts: int) -> Self:
        """What falls to the next of so many equal parts."""
        return type(self)(self.left / parts)
