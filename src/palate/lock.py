"""One writer at a time: of a file, a part or a run's directory."""

import errno
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from palate.errors import ConfigError, PalateWarning

PATIENCE = 60.0  # seconds that a worker taken for dead may still hold its part
_PAUSE = 0.2  # seconds between two attempts
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)  # of file systems of clusters that were mounted without


@contextmanager
def held(path: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock that the system releases when its process ends, however it ends.

    On Windows and on file systems that have no such lock, nothing is held.

    The holder may delete the file: whoever waited for it then makes a new one.

    Args:
        path: of a file, made where it is not there.
        patience: seconds to wait for another holder.

    Raises:
        ConfigError: another process holds it.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    end = time.monotonic() + patience
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ConfigError(
                        f"{path} is held by another palate process that writes here; wait for it, or stop it"
                    ) from None
                time.sleep(_PAUSE)
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                warnings.warn(f"{path.parent} knows no locks: see that nobody else writes there", PalateWarning, 3)
            if _is_at(path, file):  # else its holder deleted it after it was opened here: nobody would meet this lock
                yield
                return


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
