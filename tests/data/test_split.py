import pytest

from palate.data.split import split_by_prompt
from palate.errors import ConfigError
from palate.records import Message, PreferenceGroup
from palate.testing.groups import random_groups

GROUPS = random_groups(400, words=3)


def ids(groups: tuple[PreferenceGroup, ...]) -> set[str]:
    return {group.id for group in groups}


def same_prompt(text: str, num: int) -> list[PreferenceGroup]:
    # Prompts that differ in case and white space alone are one prompt.
    forms = (text, text.upper(), f" {text}  ")
    responses = ((Message("assistant", "a"),), (Message("assistant", "b"),))
    return [PreferenceGroup(f"{text}-{n}", (Message("user", forms[n % 3]),), responses) for n in range(num)]


def test_every_group_is_on_exactly_one_side_in_its_old_order() -> None:
    training, held_out = split_by_prompt(GROUPS, 0.2)
    assert ids(training) | ids(held_out) == ids(GROUPS)
    assert not ids(training) & ids(held_out)
    order = {group.id: at for at, group in enumerate(GROUPS)}
    for side in (training, held_out):
        places = [order[group.id] for group in side]
        assert places == sorted(places)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_prompt_keeps_its_side_when_data_is_added_or_reordered(seed: int) -> None:
    _, before = split_by_prompt(GROUPS[:200], 0.2, seed=seed)
    _, after = split_by_prompt(GROUPS[::-1], 0.2, seed=seed)
    assert ids(before) == ids(after) & ids(GROUPS[:200])
    assert ids(after) - ids(before)


def test_a_larger_fraction_holds_out_the_same_prompts_and_more() -> None:
    _, some = split_by_prompt(GROUPS, 0.1)
    _, more = split_by_prompt(GROUPS, 0.3)
    assert ids(some) < ids(more)


def test_all_groups_of_a_prompt_stay_together() -> None:
    groups = [group for n in range(60) for group in same_prompt(f"question {n}", 7)]
    training, held_out = split_by_prompt(groups, 0.3)
    hashes = [{group.prompt_hash for group in side} for side in (training, held_out)]
    assert not hashes[0] & hashes[1]
    assert sum(map(len, hashes)) == 60
    assert len(training) % 7 == len(held_out) % 7 == 0


@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5])
def test_the_held_out_share_is_about_the_fraction_of_the_prompts(fraction: float) -> None:
    groups = random_groups(2000, words=1)
    held = [len(split_by_prompt(groups, fraction, seed=seed)[1]) / 2000 for seed in range(3)]
    deviation = (fraction * (1 - fraction) / 2000) ** 0.5
    assert all(abs(share - fraction) < 4 * deviation for share in held)
    assert len(set(held)) > 1  # the seed matters


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_both_sides_get_a_prompt_however_small_the_data(fraction: float) -> None:
    for size in (2, 3):
        training, held_out = split_by_prompt(GROUPS[:size], fraction)
        assert training
        assert held_out


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split_by_prompt(GROUPS, fraction)


def test_a_single_prompt_cannot_be_split_and_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"all 5 groups have the same prompt.*--eval-data"):
        split_by_prompt(same_prompt("the one", 5), 0.2)
