"""Which files are to be scored, and how each is known again."""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from palate.data.sources import BESIDE
from palate.errors import ConfigError, DataError

_READABLE = re.compile(r"\.((jsonl|json|csv|tsv)(\.gz)?|parquet)$", re.IGNORECASE)
_LINES = re.compile(r"\.(jsonl|csv|tsv)(\.gz)?$", re.IGNORECASE)  # where a row is a line, or nearly so
_MAGIC = re.compile(r"[*?\[]")
_STARS = re.compile(r"\*{2,}")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file is known again.

    Attributes:
        size: in bytes.
        mtime_ns: when it was last written; where size and time are those of an earlier stamp, it is not read again.
        digest: of its bytes.
        lines: of text with a row a line, compressed or not; None elsewhere.
    """

    size: int
    mtime_ns: int
    digest: str
    lines: int | None


@dataclass(frozen=True, slots=True)
class Input:
    """A file to score.

    Attributes:
        path: from the current folder or the root, as the user named it.
        stem: its place in the output without ending: where it lies in the folder or under the pattern that named it.
    """

    path: str
    stem: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """What there is to score.

    Attributes:
        files: all of them, sorted within each source.
        ignored: how many files were passed over because palate reads no such ending.
        own: how many because palate wrote them: beside data, or below the output folder.
    """

    files: tuple[Input, ...]
    ignored: int
    own: int


def find_inputs(sources: Sequence[str], out: Path) -> Inputs:
    """Files of files, folders (all below, but hidden ones) and patterns (`**` for folders at any depth).

    What palate's commands write beside data, and what lies below `out`, is data only where it is named itself, or
    where the folder that is named lies in `out` too.

    Raises:
        DataError: a source is not there, is no pattern, or holds no data file.
        ConfigError: no source, or two that name the same file.
    """
    if not sources:
        raise ConfigError("data names nothing; give files, folders or patterns")
    found: list[Input] = []
    ignored = own = 0
    for source in sources:
        root, every = _paths(source)
        paths = [path for path in every if path == Path(source).expanduser() or not _is_own(path, root, out)]
        readable = [path for path in paths if _READABLE.search(path.name)]
        own += len(every) - len(paths)
        ignored += len(paths) - len(readable)
        if not readable:
            message = "no data file here; readable are .jsonl, .json, .csv, .tsv (each also .gz) and .parquet"
            raise DataError(message, reason="empty-folder", where=source)
        found += [Input(str(path), _READABLE.sub("", str(path.relative_to(root)))) for path in readable]
    resolved = [Path(one.path).resolve() for one in found]
    if len(set(resolved)) < len(resolved):
        twice = next(path for path in resolved if resolved.count(path) > 1)
        raise ConfigError(f"data names {twice} twice; each file is scored once, so name it once")
    return Inputs(tuple(found), ignored, own)


def _is_own(path: Path, root: Path, out: Path) -> bool:
    folder = out.resolve()
    below = path.resolve().is_relative_to(folder) and not root.resolve().is_relative_to(folder)
    return below or path.name.endswith(BESIDE)


def _paths(source: str) -> tuple[Path, list[Path]]:
    """The folder that the names below are relative to, and the files."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path, _below(path)
    if path.exists():
        return path.parent, [path]
    if not _MAGIC.search(source):
        message = (
            "no such file or folder; check the path (it is taken from the current folder). Datasets of the hub and "
            "the built-in set are scored into one file: --out scores.jsonl"
        )
        raise DataError(message, reason="file-missing", where=source)
    if wrong := next((part for part in path.parts if "**" in part and part != "**"), None):
        mended = source.replace(wrong, f"**/{_STARS.sub('*', wrong)}")
        message = f"** stands for folders, alone between slashes; write {mended}"
        raise DataError(message, reason="bad-pattern", where=source)
    fixed = next(i for i, part in enumerate(path.parts) if _MAGIC.search(part))
    root = Path(*path.parts[:fixed])
    matches = sorted(match for match in root.glob(str(Path(*path.parts[fixed:]))) if not _hidden(match, root))
    files = (below for match in matches for below in (_below(match) if match.is_dir() else [match]))
    return root, list(dict.fromkeys(files))  # ** names a folder and what lies in it


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder))


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def take_stamp(path: Path, known: Stamp | None = None) -> Stamp:
    """The file's stamp; `known` again where the file is unchanged.

    Raises:
        OSError: the file cannot be read.
    """
    stat = path.stat()
    if known is not None and (stat.st_size, stat.st_mtime_ns) == (known.size, known.mtime_ns):
        return known
    hashed = blake2b(digest_size=16)
    with path.open("rb") as file:
        for block in _blocks(file.read):
            hashed.update(block)
    stamp = Stamp(stat.st_size, stat.st_mtime_ns, hashed.hexdigest(), None)
    if known is not None and known.digest == stamp.digest:
        return replace(known, mtime_ns=stamp.mtime_ns)  # written again, or copied, but the same
    return replace(stamp, lines=_count_lines(path) if _LINES.search(path.name) else None)


def _count_lines(path: Path) -> int:
    lines = 0
    packed = path.suffix.lower() == ".gz"
    # a file that breaks off is the reader's to complain of
    with suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(path) if packed else path.open("rb") as file:
        for block in _blocks(file.read):
            lines += block.count(b"\n")
    return lines


def _blocks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while block := read(_BLOCK):
        yield block
