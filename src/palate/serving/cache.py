"""Rewards by content, bounded: the same tokens have the same reward, whoever asks and in whatever form."""

import hashlib
import threading
from collections import OrderedDict

from palate.serving.encoding import Encoded


def content_key(encoded: Encoded, *, reads_response: bool) -> bytes:
    """16 bytes of BLAKE2 over the tokens, and over where the response begins where the pooling reads that."""
    start = encoded.response_start if reads_response else -1
    return hashlib.blake2b(encoded.ids.tobytes(), digest_size=16, salt=start.to_bytes(8, "big", signed=True)).digest()


class RewardCache:
    """The most recently used rewards; safe in several threads.

    Args:
        size: how many are kept; 0 keeps none.

    >>> cache = RewardCache(2)
    >>> for key in (b"a", b"b", b"a", b"c"):
    ...     cache.put(key, 1.0)
    >>> cache.get(b"a"), cache.get(b"b")
    (1.0, None)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._rewards: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rewards)

    def get(self, key: bytes) -> float | None:
        """The reward, now the most recently used one; None where it is not known."""
        with self._lock:
            if key not in self._rewards:
                return None
            self._rewards.move_to_end(key)
            return self._rewards[key]

    def put(self, key: bytes, reward: float) -> None:
        """Keep a reward; the least recently used one makes room."""
        with self._lock:
            self._rewards[key] = reward
            self._rewards.move_to_end(key)
            if len(self._rewards) > self.size:
                self._rewards.popitem(last=False)
