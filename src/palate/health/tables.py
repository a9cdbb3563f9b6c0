"""The tables that preference data becomes: numbers a row, texts elsewhere.

Shape legend: G groups, R responses, C comparisons, V votes; each axis runs over all data, in its order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Groups:
    """Columns [G].

    Attributes:
        prompt_key: equal for prompts that are the same, see `PreferenceGroup.prompt_hash`.
        prompt_bands: [G, BANDS], see `palate.health.texts.similarity`.
        prompt_characters: length.
        turns: messages of the prompt.
        against: whether the group belongs to the data that the rest is compared with.
        source: code into `Corpus.sources`.
        start: [G + 1], row of the first response of each group, and R.
    """

    prompt_key: Keys
    prompt_bands: Keys
    prompt_characters: Codes
    turns: Codes
    against: NDArray[np.bool_]
    source: Codes
    start: Ints


@dataclass(frozen=True, slots=True)
class Responses:
    """Columns [R].

    Attributes:
        group: row of the group.
        key: equal for responses that are the same once normalised.
        bands: [R, BANDS].
        characters, words: length.
        style: [R, STYLE], see `palate.health.texts.style`.
        model: code into `Corpus.models`; that of "" where the author is not known.
    """

    group: Ints
    key: Keys
    bands: Keys
    characters: Codes
    words: Codes
    style: NDArray[np.float32]
    model: Codes


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Columns [C].

    Attributes:
        group: row of the group.
        winner, loser: rows of responses.
        margin, probability, weight: see `palate.records.Comparison`.
    """

    group: Ints
    winner: Ints
    loser: Ints
    margin: Floats
    probability: Floats
    weight: Floats

    @property
    def decided(self) -> NDArray[np.bool_]:
        """[C], whether the label says that one response is better."""
        return self.probability > 0.5


@dataclass(frozen=True, slots=True)
class Votes:
    """Columns [V].

    Attributes:
        comparison: row of the comparison.
        annotator: code into `Corpus.annotators`.
        preferred: row of the preferred response, -1 for a tie.
        first: row of the response that was shown first, -1 where that is not known.
        seconds: how long it took, NaN where that is not known.
    """

    comparison: Ints
    annotator: Codes
    preferred: Ints
    first: Ints
    seconds: NDArray[np.float32]
