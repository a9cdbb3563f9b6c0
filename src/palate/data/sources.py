"""Where rows come from: a file, a folder, or a Hugging Face dataset; one iterator for all.

The path on disk wins over a dataset of the same name. What has the ending of a data file, or begins like a
path, is never looked up on the hub: a mistyped file name should say so at once, not wait for a network.
`split` concerns hub datasets alone; a folder is read whole, in the order of its paths, but for the summaries and lists
of dropped rows that palate's own commands write beside their files.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from palate.data.textfiles import RawRow, RowOrFault, csv_rows, json_rows, jsonl_rows
from palate.errors import ConfigError, DataError

BESIDE = (".summary.json", ".dropped.jsonl")
"""Endings of what palate's commands write beside a data file, and nobody's data."""

_READABLE = ".jsonl, .json, .csv, .tsv (each also .gz) and .parquet"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")
_PARQUET_BATCH = 1024  # rows decoded at a time


def read_rows(source: str, *, split: str = "train") -> Iterator[RowOrFault]:
    """Yield the rows of a file, of every data file in a folder (sorted, recursive), or of a hub dataset.

    Faults of a single row are yielded in its place, see `palate.data.textfiles`.

    Args:
        source: a path, or a dataset id, optionally `id:config`.
        split: which split of a hub dataset.

    Raises:
        DataError: `file-missing`, `empty-file`, `empty-folder`, `unknown-file-type`, `broken-parquet`,
            `no-such-source` (neither on disk nor on the hub), or a fault of a text file.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _folder_rows(path, source)
    elif path.exists():
        yield from _file_rows(path, source)
    elif _ending(path) in _READERS or source.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(source):
        message = "no such file or folder; check the path (it is taken from the current folder)"
        raise DataError(message, reason="file-missing", where=source)
    else:
        yield from _hub_rows(source, split)


def _folder_rows(folder: Path, name: str) -> Iterator[RowOrFault]:
    inside = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    files = [
        path
        for path in inside
        if _ending(path) in _READERS
        and not path.name.endswith(BESIDE)
        and (folder / path).is_file()
        and not any(part.startswith(".") for part in path.parts)
    ]
    if not files:
        message = f"the folder holds no data file; readable are {_READABLE}"
        raise DataError(message, reason="empty-folder", where=name)
    for path in files:
        yield from _file_rows(folder / path, str(Path(name) / path))


def _file_rows(path: Path, name: str) -> Iterator[RowOrFault]:
    reader = _READERS.get(_ending(path))
    if reader is None:
        message = f"cannot read files that end in {_ending(path) or 'nothing'!r}; readable are {_READABLE}"
        raise DataError(message, reason="unknown-file-type", where=name)
    empty = True
    for row in reader(path, name):
        empty = False
        yield row
    if empty:
        raise DataError("the file holds no rows; remove it, or export it again", reason="empty-file", where=name)


def _ending(path: Path) -> str:
    """The last suffix without `.gz`; `.parquet.gz` stays whole, for Parquet compresses by itself."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] != [".gz"]:
        return "".join(suffixes[-1:])
    inner = "".join(suffixes[-2:-1])
    return inner if inner in _TEXT_READERS else inner + ".gz"


def _tsv_rows(path: Path, name: str) -> Iterator[RowOrFault]:
    return csv_rows(path, name, delimiter="\t")


def _parquet_rows(path: Path, name: str) -> Iterator[RowOrFault]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(f"{name}:{number}", values)
    except (pyarrow.ArrowException, OSError) as error:
        message = f"not a sound Parquet file after row {number} ({error}); export it again"
        raise DataError(message, reason="broken-parquet", where=name) from error


def _hub_rows(source: str, split: str) -> Iterator[RowOrFault]:
    import datasets

    dataset, _, config = source.partition(":")
    try:
        rows = datasets.load_dataset(dataset, config or None, split=split)
    except Exception as error:  # of a dozen unrelated types: network, id, configuration, split
        cause = str(error).strip().partition("\n")[0] or type(error).__name__
        message = (
            f"neither an existing file or folder, nor loadable as a Hugging Face dataset, split {split!r} "
            f"({cause}); check the spelling, or download the data and give its path"
        )
        raise DataError(message, reason="no-such-source", where=source) from error
    for number, values in enumerate(rows, 1):
        yield RawRow(f"{source}:{number}", dict(values))


_Reader = Callable[[Path, str], Iterator[RowOrFault]]
_TEXT_READERS: dict[str, _Reader] = {
    ".jsonl": jsonl_rows,
    ".json": json_rows,
    ".csv": csv_rows,
    ".tsv": _tsv_rows,
}
_READERS: dict[str, _Reader] = _TEXT_READERS | {".parquet": _parquet_rows}


def refuse_own_input(out: Path, source: str) -> None:
    """What is written must not be part of what is read, now or when the same command is given again.

    Raises:
        ConfigError: `out` is the source itself, or lies in the folder that it names.
    """
    path = Path(source).expanduser()
    same = out.exists() and path.exists() and out.samefile(path)
    if same or (path.is_dir() and out.resolve().is_relative_to(path.resolve())):
        raise ConfigError(f"out is {out}, which is part of what is read ({source}); write to another place")
