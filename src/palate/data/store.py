"""Tokenized groups on disk: as many as fit there, read one at a time through a memory map.

A store is an Arrow IPC file of record batches. Tokens stay in the file until a group is asked for; what planning,
splitting and counting need of every group lies in small columns, which are read as NumPy arrays without touching a
token.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from hashlib import blake2b, sha256
from itertools import accumulate, pairwise, starmap
from pathlib import Path
from typing import Any, Self, TypeAlias, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from palate.records import Comparison, TokenizedGroup

RecordBatch: TypeAlias = Any
"""Of pyarrow, which has no types."""

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_INTS, _FLOATS = pa.list_(pa.int32()), pa.list_(pa.float64())
_SCHEMA = pa.schema(
    {
        "id": pa.binary(),  # not text: a lone surrogate of broken data must survive
        "where": pa.binary(),
        "tokens": _INTS,  # of all sequences, end to end
        "lengths": _INTS,
        "response_starts": _INTS,
        "winner": _INTS,
        "loser": _INTS,
        "margin": _FLOATS,
        "probability": _FLOATS,
        "weight": _FLOATS,
        "prompt_hash": pa.uint64(),
        "digest": pa.uint64(),
        "computed": pa.int64(),
        "unshared": pa.int64(),
        "responses": pa.int64(),
        "longest": pa.int64(),
        "comparisons": pa.int64(),
        "truncated": pa.int64(),
    }
)
_COMPARISON = ("winner", "loser", "margin", "probability", "weight")
_OPENING = "opening"  # told with each record batch: of all sequences so far
_OPEN_BATCHES = 1024  # recently used record batches, some kilobytes each; their tokens stay in the file


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of each group without its tokens, one entry a group.

    Attributes:
        prompt_hash: `TokenizedGroup.prompt_hash` as a number.
        digest: 8 bytes over token ids, response starts and comparisons.
        computed, unshared: tokens of the tree layout, and of separate passes.
        responses: how many.
        longest: tokens of the longest sequence.
        comparisons: how many.
        truncated: prompt tokens cut.
    """

    prompt_hash: Hashes
    digest: Hashes
    computed: Ints
    unshared: Ints
    responses: Ints
    longest: Ints
    comparisons: Ints
    truncated: Ints


def to_batch(groups: Sequence[TokenizedGroup]) -> RecordBatch:
    """Groups as one Arrow record batch; the votes behind the comparisons are left out."""
    columns = {
        "id": [_bytes(group.id) for group in groups],
        "where": [_bytes(group.where) for group in groups],
        "tokens": [np.concatenate(group.sequences).astype(np.int32) for group in groups],
        "lengths": [[len(sequence) for sequence in group.sequences] for group in groups],
        "response_starts": [group.response_starts for group in groups],
        **{
            name: [[getattr(comparison, name) for comparison in group.comparisons] for group in groups]
            for name in _COMPARISON
        },
        "prompt_hash": [int(group.prompt_hash, 16) for group in groups],
        "digest": [digest(group) for group in groups],
        "computed": [group.computed_tokens for group in groups],
        "unshared": [group.unshared_tokens for group in groups],
        "responses": [len(group.sequences) for group in groups],
        "longest": [max(map(len, group.sequences)) for group in groups],
        "comparisons": [len(group.comparisons) for group in groups],
        "truncated": [group.truncated_tokens for group in groups],
    }
    return pa.record_batch([pa.array(columns[name], _SCHEMA.field(name).type) for name in _SCHEMA.names], _SCHEMA)


def write_batches(path: Path, batches: Iterable[RecordBatch]) -> None:
    """Write a store; `palate.data.cache` sees to it that nobody finds half of one."""
    opening: Ints | None = None
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        for batch in batches:
            opening = _still_common(opening, batch)
            writer.write_batch(batch, custom_metadata={_OPENING: str(0 if opening is None else len(opening))})


def _still_common(opening: Ints | None, batch: RecordBatch) -> Ints | None:
    """As much of the opening as every sequence of the batch begins with, leaving each a token of its own."""
    tokens, lengths = (batch.column(name).flatten().to_numpy() for name in ("tokens", "lengths"))
    if not len(lengths):
        return opening
    found: Ints = (tokens if opening is None else opening)[: lengths.min() - 1]
    first = np.cumsum(lengths) - lengths
    for at, token in enumerate(found):
        if (tokens[first + at] != token).any():
            return found[:at].copy()
    return found.copy()


def digest(group: TokenizedGroup) -> int:
    """8 bytes over token ids, response starts and comparisons."""
    hashed = blake2b(digest_size=8)
    labels = [(c.winner, c.loser, c.margin, c.probability, c.weight) for c in group.comparisons]
    hashed.update(json.dumps([[len(s) for s in group.sequences], list(group.response_starts), labels]).encode())
    for sequence in group.sequences:
        hashed.update(sequence.astype("<i8", copy=False).tobytes())
    return int.from_bytes(hashed.digest(), "little")


