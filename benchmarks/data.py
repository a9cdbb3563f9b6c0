"""Data of the benchmarks: HH-RLHF where it is at hand, and random pairs and groups of wanted lengths."""

import os
from pathlib import Path

import numpy as np

from palate.errors import DataError
from palate.records import Comparison, Message, PreferenceGroup, TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.runs import write_groups

HARMLESS = Path("hh_rlhf", "harmless-base", "test.jsonl.gz")
UKP = Path("ukpconvarg1", "pairs.jsonl.gz")
_SIGMA = 0.5  # of the logarithm of lengths; HH-RLHF's responses vary more
_LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def integers(text: str) -> list[int]:
    """`2,8,16`."""
    return [int(part) for part in text.split(",") if part]


def floats(text: str) -> list[float]:
    """`0.25,1`; empty for none."""
    return [float(part) for part in text.split(",") if part]


def words(text: str) -> list[str]:
    """`fp32,bf16`."""
    return [part for part in text.split(",") if part]


def default_data(file: Path = HARMLESS) -> Path:
    """A file of published preferences, in `$PALATE_DATA` or in `shared/data` beside the checkout.

    Raises:
        DataError: it is in neither.
    """
    named = os.environ.get("PALATE_DATA")
    path = (Path(named) if named else Path(__file__).parents[2] / "shared" / "data") / file
    if not path.exists():
        message = f"the benchmark's data is not there; give --data, or set PALATE_DATA to a folder with {file}"
        raise DataError(message, reason="file-missing", where=str(path))
    return path


def lognormal(rng: np.random.Generator, mean: float, size: int) -> list[int]:
    """Lengths of that mean, at least 2, whose logarithm varies by 0.5."""
    drawn = rng.lognormal(np.log(mean) - _SIGMA**2 / 2, _SIGMA, size)
    return np.maximum(drawn.round(), 2).astype(int).tolist()  # type: ignore[no-any-return]


def random_pairs(path: Path, number: int, *, ratio: float, total: float, seed: int = 0) -> Path:
    """Write pairs of random letters, about a token each, with prompts `ratio` times as long as responses.

    Args:
        path: of the JSONL to write.
        number: of pairs.
        ratio: tokens of the prompt by those of a response, the template's left out.
        total: tokens of prompt and response together, on average.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)

    def text(length: int) -> str:
        return " ".join(rng.choice(_LETTERS, size=length))

    prompts = lognormal(rng, total * ratio / (1 + ratio), number)
    responses = lognormal(rng, total / (1 + ratio), 2 * number)
    groups = (
        PreferenceGroup(
            id=f"random-{n}",
            prompt=(Message("user", f"{n} {text(prompts[n])}"),),
            responses=tuple((Message("assistant", text(length)),) for length in responses[2 * n : 2 * n + 2]),
            comparisons=(Comparison(0, 1),),
            where=f"random:{n + 1}",
        )
        for n in range(number)
    )
    return write_groups(path, groups)


def sampled_groups(
    number: int, responses: int, *, ratio: float, response: int, opening: bool, vocab_size: int, seed: int = 0
) -> list[TokenizedGroup]:
    """Groups of random ids as sampling from one policy gives them, lengths lognormal.

    Args:
        number: of prompts.
        responses: to each.
        ratio: tokens of the prompt by those of a response.
        response: tokens of a response, on average.
        opening: whether the responses of a prompt begin alike, for a quarter of the shortest one.
        vocab_size: of the ids.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    prompts = lognormal(rng, response * ratio, number)
    groups = []
    for n in range(number):
        lengths = lognormal(rng, response, responses)
        alike = min(lengths) // 4 if opening else 0
        groups.append(token_group(prompts[n], lengths, opening=alike, seed=seed + n, vocab_size=vocab_size))
    return groups
