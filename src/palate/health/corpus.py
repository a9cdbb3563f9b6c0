"""Preference data as columns: what every check reads.

Groups are read once. What is measured on them becomes arrays, aligned by row numbers; the texts go to a temporary
Arrow file that is mapped into memory, from which single ones are fetched for examples and whole columns are streamed
for baselines. Data may therefore be larger than memory: a pair costs about a kilobyte of it, whatever its texts.

Shape legend: G groups, R responses, C comparisons, V votes; each axis runs over all data, in its order.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from palate.forked import ordered_map
from palate.health.columns import CHUNK, SCHEMA, decoded, to_batch
from palate.health.tables import Codes, Comparisons, Groups, Ints, Responses, Votes
from palate.records import PreferenceGroup
from palate.report.findings import Example

Item = TypeVar("Item")


class Texts:
    """Rows of the temporary file, one at a time or streamed."""

    def __init__(self, path: Path) -> None:
        self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
        sizes = [self._reader.get_batch(number).num_rows for number in range(self._reader.num_record_batches)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._batch = lru_cache(maxsize=64)(self._reader.get_batch)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def cell(self, column: str, group: int) -> Any:
        """One cell as Python has it: bytes, or a list of them."""
        number = int(np.searchsorted(self._starts, group, side="right")) - 1
        return self._batch(number).column(column)[group - int(self._starts[number])].as_py()

    def column(self, name: str) -> Iterator[Any]:
        """The column's array of each batch, in order."""
        for number in range(self._reader.num_record_batches):
            yield self._reader.get_batch(number).column(name)


@dataclass(frozen=True, slots=True)
class Corpus:
    """All data to be checked.

    Attributes:
        groups, responses, comparisons, votes: the columns.
        sources, models, annotators: names behind the codes.
        texts: on disk.
    """

    groups: Groups
    responses: Responses
    comparisons: Comparisons
    votes: Votes
    sources: tuple[str, ...]
    models: tuple[str, ...]
    annotators: tuple[str, ...]
    texts: Texts

    def where(self, group: int) -> str:
        """`file:line` of a group."""
        return decoded(self.texts.cell("where", group))

    def id(self, group: int) -> str:
        """The id of a group."""
        return decoded(self.texts.cell("id", group))

    def prompt(self, group: int) -> str:
        """The text of a group's prompt."""
        return decoded(self.texts.cell("prompt", group))

    def response(self, response: int) -> str:
        """The text of a response, by its row."""
        group = int(self.responses.group[response])
        return decoded(self.texts.cell("responses", group)[response - int(self.groups.start[group])])

    def prompts(self) -> Iterator[str]:
        """All prompts [G], streamed."""
        for array in self.texts.column("prompt"):
            yield from map(decoded, array.to_pylist())

    def all_responses(self) -> Iterator[str]:
        """All responses [R], streamed."""
        for array in self.texts.column("responses"):
            yield from map(decoded, array.flatten().to_pylist())

    def example(self, comparison: int, note: str = "") -> Example:
        """A comparison for people: prompt, chosen, rejected."""
        group = int(self.comparisons.group[comparison])
        chosen, rejected = int(self.comparisons.winner[comparison]), int(self.comparisons.loser[comparison])
        texts = (
            ("prompt", self.prompt(group)),
            ("chosen", self.response(chosen)),
            ("rejected", self.response(rejected)),
        )
        return Example(self.where(group), texts, note)


