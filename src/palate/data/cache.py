"""What reading and tokenizing came to, kept under the hash of everything that it depends on.

    CACHE/4f0c....json                what reading said, before there is a tokenizer
    CACHE/4f0c...-91ab.../            the same source with one tokenizer and its settings:
        tokens.arrow, entry.json      the token store; its hash, and the groups that tokenizing left out

A key holds the bytes of the source, the settings, and the code that reads and tokenizes, so nothing has to be
cleared by hand. Entries are written aside and renamed: a reader never sees half of one, and of two processes that
make the same entry at once, both are served and one copy stays. CACHE is `$PALATE_CACHE`, or `~/.cache/palate`.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from palate import __version__
from palate.atomic import write_text
from palate.data.load import SIMULATED
from palate.data.read import ReadReport
from palate.data.sources import read_rows
from palate.data.store import TokenStore
from palate.errors import DataError
from palate.records import DroppedRow

Say = Callable[[str], None]

_TOKENS, _ENTRY = "tokens.arrow", "entry.json"
_MAKING = ".making-"
_FORGOTTEN = 24 * 3600.0  # seconds
_BLOCK = 1 << 20
_DEPENDS_ON = ("transformers", "tokenizers", "jinja2", "pyarrow")


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A token store, and the groups that tokenizing left out."""

    store: TokenStore
    dropped: tuple[DroppedRow, ...]


def folder() -> Path:
    """Where the cache lies; it may not exist yet."""
    return Path(os.environ.get("PALATE_CACHE") or "~/.cache/palate").expanduser()


def source_key(source: str, **settings: Any) -> str | None:
    """Identity of what reading a source gives: its bytes, its name (which groups carry), settings and code.

    None where there is no telling what the source holds; it is then read anew each time.
    """
    content = _content(source, str(settings.get("split", "")))
    return None if content is None else digest(source, content, settings, _code())


def digest(*parts: Any) -> str:
    """32 hex digits of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _content(source: str, split: str) -> str | None:
    if source.partition(":")[0] == SIMULATED:
        return source
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
            return digest([(str(file.relative_to(path)), _file_hash(file)) for file in files])
        return _file_hash(path) if path.exists() else _hub_fingerprint(source, split)
    except OSError:  # reading meets the same one, and explains it
        return None


def _file_hash(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            hashed.update(block)
    return hashed.hexdigest()


def _hub_fingerprint(source: str, split: str) -> str | None:
    try:
        next(iter(read_rows(source, split=split)))  # a mistyped path is found out here, and not looked up on the hub
    except (DataError, StopIteration):
        return None
    import datasets

    name, _, config = source.partition(":")
    found = getattr(datasets.load_dataset(name, config or None, split=split), "_fingerprint", None)
    return None if found is None else str(found)


@cache
def _code() -> dict[str, str]:
    """The code that decides what is read and tokenized: a version alone would miss changes between releases.

    That is this folder, and what it imports, which lies beside it.
    """
    home = Path(__file__).parents[1]
    files = sorted((*home.glob("*.py"), *(home / "data").rglob("*.py")))
    found = {str(file.relative_to(home)): _file_hash(file) for file in files if file.is_file()}
    for name in _DEPENDS_ON:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"palate": __version__, **found}


def load_report(key: str | None) -> ReadReport | None:
    """What reading said of this source before; None where that is not known."""
    if key is None:
        return None
    try:
        values = json.loads((folder() / f"{key}.json").read_text(encoding="utf-8"))
        return ReadReport(**{**values, "dropped": _rows(values["dropped"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def save_report(key: str | None, report: ReadReport) -> None:
    """Remember it, where that is possible."""
    if key is not None:
        try:
            write_text(folder() / f"{key}.json", json.dumps(asdict(report)))
        except OSError:
            return


def tokenized(key: str | None, make: Callable[[Path], tuple[DroppedRow, ...]], say: Say) -> Tokenized:
    """The entry of that key, made if there is none that is sound.

    Args:
        key: of source, settings and tokenizer; None, or a cache that cannot be written, keeps the store in a temporary
            folder for as long as it is used.
        make: writes a store to the given path; returns the groups left out.
        say: gets a line on where the entry is, or why there is none.
    """
    place = None if key is None else folder() / key
    found = _load(place, say) if place is not None else None
    if place is not None and found is not None:
        say(f"tokens from the cache: {place} (--no-cache reads the data anew)")
        return found
    staging = _staging(place, say)
    made = False
    try:
        dropped = make(staging / _TOKENS)
        entry = {"sha256": _file_hash(staging / _TOKENS), "dropped": [asdict(row) for row in dropped]}
        write_text(staging / _ENTRY, json.dumps(entry))
        store = TokenStore.open(staging / _TOKENS)  # before it is renamed, so that no other process can interfere
        made = True
    finally:
        if not made:
            shutil.rmtree(staging, ignore_errors=True)
    if place is None or staging.parent != place.parent or not _publish(staging, place):
        weakref.finalize(store.file, shutil.rmtree, staging, ignore_errors=True)
    else:
        say(f"tokens kept in the cache: {place}")
    return Tokenized(store, dropped)


def _load(place: Path, say: Say) -> Tokenized | None:
    """A sound entry, or None; one that is damaged is said to be, and removed."""
    if not place.is_dir():
        return None
    try:
        entry = json.loads((place / _ENTRY).read_text(encoding="utf-8"))
        if _file_hash(place / _TOKENS) != entry["sha256"]:
            raise ValueError("its bytes have changed")
        return Tokenized(TokenStore.open(place / _TOKENS), _rows(entry["dropped"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        say(f"warning: the cache entry {place} is damaged ({error}); it is made anew")
        shutil.rmtree(place, ignore_errors=True)
        return None


def _staging(place: Path | None, say: Say) -> Path:
    if place is not None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            _sweep(place.parent)
            return Path(tempfile.mkdtemp(prefix=_MAKING, dir=place.parent))
        except OSError as error:
            say(f"warning: nothing is cached, since {place.parent} cannot be written ({error.strerror})")
    return Path(tempfile.mkdtemp(prefix="palate-"))


def _sweep(root: Path) -> None:
    """Delete what a kill left half-made; a living process writes more often than once a day."""
    for path in root.glob(f"{_MAKING}*"):
        try:
            newest = max(file.stat().st_mtime for file in (path, *path.glob("*")))
        except OSError:  # its maker has finished it or given it up since it was listed
            continue
        if time.time() - newest > _FORGOTTEN:
            shutil.rmtree(path, ignore_errors=True)


def _publish(staging: Path, place: Path) -> bool:
    """Give the entry its name; False where another process was first, or the name cannot be had."""
    mask = os.umask(0)
    os.umask(mask)
    try:
        staging.chmod(0o777 & ~mask)  # mkdtemp makes it 0700, which other users of a shared cache could not read
        staging.rename(place)
    except OSError:
        return False
    return True


def _rows(values: list[dict[str, Any]]) -> tuple[DroppedRow, ...]:
    return tuple(DroppedRow(**row) for row in values)
