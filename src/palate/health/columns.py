"""From comparison groups to columns: everything that checks need of a text is measured here, once, a chunk at a time.

A chunk becomes one Arrow record batch, in whatever process; the batches of a file are then its columns.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from palate.health.texts.forms import plain_text, text_key
from palate.health.texts.similarity import BANDS, band_keys
from palate.health.texts.style import STYLE, style_of
from palate.health.texts.turns import oddities_of
from palate.records import PreferenceGroup, Vote

RecordBatch: TypeAlias = Any
"""Of pyarrow, which has no types."""

CHUNK = 512  # groups a batch: large enough that a batch costs nothing, small enough to pass between processes

_KEYS = pa.list_(pa.uint64(), BANDS)
SCHEMA = pa.schema(
    {
        # texts are bytes: a lone surrogate of broken data must survive
        "id": pa.binary(),
        "where": pa.binary(),
        "prompt": pa.binary(),
        "source": pa.binary(),
        "time": pa.binary(),
        "responses": pa.list_(pa.binary()),
        "models": pa.list_(pa.binary()),  # one a response, empty where not known
        "prompt_key": pa.uint64(),
        "prompt_bands": _KEYS,
        "turns": pa.int32(),
        "oddities": pa.list_(pa.int8()),  # numbers of `palate.health.texts.turns.ODDITIES`
        "prompt_characters": pa.int32(),
        "response_key": pa.list_(pa.uint64()),
        "response_bands": pa.list_(_KEYS),
        "characters": pa.list_(pa.int32()),
        "words": pa.list_(pa.int32()),
        "style": pa.list_(pa.list_(pa.float32(), len(STYLE))),
        "winner": pa.list_(pa.int32()),
        "loser": pa.list_(pa.int32()),
        "margin": pa.list_(pa.float64()),
        "probability": pa.list_(pa.float64()),
        "weight": pa.list_(pa.float64()),
        "votes": pa.list_(pa.int32()),  # of each comparison, how many
        "annotator": pa.list_(pa.binary()),
        "preferred": pa.list_(pa.int32()),  # -1 for a tie
        "first": pa.list_(pa.int32()),  # -1 where not known
        "seconds": pa.list_(pa.float32()),  # NaN where not known
    }
)


def to_batch(groups: Sequence[PreferenceGroup]) -> RecordBatch:
    """One chunk of groups, measured."""
    prompts = [plain_text(group.prompt) for group in groups]
    responses = [[plain_text(response) for response in group.responses] for group in groups]
    every = list(chain.from_iterable(responses))
    bands = iter(band_keys(every))
    labels = [group.comparisons for group in groups]
    votes = [[vote for label in group for vote in label.votes] for group in labels]
    columns: dict[str, list[Any]] = {
        "id": [encoded(group.id) for group in groups],
        "where": [encoded(group.where) for group in groups],
        "prompt": [encoded(prompt) for prompt in prompts],
        "source": [encoded(group.source) for group in groups],
        "time": [encoded(group.time) for group in groups],
        "responses": [[encoded(text) for text in texts] for texts in responses],
        "models": [[encoded(name) for name in _models(group)] for group in groups],
        "prompt_key": [int(group.prompt_hash, 16) for group in groups],
        "prompt_bands": list(band_keys(prompts)),
        "turns": [len(group.prompt) for group in groups],
        "oddities": [oddities_of(group) for group in groups],
        "prompt_characters": [len(prompt) for prompt in prompts],
        "response_key": [[text_key(text) for text in texts] for texts in responses],
        "response_bands": [[next(bands) for _ in texts] for texts in responses],
        "characters": [[len(text) for text in texts] for texts in responses],
        "words": [[len(text.split()) for text in texts] for texts in responses],
        "style": [[style_of(text) for text in texts] for texts in responses],
        "votes": [[len(label.votes) for label in group] for group in labels],
        "annotator": [[encoded(vote.annotator) for vote in group] for group in votes],
        "preferred": [[-1 if vote.preferred is None else vote.preferred for vote in group] for group in votes],
        "first": [[-1 if vote.first is None else vote.first for vote in group] for group in votes],
        "seconds": [[_seconds(vote) for vote in group] for group in votes],
    }
    for name in ("winner", "loser", "margin", "probability", "weight"):
        columns[name] = [[getattr(label, name) for label in group] for group in labels]
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def encoded(text: str) -> bytes:
    """UTF-8, lone surrogates included; `decoded` gives the text back."""
    return text.encode(errors="surrogatepass")


def decoded(text: bytes) -> str:
    """See `encoded`."""
    return text.decode(errors="surrogatepass")


def _models(group: PreferenceGroup) -> tuple[str, ...]:
    return group.models or ("",) * len(group.responses)


def _seconds(vote: Vote) -> float:
    return np.nan if vote.seconds is None else vote.seconds
