"""Who may use a server: keys, where they may be sent, and where a server without any may listen."""

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from palate.config.keys import key_lines
from palate.errors import ConfigError
from palate.serving.faults import Fault, ServeError

_SHORTEST = 16
_NAMES = {"key", "api_key", "api-key", "apikey", "token", "access_token", "auth", "authorization", "bearer"}


def read_keys(path: Path) -> tuple[str, ...]:
    """One key a line; empty lines and those that begin with # are left out.

    Raises:
        ConfigError: the file cannot be read, is open to everyone, or has no usable key.
    """
    keys = key_lines(path)
    if path.stat().st_mode & 0o004:
        raise ConfigError(f"every user of this machine can read the keys in {path}; chmod 600 {path}")
    if any(len(key) < _SHORTEST for key in keys):
        raise ConfigError(f"a key in {path} is not {_SHORTEST} or more characters long")
    return keys


def check_bind(host: str, keys: Sequence[str]) -> None:
    """Refuse to listen where others can reach a server that asks nobody for a key.

    Raises:
        ConfigError: `host` is not this machine's own loopback, and there is no key; or it is no address.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise ConfigError(f"--host {host} is no address of this machine: {error}") from error
    loopback = all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)
    if not (host and loopback) and not keys:
        raise ConfigError(
            f"--host {host!r} lets other machines in, and there is no key: give --api-key-file FILE, or keep --host "
            "127.0.0.1"
        )


class KeyRing:
    """Checks the key of a request in a time that tells nothing about it.

    Args:
        keys: any of them is good; none asks nobody.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def client_of(self, headers: Mapping[str, str], query: str) -> str | None:
        """Which key was sent, for taking turns; None where no key is asked for.

        Args:
            headers: of the request.
            query: the part of the address after `?`.

        Raises:
            ServeError: no key or a wrong one; or one in the address, where proxies and histories keep it.
        """
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name.lower() in _NAMES or self._find(value) is not None:
                message = "keys do not belong in addresses, which are logged everywhere: send Authorization: Bearer KEY"
                raise ServeError(Fault.KEY_IN_URL, message)
        if not self._digests:
            return None
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ServeError(Fault.NO_KEY, "this server asks for a key: send Authorization: Bearer KEY")
        found = self._find(key.strip())
        if found is None:
            raise ServeError(Fault.WRONG_KEY, "this is not a key of this server")
        return f"key {found}"

    def _find(self, key: str) -> int | None:
        """Index of the key; all are compared, whichever fits."""
        found = None
        digest = _digest(key)
        for at, good in enumerate(self._digests):
            if hmac.compare_digest(digest, good):
                found = at
        return found


def _digest(key: str) -> bytes:
    """Equally long for all keys, so that comparing tells not even the length."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
