"""Groups for tests: random text to render, and token ids of exactly the lengths that a test is about.

`random_groups` makes what a file of preferences holds; its words include some of several bytes, so that
characters and tokens are never the same count. `token_group` skips rendering: a test of the layout says how long
the prompt and each response are, how many tokens the responses share before they part, and gets just that.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from palate.records import Comparison, Message, PreferenceGroup, TokenizedGroup

_WORDS = (
    "yes",
    "no",
    "water",
    "a",
    "mountain",
    "however",
    "naïve",
    "Größe",
    "東京",
    "🙂",
    "3.14",
    "don't",
    "it",
    "is",
)
_FIRST_TOKEN = 3  # below it lie the special tokens of `palate.testing.tiny`


def full_ranking(num_responses: int) -> tuple[Comparison, ...]:
    """Every pair of responses compared, the earlier one preferred.

    >>> [(c.winner, c.loser) for c in full_ranking(3)]
    [(0, 1), (0, 2), (1, 2)]
    """
    return tuple(Comparison(i, j) for i in range(num_responses) for j in range(i + 1, num_responses))


def random_groups(num: int, responses: int = 2, *, seed: int = 0, words: int = 8) -> tuple[PreferenceGroup, ...]:
    """Groups of random words: distinct prompts, fully ranked responses of 1 to `words` words.

    >>> group, _ = random_groups(2, responses=3)
    >>> len(group.responses), len(group.comparisons), group.where
    (3, 3, 'random:1')
    """
    rng = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(rng.choice(_WORDS, size=rng.integers(1, words + 1)))

    return tuple(
        PreferenceGroup(
            id=f"random-{n}",
            prompt=(Message("user", f"{n}: {text()}"),),
            responses=tuple((Message("assistant", text()),) for _ in range(responses)),
            comparisons=full_ranking(responses),
            where=f"random:{n + 1}",
        )
        for n in range(num)
    )


def token_group(
    prompt: int, responses: Sequence[int], *, opening: int = 0, seed: int = 0, vocab_size: int = 259
) -> TokenizedGroup:
    """A fully ranked group of random token ids with the given lengths.

    Args:
        prompt: tokens of the prompt; 0 for responses that share nothing.
        responses: tokens of each response, the common opening included.
        opening: how many tokens all responses begin with alike.
        seed: of the token ids, and the group's id.
        vocab_size: ids lie in [3, vocab_size).

    Raises:
        ValueError: a response is too short to have a token of its own after the opening.

    >>> group = token_group(4, (3, 5), opening=1)
    >>> [len(sequence) for sequence in group.sequences], group.shared, group.computed_tokens
    ([7, 9], 5, 11)
    """
    if min(responses) <= opening:
        raise ValueError(f"responses of {tuple(responses)} tokens cannot part after {opening}; make them longer")
    rng = np.random.default_rng(seed)
    shared = rng.integers(_FIRST_TOKEN, vocab_size, prompt + opening)
    firsts = rng.choice(np.arange(_FIRST_TOKEN, vocab_size), size=len(responses), replace=False)
    sequences = tuple(
        np.concatenate((shared, [first], rng.integers(_FIRST_TOKEN, vocab_size, length - opening - 1)))
        for first, length in zip(firsts, responses, strict=True)
    )
    return TokenizedGroup(
        id=f"tokens-{seed}",
        prompt_hash=f"{seed:016x}",
        sequences=tuple(sequence.astype(np.int64) for sequence in sequences),
        response_starts=(prompt,) * len(responses),
        comparisons=full_ranking(len(responses)),
        where=f"tokens:{seed + 1}",
    )


def with_system_turn(groups: Sequence[TokenizedGroup], length: int, *, seed: int = 0) -> tuple[TokenizedGroup, ...]:
    """The groups with the same random tokens before each sequence, as a chat template's system turn is.

    Args:
        groups: as they are without it.
        length: of the turn, in tokens.
        seed: of the token ids.

    >>> [len(sequence) for sequence in with_system_turn([token_group(4, (3, 5))], 20)[0].sequences]
    [27, 29]
    """
    turn = np.random.default_rng(seed).integers(_FIRST_TOKEN, 200, length)
    return tuple(
        replace(
            group,
            sequences=tuple(np.concatenate((turn, sequence)) for sequence in group.sequences),
            response_starts=tuple(length + start for start in group.response_starts),
        )
        for group in groups
    )


def branching_group(prompt: int, branches: Sequence[tuple[int, Sequence[int]]], *, seed: int = 0) -> TokenizedGroup:
    """A fully ranked group whose responses share openings in families: a prefix tree of three levels.

    Args:
        prompt: tokens of the prompt.
        branches: for each family, the tokens of its opening and those of each response after it. Families are
            dealt out in turn, so that sequences of one family do not lie side by side.
        seed: of the token ids, and the group's id.

    >>> group = branching_group(4, [(3, (2, 1)), (0, (5,))])
    >>> [len(sequence) for sequence in group.sequences], group.shared, group.computed_tokens
    ([9, 9, 8], 4, 15)
    """
    rng = np.random.default_rng(seed)

    def tokens(length: int) -> list[int]:
        return [int(token) for token in rng.integers(_FIRST_TOKEN, 200, length)]

    start = tokens(prompt)
    families: list[list[list[int]]] = []
    for number, (opening, responses) in enumerate(branches):
        begin = [*start, *([200 + number, *tokens(opening - 1)] if opening else [])]
        families.append([[*begin, 220 + k, *tokens(own - 1)] for k, own in enumerate(responses)])
    rounds = range(max(len(family) for family in families))
    dealt = [family[turn] for turn in rounds for family in families if turn < len(family)]
    return TokenizedGroup(
        id=f"branching-{seed}",
        prompt_hash=f"{seed:016x}",
        sequences=tuple(np.array(sequence, dtype=np.int64) for sequence in dealt),
        response_starts=(prompt,) * len(dealt),
        comparisons=full_ranking(len(dealt)),
        where=f"branching:{seed + 1}",
    )
