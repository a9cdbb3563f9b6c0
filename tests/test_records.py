import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.records import (
    Comparison,
    Message,
    PreferenceGroup,
    TokenizedGroup,
    common_prefix_length,
    prompt_hash,
)

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12)


def arrays(*sequences: list[int]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(sequence, dtype=np.int64) for sequence in sequences)


@settings(max_examples=200, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=5))
def test_the_shared_prefix_is_the_longest_that_leaves_each_sequence_a_token(sequences: list[list[int]]) -> None:
    shared = common_prefix_length(arrays(*sequences))
    assert all(sequence[:shared] == sequences[0][:shared] for sequence in sequences)
    assert all(len(sequence) > shared for sequence in sequences)
    longer = shared + 1
    assert any(sequence[:longer] != sequences[0][:longer] or len(sequence) == longer for sequence in sequences)


@settings(max_examples=100, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=5))
def test_computed_tokens_are_the_prefix_once_and_each_sequences_own(sequences: list[list[int]]) -> None:
    group = TokenizedGroup("g", "h", arrays(*sequences), (0,) * len(sequences), ())
    assert group.unshared_tokens == sum(map(len, sequences))
    assert group.computed_tokens == group.shared + sum(len(s) - group.shared for s in sequences)


@pytest.mark.parametrize(
    ("sequences", "shared"),
    [
        (([1, 2, 3], [1, 2, 4, 5]), 2),
        (([1, 2], [1, 2]), 1),
        (([1, 2], [1, 2, 3]), 1),
        (([1, 2, 3, 4], [1, 2, 3], [1, 9]), 1),
        (([5], [1, 2]), 0),
        (([7, 1], [8, 1]), 0),
        (([1, 2, 3],), 2),
    ],
)
def test_prefixes_by_hand(sequences: tuple[list[int], ...], shared: int) -> None:
    assert common_prefix_length(arrays(*sequences)) == shared


@pytest.mark.parametrize(
    "other",
    ["What is 2+2?", "what  is\n2+2? ", "WHAT IS 2+2?", "what is 2+2\uff1f"],
)
def test_prompts_that_differ_in_case_space_or_unicode_form_are_one_prompt(other: str) -> None:
    assert prompt_hash((Message("user", other),)) == prompt_hash((Message("user", "What is 2+2?"),))


@pytest.mark.parametrize(
    "other",
    [
        (),
        (Message("user", "What is 2+3?"),),
        (Message("system", "What is 2+2?"),),
        (Message("user", "What is 2+2?"), Message("assistant", "4")),
        (Message("user", "What is"), Message("user", "2+2?")),
    ],
)
def test_other_words_roles_or_turns_are_another_prompt(other: tuple[Message, ...]) -> None:
    assert prompt_hash(other) != prompt_hash((Message("user", "What is 2+2?"),))


def test_the_hash_is_the_same_in_every_process_and_version() -> None:
    # A changed hash moves prompts between training and held-out data.
    assert prompt_hash((Message("system", "Be brief."), Message("user", "Été?"))) == "7009235895d6904d"


def test_a_group_is_known_by_its_prompt_alone() -> None:
    prompt = (Message("user", "Hello"),)
    one = PreferenceGroup("a", prompt, ((Message("assistant", "x"),),))
    assert one.prompt_hash == PreferenceGroup("b", prompt, ((Message("assistant", "y"),),)).prompt_hash


@pytest.mark.parametrize(("probability", "tie"), [(0.5, True), (0.51, False), (1.0, False)])
def test_a_tie_is_an_even_split_of_the_votes(probability: float, tie: bool) -> None:
    assert Comparison(0, 1, probability=probability).is_tie is tie


def test_records_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Comparison(0, 1).winner = 1  # type: ignore[misc]


def test_records_data_and_plans_import_without_torch() -> None:
    modules = "palate.records, palate.data.render, palate.data.split, palate.packing.plan, palate.data.load"
    code = f"import sys, {modules}; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
