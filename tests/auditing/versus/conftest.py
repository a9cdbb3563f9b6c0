"""Two models on data whose answers are known: pairs made one by one, and the built-in preferences."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from palate.auditing.scorer import Floats
from palate.auditing.versus.matched import Matched, match
from palate.data.simulate import simulate
from palate.health.corpus import Corpus, build_corpus
from palate.records import Comparison, Message, PreferenceGroup

MADE = simulate(600, seed=4)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_corpus(MADE.groups, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def quality() -> Floats:
    return np.array([response.quality for truth in MADE.truth for response in truth.responses])


@pytest.fixture
def pairs_of(tmp_path: Path) -> Callable[..., Matched]:
    """Pairs with the margins given, two texts of one length each; margins of NaN are pairs without a reward."""

    def make(
        incumbent: Sequence[float],
        candidate: Sequence[float],
        *,
        prompts: Sequence[object] | None = None,
        sources: Sequence[str] | None = None,
    ) -> Matched:
        prompts = range(len(incumbent)) if prompts is None else prompts
        sources = [""] * len(incumbent) if sources is None else sources
        groups = [
            PreferenceGroup(
                f"g{row}",
                (Message("user", f"prompt {prompt}"),),
                ((Message("assistant", f"good {row:05}"),), (Message("assistant", f"poor {row:05}"),)),
                (Comparison(0, 1),),
                where=f"pairs.jsonl:{row + 1}",
                source=source,
            )
            for row, (prompt, source) in enumerate(zip(prompts, sources, strict=True))
        ]
        made = build_corpus(groups, tmp_path)
        rewards = [np.column_stack([margins, np.zeros(len(incumbent))]).ravel() for margins in (incumbent, candidate)]
        return match(made, *rewards)

    return make
