"""Files that hold keys of servers: one a line. A server takes all of them, whoever asks it sends the first.

What is wrong with such a file is said without a word of what it holds.
"""

from pathlib import Path

from palate.errors import ConfigError


def key_lines(path: Path) -> tuple[str, ...]:
    """The keys in a file; empty lines and those that begin with # are left out.

    Raises:
        ConfigError: the file cannot be read, holds no key, or one that no HTTP header can carry.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read the keys in {path}: {error}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read the keys in {path}: it is not UTF-8 text") from None
    keys = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not keys:
        raise ConfigError(f"{path} holds no key; write one a line")
    for key in keys:
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(f"a key in {path} is not printable ASCII characters without spaces")
    return keys


def first_key(path: str | Path) -> str:
    """The key to be sent to a server.

    Raises:
        ConfigError: see `key_lines`.
    """
    return key_lines(Path(path))[0]
