import dataclasses
import subprocess
import sys

import pytest

from palate.records import (
    Comparison,
    Message,
    PreferenceGroup,
    prompt_hash,
)


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