class TokenStore(Sequence[TokenizedGroup]):
    """Groups of a store's file, or a selection of them; each is read when it is asked for.

    Groups are equal to those that were written, but for the votes behind their comparisons: nothing after
    tokenization reads those.

    Args:
        file: the open file.
        rows: which of its groups, in which order; all of them by default.
    """

    def __init__(self, file: "StoreFile", rows: Ints | None = None) -> None:
        self.file = file
        self._rows = np.arange(file.starts[-1]) if rows is None else rows
        self.columns = Columns(*(column[self._rows] for column in astuple(file.columns)))

    @classmethod
    def open(cls, path: Path) -> Self:
        """The whole store.

        Raises:
            ValueError: it is not a sound Arrow file of this schema.
        """
        return cls(StoreFile(path))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> TokenizedGroup: ...
    @overload
    def __getitem__(self, index: slice) -> "TokenStore": ...
    def __getitem__(self, index: int | slice) -> "TokenizedGroup | TokenStore":
        if isinstance(index, slice):
            return TokenStore(self.file, self._rows[index])
        return self.file.group(int(self._rows[index]))

    @property
    def opening(self) -> int:
        """Tokens that all sequences of the whole file begin with, each having one of its own besides."""
        return self.file.opening

    def select(self, keep: NDArray[np.bool_] | Ints) -> "TokenStore":
        """Some of the groups, by a mask or by positions."""
        return TokenStore(self.file, self._rows[keep])

    def fingerprint(self) -> str:
        """16 hex digits over all token ids and comparisons, in order."""
        return sha256(self.columns.digest.astype("<u8").tobytes()).hexdigest()[:16]


class StoreFile:
    """An open store: its small columns in memory, its tokens in a memory map.

    Raises:
        ValueError: it is not a sound Arrow file of this schema.
    """

    def __init__(self, path: Path) -> None:
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        if not self._reader.schema.equals(_SCHEMA):
            raise ValueError(f"{path} holds other columns")
        self._batch = lru_cache(_OPEN_BATCHES)(self._open)
        self.opening = self._read_opening()
        sizes, columns = _small_columns(path)
        self.starts = np.array([0, *accumulate(sizes)], dtype=np.int64)
        self.columns = Columns(**{name: _joined(name, parts) for name, parts in columns.items()})

    def _read_opening(self) -> int:
        """Tokens that all sequences begin with."""
        if not self._reader.num_record_batches:
            return 0
        told = self._reader.get_batch_with_custom_metadata(self._reader.num_record_batches - 1).custom_metadata
        return int(told[_OPENING])

    def group(self, row: int) -> TokenizedGroup:
        """One group, copied out of the map."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        batch, lists = self._batch(number)
        at = row - int(self.starts[number])
        own = {name: values[offsets[at] : offsets[at + 1]] for name, (offsets, values) in lists.items()}
        ends = np.cumsum(own["lengths"]).tolist()
        tokens = own["tokens"].astype(np.int64)
        return TokenizedGroup(
            id=_text(batch.column("id")[at].as_py()),
            prompt_hash=f"{self.columns.prompt_hash[row]:016x}",
            sequences=tuple(tokens[start:end] for start, end in pairwise([0, *ends])),
            response_starts=tuple(own["response_starts"].tolist()),
            comparisons=tuple(starmap(Comparison, zip(*(own[name].tolist() for name in _COMPARISON), strict=True))),
            where=_text(batch.column("where")[at].as_py()),
            truncated_tokens=int(self.columns.truncated[row]),
        )

    def _open(self, number: int) -> tuple[RecordBatch, dict[str, tuple[NDArray[Any], NDArray[Any]]]]:
        """A record batch, and offsets and values of its list columns: views of the map."""
        batch = self._reader.get_batch(number)
        columns = {name: batch.column(name) for name in ("tokens", "lengths", "response_starts", *_COMPARISON)}
        return batch, {name: (c.offsets.to_numpy(), c.values.to_numpy()) for name, c in columns.items()}


def _small_columns(path: Path) -> tuple[list[int], dict[str, list[NDArray[Any]]]]:
    """Rows of each record batch, and each column of `Columns` in parts.

    Read, not mapped: they lie between the tokens, and touching a mapped page brings its neighbours into memory.
    """
    names = [field.name for field in fields(Columns)]
    options = pa.ipc.IpcReadOptions(included_fields=[_SCHEMA.get_field_index(name) for name in names])
    sizes: list[int] = []
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file, options=options) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            sizes.append(batch.num_rows)
            for name, parts in columns.items():
                parts.append(np.array(batch.column(name)))
    return sizes, columns


def _joined(name: str, parts: list[NDArray[Any]]) -> NDArray[Any]:
    empty: NDArray[Any] = np.empty(0, dtype=_SCHEMA.field(name).type.to_pandas_dtype())
    return np.concatenate([empty, *parts])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
