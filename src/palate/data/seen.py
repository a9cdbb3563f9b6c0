"""Which ids have been seen, at about twelve bytes each: what must be remembered of every group that went by."""

from array import array
from hashlib import blake2b

_FREE = 0
_START = 1 << 10
_FULLEST = 0.7  # beyond it, open addressing probes long runs


class SeenIds:
    """A set of texts, kept as hashes of 8 bytes in one open-addressing table.

    Two different ids are taken for the same with a chance of 3e-8 among a million; the later one is then renamed,
    which costs nothing.

    >>> seen = SeenIds()
    >>> seen.add("a"), seen.add("b"), seen.add("a"), len(seen)
    (True, True, False, 2)
    """

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * _START))
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def add(self, text: str) -> bool:
        """Remember it; returns whether it is new."""
        if self._number >= _FULLEST * len(self._table):
            self._grow()
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        new = self._put(int.from_bytes(digest, "little") or 1)
        self._number += new
        return new

    def _put(self, mark: int) -> bool:
        at = mark % len(self._table)
        while (found := self._table[at]) != _FREE:
            if found == mark:
                return False
            at = (at + 1) % len(self._table)
        self._table[at] = mark
        return True

    def _grow(self) -> None:
        marks = self._table
        self._table = array("Q", bytes(16 * len(marks)))
        for mark in marks:
            if mark != _FREE:
                self._put(mark)
