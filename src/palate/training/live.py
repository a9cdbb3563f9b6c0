"""How many bytes of tensors are alive, counted operation by operation.

The resident set of a process moves with its allocator and says little about one computation; this counts the storages
that operations return until they are freed, on any device. What an operation needs only while it runs is not seen.
"""

import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context that counts the tensors made inside it.

    Attributes:
        peak: most bytes of them alive at once.

    >>> with LiveBytes() as live:
    ...     a = torch.zeros(1000)
    ...     b = a[:10] + 1
    ...     del a
    ...     c = torch.zeros(10)
    >>> live.peak, live.now
    (4040, 80)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._seen: dict[int, int] = {}  # bytes of each live storage, by identity; 0 for those from outside

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count the storages that it returns and that were not there before."""
        for storage in _storages((args, kwargs)):
            self._note(storage, 0)
        output = func(*args, **(kwargs or {}))
        for storage in _storages(output):
            self._note(storage, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return output

    def _note(self, storage: torch.UntypedStorage, size: int) -> None:
        if id(storage) not in self._seen:
            self._seen[id(storage)] = size
            self.now += size
            weakref.finalize(storage, self._forget, id(storage)).atexit = False

    def _forget(self, name: int) -> None:
        self.now -= self._seen.pop(name)


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
