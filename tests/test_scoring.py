"""Rewards of many groups: in order, as one by one, and named where they are not finite."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from palate import scoring
from palate.data.render import tokenize
from palate.errors import NonFiniteError
from palate.records import PreferenceGroup, TokenizedGroup
from palate.scoring import ScoringRun, score_groups
from palate.testing.groups import random_groups, token_group, with_system_turn
from palate.testing.separate import separate_rewards, sharp_reward_model
from palate.testing.tiny import tiny_reward_model


def tokenized(groups: tuple[PreferenceGroup, ...]) -> tuple[TokenizedGroup, ...]:
    return tokenize(groups, tiny_reward_model().tokenizer, max_length=2048).groups


@pytest.mark.parametrize("layout", ["tree", "padded"])
@pytest.mark.parametrize("budget", [1, 300, 5000])
def test_rewards_are_those_of_one_by_one_in_order(layout: str, budget: int) -> None:
    model = tiny_reward_model(layout=layout)
    groups = (*random_groups(9), *random_groups(3, responses=4, seed=1))
    found = list(score_groups(model, tokenized(groups), tokens_per_pack=budget))
    for group, rewards in zip(groups, found, strict=True):
        alone = model.score(group.prompt, [response[0].content for response in group.responses])
        np.testing.assert_allclose(rewards, alone, atol=1e-5)
        assert rewards.dtype == np.float32


def test_windows_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    model, groups = tiny_reward_model(), tokenized(random_groups(7))
    whole = np.concatenate(list(score_groups(model, groups)))
    monkeypatch.setattr(scoring, "_WINDOW", 3)
    np.testing.assert_allclose(np.concatenate(list(score_groups(model, groups))), whole, atol=1e-5)


def test_results_stream_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_WINDOW", 2)
    taken = []

    def stream() -> Iterator[TokenizedGroup]:
        for group in tokenized(random_groups(6)):
            taken.append(group)
            yield group

    next(score_groups(tiny_reward_model(), stream()))
    assert len(taken) == 2


def test_progress_counts_every_group() -> None:
    counted: list[int] = []
    groups = tokenized(random_groups(7))
    list(score_groups(tiny_reward_model(), groups, tokens_per_pack=200, on_progress=counted.append))
    assert sum(counted) == 7
    assert len(counted) > 1


def test_the_mode_is_put_back_and_dropout_is_off_meanwhile() -> None:
    model, groups = tiny_reward_model("gpt2"), tokenized(random_groups(3))
    expected = np.concatenate(list(score_groups(model, groups)))
    model.train()
    assert np.array_equal(np.concatenate(list(score_groups(model, groups))), expected)
    assert model.training


def test_a_reward_that_is_not_finite_is_named() -> None:
    model, groups = tiny_reward_model(), tokenized(random_groups(3))
    with torch.no_grad():
        model.head.score.weight.fill_(torch.inf)
    with pytest.raises(NonFiniteError, match="random:1: the reward is not finite"):
        list(score_groups(model, groups))
    assert len(list(score_groups(model, groups, require_finite=False))) == 3


@pytest.mark.parametrize("kind", ["llama", "bert", "lfm2"])
@pytest.mark.parametrize("budget", [60, 500, 100_000])
def test_best_of_64_is_cut_into_packs_and_nothing_changes(kind: str, budget: int) -> None:
    model, sizes = sharp_reward_model(kind), []
    groups = (token_group(40, tuple(range(1, 65))), token_group(10, (3, 4), seed=1), token_group(90, (2,) * 20, seed=2))
    model.backbone.register_forward_pre_hook(
        lambda _module, _args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    found, counted, run = [], [], ScoringRun(use_cache=False)
    found += score_groups(model, groups, tokens_per_pack=budget, run=run, on_progress=counted.append)
    assert (sum(counted), run.computed_tokens) == (3, sum(sizes))
    longest = max(len(sequence) for group in groups for sequence in group.sequences)
    assert max(sizes) <= max(budget, 2 * 90 if model.layout == "tree" else longest)
    assert run.split_groups == ({60: 1, 500: 1, 100_000: 0}[budget] if model.layout == "tree" else 0)
    with torch.no_grad():
        expected = np.split(separate_rewards(model, groups).numpy(), [64, 66])
    for rewards, alone in zip(found, expected, strict=True):
        np.testing.assert_allclose(rewards, alone, atol=1e-5, rtol=1e-5)


def test_cutting_a_group_at_most_doubles_its_tokens() -> None:
    model, group = sharp_reward_model(), token_group(300, (20,) * 64)
    run = ScoringRun()
    list(score_groups(model, [group], tokens_per_pack=310, run=run))
    assert run.split_groups == 1
    assert group.computed_tokens < run.computed_tokens <= 2 * group.computed_tokens
    run = ScoringRun()
    list(score_groups(model, [group], tokens_per_pack=group.computed_tokens, run=run))
    assert (run.split_groups, run.computed_tokens) == (0, group.computed_tokens)


def test_responses_that_share_an_opening_stay_together_when_a_group_is_cut() -> None:
    first, second = token_group(10, (8, 9, 7), opening=5), token_group(10, (8, 9, 7), opening=5, seed=1)
    own = [sequence[10:] for group in (first, second) for sequence in group.sequences]
    sequences = tuple(np.concatenate((first.sequences[0][:10], own[at])) for at in (0, 3, 1, 4, 2, 5))
    mixed = TokenizedGroup("mixed", "0", sequences, (10,) * 6, ())
    run = ScoringRun()
    list(score_groups(sharp_reward_model(), [mixed], tokens_per_pack=30, run=run))
    assert mixed.computed_tokens == 10 + 2 * 5 + 2 * (3 + 4 + 2)
    assert run.computed_tokens == mixed.computed_tokens + 10


def test_a_pack_holds_what_all_groups_begin_with_once_and_is_filled_accordingly() -> None:
    groups = with_system_turn([token_group(10, (5, 5), seed=seed) for seed in range(30)], 100)
    model, run, sizes = sharp_reward_model(), ScoringRun(), []
    model.backbone.register_forward_pre_hook(
        lambda _module, _args, kwargs: sizes.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    found = np.concatenate(list(score_groups(model, groups, tokens_per_pack=300, run=run)))
    assert sizes == [300, 300, 300]  # ten groups of 20 and the turn
    assert run.computed_tokens == 900
    with torch.no_grad():
        np.testing.assert_allclose(found, separate_rewards(model, groups).numpy(), atol=1e-5, rtol=1e-5)


def test_a_padded_window_is_sorted_by_length() -> None:
    model, run = sharp_reward_model("bert"), ScoringRun()
    groups = [token_group(0, (100, 3), seed=seed) for seed in range(10)]
    list(score_groups(model, groups, tokens_per_pack=1000, run=run))
    assert run.computed_tokens == run.unshared_tokens == 1030
