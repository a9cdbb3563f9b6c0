"""One writer at a time, also where a worker that was taken for dead is still writing."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from palate.errors import ConfigError

PATIENCE = 60.0  # seconds that a worker taken for dead may still hold its part
_PAUSE = 0.2  # seconds between two attempts


@contextmanager
def held(path: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock that the system releases when its process ends, however it ends; none on Windows, which has no such.

    Args:
        path: of a file, made where it is not there.
        patience: seconds to wait for another holder.

    Raises:
        ConfigError: another process holds it.
    """
    with path.open("a") as file:
        if sys.platform != "win32":
            import fcntl

            end = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise ConfigError(
                            f"{path} is held by another palate score that writes here; wait for it, or stop it"
                        ) from None
                    time.sleep(_PAUSE)
        yield