def build_corpus(
    groups: Iterable[PreferenceGroup],
    folder: Path,
    *,
    against: Iterable[PreferenceGroup] = (),
    workers: int = 1,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Corpus:
    """Read all groups once into columns and a file `texts.arrow` in `folder`.

    Args:
        groups: the data to be checked.
        folder: for the texts; it must outlive the corpus.
        against: data that the rest is compared with, such as a dev set.
        workers: processes that measure.
        on_progress: told how many groups a chunk had.

    Raises:
        DataError: the groups are read from a stream that raises it.
    """
    path = folder / "texts.arrow"
    sides: list[tuple[bool, int]] = []
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        for is_against, stream in ((False, groups), (True, against)):
            for batch in ordered_map(to_batch, _chunks(stream), workers=workers):
                writer.write_batch(batch)
                sides.append((is_against, batch.num_rows))
                on_progress(batch.num_rows)
    return _open(path, sides)


def _chunks(groups: Iterable[PreferenceGroup]) -> Iterator[list[PreferenceGroup]]:
    stream = iter(groups)
    return iter(lambda: list(islice(stream, CHUNK)), [])


def _open(path: Path, sides: list[tuple[bool, int]]) -> Corpus:
    texts = Texts(path)
    per_group = _counts(texts, "characters")
    start = np.concatenate([[0], np.cumsum(per_group)])
    group_R = np.repeat(np.arange(len(per_group)), per_group)
    labels_G = _counts(texts, "winner")
    group_C = np.repeat(np.arange(len(labels_G)), labels_G)
    comparison_V = np.repeat(np.arange(len(group_C)), _flat(texts, "votes", np.int64))
    # indices within a group become rows
    offset_V = start[group_C[comparison_V]]
    preferred_V, first_V = _flat(texts, "preferred", np.int64), _flat(texts, "first", np.int64)
    sources, source_G = _coded(texts, "source")
    models, model_R = _coded(texts, "models")
    annotators, annotator_V = _coded(texts, "annotator")
    return Corpus(
        Groups(
            prompt_key=_flat(texts, "prompt_key", np.uint64),
            prompt_bands=_rows(texts, "prompt_bands", len(per_group)),
            prompt_characters=_flat(texts, "prompt_characters", np.int32),
            turns=_flat(texts, "turns", np.int32),
            against=np.repeat([side for side, _ in sides], [count for _, count in sides]).astype(np.bool_),
            source=source_G,
            start=start,
        ),
        Responses(
            group=group_R,
            key=_flat(texts, "response_key", np.uint64),
            bands=_rows(texts, "response_bands", len(group_R)),
            characters=_flat(texts, "characters", np.int32),
            words=_flat(texts, "words", np.int32),
            style=_rows(texts, "style", len(group_R)),
            model=model_R,
        ),
        Comparisons(
            group=group_C,
            winner=start[group_C] + _flat(texts, "winner", np.int64),
            loser=start[group_C] + _flat(texts, "loser", np.int64),
            margin=_flat(texts, "margin", np.float64),
            probability=_flat(texts, "probability", np.float64),
            weight=_flat(texts, "weight", np.float64),
        ),
        Votes(
            comparison=comparison_V,
            annotator=annotator_V,
            preferred=np.where(preferred_V < 0, -1, offset_V + preferred_V),
            first=np.where(first_V < 0, -1, offset_V + first_V),
            seconds=_flat(texts, "seconds", np.float32),
        ),
        sources=sources,
        models=models,
        annotators=annotators,
        texts=texts,
    )


def _counts(texts: Texts, column: str) -> Ints:
    """[G], how many items each group has in a column of lists."""
    parts = [array.value_lengths().to_numpy(zero_copy_only=False) for array in texts.column(column)]
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)


def _flat(texts: Texts, column: str, dtype: type[Any]) -> Any:
    """A column's numbers end to end, whatever lists they lie in."""
    parts = []
    for array in texts.column(column):
        while pa.types.is_list(array.type) or pa.types.is_fixed_size_list(array.type):
            array = array.flatten()
        parts.append(array.to_numpy(zero_copy_only=False).astype(dtype, copy=False))
    return np.concatenate([np.empty(0, dtype), *parts])


def _rows(texts: Texts, column: str, rows: int) -> Any:
    """The numbers of a column of fixed-size lists, [rows, size]."""
    flat = _flat(texts, column, np.float32 if column == "style" else np.uint64)
    return flat.reshape(rows, -1) if rows else flat.reshape(0, 0)


def _coded(texts: Texts, column: str) -> tuple[tuple[str, ...], Codes]:
    """Distinct names of a column in order of appearance, and each item's number among them."""
    names: dict[bytes, int] = {}
    codes = []
    for array in texts.column(column):
        flat = array.flatten() if pa.types.is_list(array.type) else array
        encoded = flat.dictionary_encode()
        places = [names.setdefault(name, len(names)) for name in encoded.dictionary.to_pylist()]
        codes.append(np.array(places, np.int32)[encoded.indices.to_numpy(zero_copy_only=False)])
    return tuple(map(decoded, names)), np.concatenate([np.empty(0, np.int32), *codes])
