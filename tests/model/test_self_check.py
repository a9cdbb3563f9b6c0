"""A body that mixes tokens in some other way than it announces has to be caught before its rewards are believed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from palate.errors import ModelError, NonFiniteError
from palate.model.reward_model import RewardModel
from palate.model.self_check import check_sharing
from palate.testing.groups import token_group
from palate.testing.separate import sharp_reward_model

GROUPS = (token_group(20, (7, 9)), token_group(13, (12, 1, 4), seed=1), token_group(6, (5, 5), seed=2))
SHARING = ("llama", "qwen3", "gemma3_text", "mistral", "gpt_neox", "gpt2", "opt", "gemma2", "olmo2")


@pytest.mark.parametrize("kind", SHARING)
def test_an_honest_body_passes_with_room_to_spare(kind: str) -> None:
    model = sharp_reward_model(kind)
    result = check_sharing(model, GROUPS)
    assert result.difference < result.tolerance / 100
    assert result.num_sequences == 7
    assert result.num_layers == 3


def test_a_fresh_zero_head_hides_nothing() -> None:
    model = sharp_reward_model("llama")
    nn.init.zeros_(model.head.score.weight)
    ignore_positions(model)
    with pytest.raises(ModelError, match="differ from separate runs"):
        check_sharing(model, GROUPS)


def replace_forward(module: nn.Module, forward: Callable[..., object]) -> None:
    """Let `forward(original, *args, **kwargs)` stand in for the module's own."""
    original = module.forward
    module.forward = lambda *args, **kwargs: forward(original, *args, **kwargs)


def ignore_positions(model: RewardModel) -> None:
    def count_rows(original, states: Tensor, position_ids: Tensor) -> object:
        return original(states, position_ids=torch.arange(position_ids.shape[-1])[None])

    replace_forward(model.backbone.rotary_emb, count_rows)


def bypass_the_hook(model: RewardModel) -> None:
    """The middle layer mixes tokens by itself, as a recurrent one would."""
    attention = model.backbone.layers[1].self_attn

    def mix(_original, hidden_states: Tensor, **_kwargs: object) -> tuple[Tensor, None]:
        return hidden_states.cumsum(dim=1) * 0.01, None

    replace_forward(attention, mix)


def leak_between_rows(model: RewardModel) -> None:
    """Every layer calls the hook, and one mixes neighbouring rows besides, as a convolution would."""
    replace_forward(
        model.backbone.layers[2].mlp, lambda original, states: original(states) + 0.1 * states.roll(1, dims=1)
    )


def hide_the_window(model: RewardModel) -> None:
    """The window is in the body's own mask alone, and attention is not told of it."""
    config = model.backbone.config

    def forget(original, *args: object, **kwargs: object) -> object:
        window, config.sliding_window = config.sliding_window, None
        try:
            return original(*args, **kwargs)
        finally:
            config.sliding_window = window

    for layer in model.backbone.layers:
        replace_forward(layer.self_attn, forget)


def overflow(model: RewardModel) -> None:
    replace_forward(model.backbone.norm, lambda original, states: original(states) * torch.nan)


SABOTAGE = [
    ("llama", ignore_positions, "differ from separate runs"),
    ("mistral", ignore_positions, "differ from separate runs"),
    ("llama", bypass_the_hook, "2 of 3 layers of LlamaModel called"),
    ("qwen3", leak_between_rows, "differ from separate runs"),
    ("mistral", hide_the_window, "differ from separate runs"),
]


@pytest.mark.parametrize(("kind", "sabotage", "message"), SABOTAGE)
def test_a_sabotaged_body_is_stopped(kind: str, sabotage: Callable[[RewardModel], None], message: str) -> None:
    model = sharp_reward_model(kind)
    sabotage(model)
    with pytest.raises(ModelError, match=message) as caught:
        check_sharing(model, GROUPS)
    assert "--layout padded" in str(caught.value)


def test_a_body_that_overflows_everywhere_is_stopped() -> None:
    model = sharp_reward_model("llama")
    overflow(model)
    with pytest.raises(NonFiniteError, match="LlamaModel gives states that are not finite"):
        check_sharing(model, GROUPS)


@pytest.mark.parametrize("kind", ["mamba", "qwen3_next", "bert"])
def test_a_tree_forced_onto_a_body_that_cannot_share_is_stopped(kind: str) -> None:
    with pytest.raises(ModelError, match="--layout padded"):
        check_sharing(sharp_reward_model(kind), GROUPS)


def test_the_model_is_left_in_the_mode_and_precision_it_was_in() -> None:
    model = sharp_reward_model("llama").train()
    model.compute_dtype = torch.bfloat16
    check_sharing(model, GROUPS)
    assert model.training
    assert model.compute_dtype is torch.bfloat16
    ignore_positions(model)
    with pytest.raises(ModelError):
        check_sharing(model, GROUPS)
    assert model.training
    assert model.compute_dtype is torch.bfloat16


def test_dropout_of_a_model_in_training_is_no_difference() -> None:
    model = sharp_reward_model("gpt2", resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5).train()
    check_sharing(model, GROUPS)


def test_half_precision_weights_are_held_to_what_they_can_keep() -> None:
    model = sharp_reward_model("llama")
    model.backbone.to(torch.bfloat16)
    assert 0 < check_sharing(model, GROUPS).difference < 0.1
    ignore_positions(model)
    with pytest.raises(ModelError, match="differ"):
        check_sharing(model, GROUPS)


def test_long_data_costs_a_bounded_number_of_tokens() -> None:
    long = tuple(token_group(300, (200, 200), seed=seed) for seed in range(9))
    assert check_sharing(sharp_reward_model("llama"), long).num_sequences == 4
    enormous = (token_group(1500, (1000, 1000)),)
    assert check_sharing(sharp_reward_model("llama"), enormous).num_sequences == 2


def test_a_row_that_is_not_finite_on_its_own_does_not_count_against_sharing() -> None:
    model = sharp_reward_model("llama")
    poisoned = GROUPS[2].sequences[1][-1]  # a token of one response; rows that hold it are left out
    hit = sum(poisoned in sequence for group in GROUPS for sequence in group.sequences)
    with torch.no_grad():
        model.backbone.get_input_embeddings().weight[poisoned] = torch.nan
    result = check_sharing(model, GROUPS)
    assert 0 < hit < 7
    assert result.num_sequences == 7 - hit
    assert result.difference < result.tolerance
