"""The file that scoring writes: lines appended to a partial file as they come, then put in place in one step.

The partial file begins with a line that names the job, so that another job cannot go on with it. A kill leaves whole
lines and at most one torn one.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from palate.errors import ConfigError, DataError

_ROWS = 10_000  # rows of a Parquet row group


@dataclass(frozen=True, slots=True)
class Counts:
    """What the lines of a file say.

    Attributes:
        prompts: lines.
        unscored: lines with rewards null, by reason.
        truncated: prompts cut from the left.
    """

    prompts: int
    unscored: dict[str, int]
    truncated: int


def resume(partial: Path, job: str, *, restart: bool = False, whole: int = 1) -> int:
    """Make the partial file ready to be appended to; returns how many lines it holds already.

    Args:
        partial: may exist.
        job: identity of what is scored with what.
        restart: forget what is there.
        whole: lines beyond a multiple of this are cut off, as a torn line is.

    Raises:
        ConfigError: the file is another job's.
    """
    header = json.dumps({"job": job}).encode() + b"\n"
    if restart or not partial.exists():
        partial.write_bytes(header)
        return 0
    with partial.open("rb+") as file:
        found = file.read(len(header))
        if found != header:
            if not header.startswith(found):  # a torn header, or none yet
                raise ConfigError(
                    f"{partial} belongs to another scoring job (its data, model or settings differ); delete it, or "
                    "choose another --out, or --overwrite"
                )
            file.seek(0)
            file.write(header)
        kept, end = 0, len(header)
        position = end
        for lines, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            position += len(line)
            if lines % whole == 0:
                kept, end = lines, position
        file.truncate(end)
    return kept


def append(partial: Path, windows: Iterable[list[dict[str, Any]]]) -> Iterator[int]:
    """Append lines, a window at a time; yields the number of each window's lines when they are on disk."""
    with partial.open("a", encoding="utf-8") as file:
        for lines in windows:
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
            yield len(lines)


def read_lines(partial: Path) -> Iterator[dict[str, Any]]:
    """The lines of a partial file, parsed.

    Raises:
        DataError: one of them is not as it was written.
    """
    with partial.open("rb") as file:
        next(file)  # the job's identity
        for number, line in enumerate(file, 2):
            try:
                yield json.loads(line)
            except ValueError as error:
                message = f"not a line of rewards ({error}); delete {partial} and run the same command again"
                raise DataError(message, reason="broken-partial", where=f"{partial}:{number}") from error


def count(partial: Path, *, expected: int) -> Counts:
    """What all lines say, those of earlier runs included.

    Args:
        partial: with all its lines.
        expected: how many.

    Raises:
        DataError: there are more or fewer, or one of them is not as it was written.
    """
    unscored: Counter[str] = Counter()
    truncated = prompts = 0
    for line in read_lines(partial):
        prompts += 1
        truncated += line.get("truncated_tokens", 0) > 0
        if line["rewards"] is None:
            unscored[line["reason"]] += 1
    if prompts != expected:
        message = (
            f"it holds {prompts} lines for {expected} prompts, so something else has written to it; delete it and run "
            "the same command again"
        )
        raise DataError(message, reason="broken-partial", where=str(partial))
    return Counts(prompts, dict(unscored), truncated)


def put_in_place(partial: Path, out: Path) -> None:
    """Write the finished file, as its ending says, and rename it into its place; the partial file stays."""
    finished = partial.with_name(f".{out.name}.tmp")
    if out.suffix == ".parquet":
        _write_parquet(read_lines(partial), finished)
    else:
        with finished.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in read_lines(partial))
    with finished.open("rb") as file:
        os.fsync(file.fileno())  # renamed before it is on disk, it could be empty after a power cut
    finished.replace(out)


def _write_parquet(lines: Iterator[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("id", pa.string()),
            ("where", pa.string()),
            ("rewards", pa.list_(pa.float32())),
            ("reason", pa.string()),
            ("message", pa.string()),
            ("truncated_tokens", pa.int64()),
        ]
    )
    with pq.ParquetWriter(path, schema) as writer:
        while chunk := list(islice(lines, _ROWS)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
