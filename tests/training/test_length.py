"""Length control in training: exact however a step is packed, resumed to the bit, and it does what it is for."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor

from palate.config import TrainConfig
from palate.errors import ConfigError
from palate.losses import decorrelation
from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_padded, collate_tree
from palate.records import Comparison, TokenizedGroup
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import tiny_run
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model
from palate.training import loop
from palate.training.length import (
    LengthEffect,
    batch_moments,
    log_length,
    make_effect,
    step_moments,
    typical_difference,
)
from palate.training.objective import NUM_FIGURES, NUM_SUMS, num_terms, pack_loss, step_loss
from palate.training.optimizer import switch_off_dropout
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

CONTROLS = ("covariate", "decorrelation")
VARYING = ("seconds", "pairs_per_second", "tokens_per_second")


class Killed(BaseException):
    """Stands for a kill where a test wants one at an exact place."""


def settings(**values: Any) -> TrainConfig:
    return TrainConfig(model="", data="", out="", **values)


def log_of(out: str | Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in VARYING} for line in lines]


def mixed_groups() -> list[TokenizedGroup]:
    """Pairs and rankings of uneven length, one comparison with a weight of its own."""
    pairs = [token_group(4 + n, (3 + n, 9 - n), opening=1, seed=n) for n in range(5)]
    pairs[2] = replace(pairs[2], comparisons=(Comparison(1, 0, weight=0.25, probability=0.8),))
    return [*pairs, *(token_group(3, (2, 7, 4), seed=10 + n) for n in range(3))]


def test_the_length_term_is_the_logarithm_of_the_response_s_tokens_in_any_layout() -> None:
    groups = [token_group(4, (3, 5), opening=1), token_group(0, (2, 7))]
    for batch in (collate_tree(groups), collate_padded(groups, pad_token_id=0)):
        assert log_length(batch).tolist() == pytest.approx([math.log(n) for n in (3, 5, 2, 7)])


def test_the_typical_difference_is_the_root_mean_square_over_comparisons() -> None:
    groups = [token_group(4, (2, 8)), token_group(4, (3, 3, 6))]
    differences = [math.log(4), 0.0, math.log(2), math.log(2)]
    assert typical_difference(groups) == pytest.approx(math.sqrt(np.mean(np.square(differences))))
    assert typical_difference([token_group(4, (5, 5))]) == 1.0
    assert typical_difference(groups * 5000) == pytest.approx(typical_difference(groups))


def test_moments_give_each_comparison_the_weight_it_has_in_the_loss() -> None:
    labels = (Comparison(0, 1, weight=0.5), Comparison(2, 0))
    batch = collate_tree([replace(token_group(4, (3, 5, 4)), comparisons=labels), token_group(2, (6, 2))])
    rewards = torch.tensor([1.0, 0.5, 3.0, 0.2, -0.8])
    gaps = (0.5, 2.0, 1.0)
    lengths = (math.log(3 / 5), math.log(4 / 3), math.log(3))

    def expected(weights: tuple[float, ...]) -> list[float]:
        rows = list(zip(weights, gaps, lengths, strict=True))
        products = [(w * g * d, w * g * g, w * d * d, w) for w, g, d in rows]
        return [sum(column) for column in zip(*products, strict=True)]

    plain = batch_moments(rewards, batch, settings())
    assert plain.tolist() == pytest.approx(expected((0.5, 1.0, 1.0)), abs=1e-6)
    balanced = batch_moments(rewards, batch, settings(balance_groups=True))
    assert balanced.tolist() == pytest.approx(expected((0.25, 0.5, 1.0)), abs=1e-6)
    ranked = batch_moments(rewards, batch, settings(loss="plackett-luce"))  # whose likelihood sees no weights
    assert ranked.tolist() == pytest.approx(expected((0.5, 0.5, 1.0)), abs=1e-6)


def test_the_effect_per_doubling_is_what_twice_the_length_adds_to_a_reward() -> None:
    effect = LengthEffect(0.8)
    torch.nn.init.constant_(effect.coefficient, 0.5)
    batch = collate_tree([token_group(4, (3, 6))])
    seen_N = effect(torch.zeros(2), batch)
    assert float((seen_N[1] - seen_N[0]).detach()) == pytest.approx(effect.per_doubling)


def test_the_effect_claims_what_length_the_rewards_carry_and_nothing_from_rewards_without_it() -> None:
    effect, accelerator = LengthEffect(2.0), Accelerator()
    for product, expected in ((6.0, 1.0 - 0.3 * 6.0 / (3.0 * 2.0)), (0.0, 1.0)):
        effect.coefficient.grad = torch.tensor(1.0)
        effect.settle(accelerator, torch.tensor([product, 9.0, 9.0, 3.0], dtype=torch.float64))
        assert float(effect.coefficient.grad) == pytest.approx(expected)


def in_packs(model: RewardModel, packs: list[list[TokenizedGroup]], config: TrainConfig) -> tuple[float, list[Tensor]]:
    """Loss and gradients of a step as the loop takes it."""
    groups, accelerator = [group for pack in packs for group in pack], Accelerator()
    model.zero_grad()
    effect = make_effect(sorted(groups, key=lambda group: group.id), config, torch.device("cpu"))
    if effect is not None:
        torch.nn.init.constant_(effect.coefficient, 0.4)
    moments = step_moments(accelerator, model, packs, config) if config.length_control == "decorrelation" else None
    sums, terms = torch.zeros(NUM_SUMS, dtype=torch.float64), num_terms(groups, config)
    for pack in filter(None, packs):
        batch = model.collate(pack)
        result = pack_loss(model(batch), batch, config, effect=effect, step_moments=moments)
        result.share(terms).backward()
        sums += result.sums
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    if effect is not None:
        effect.settle(accelerator, sums[NUM_FIGURES:])
        grads.append(effect.coefficient.grad)
    return step_loss(float(sums[0]), terms, sums[NUM_FIGURES:], config), grads


def in_one_graph(model: RewardModel, groups: list[TokenizedGroup], config: TrainConfig) -> tuple[float, list[Tensor]]:
    """Loss and gradients with the penalty written as it is defined, on all rewards at once."""
    model.zero_grad()
    batch = model.collate(groups)
    reward_N = model(batch)
    plain = replace(config, length_control="none", length_coefficient=1.0)
    total = pack_loss(reward_N, batch, plain).total / num_terms(groups, config)
    total = total + config.length_coefficient * decorrelation(batch_moments(reward_N, batch, config))
    total.backward()
    return float(total.detach()), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def assert_same(ours: tuple[float, list[Tensor]], theirs: tuple[float, list[Tensor]]) -> None:
    assert ours[0] == pytest.approx(theirs[0], abs=1e-6)
    for a, b in zip(ours[1], theirs[1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "balance"),
    [("bradley-terry", False), ("bradley-terry", True), ("hinge", False), ("hinge", True), ("plackett-luce", False)],
)
@pytest.mark.parametrize("control", CONTROLS)
def test_packs_add_up_to_one_batch_in_loss_and_gradients(control: str, loss: str, balance: bool) -> None:
    coefficient = {"length_coefficient": 2.5} if control == "decorrelation" else {}
    config = settings(loss=loss, balance_groups=balance, length_control=control, centering=0.01, **coefficient)
    groups, model = mixed_groups(), sharp_reward_model()
    torch.nn.init.normal_(model.head.score.weight, std=1.0)
    groups = groups[3:] if loss == "plackett-luce" else groups  # a tie is no ranking
    one = in_packs(model, [groups], config)
    if control == "decorrelation":
        assert_same(one, in_one_graph(model, groups, config))
    assert_same(in_packs(model, [[group] for group in groups], config), one)
    assert_same(in_packs(model, [groups[4:], [], groups[:1], groups[1:4]], config), one)


def test_the_penalty_has_an_effect_on_the_gradient_and_its_pack_alone_would_have_another() -> None:
    groups, config = mixed_groups(), settings(length_control="decorrelation")
    batch = collate_tree(groups[:2])
    generator = torch.Generator().manual_seed(0)
    reward_N = torch.randn(batch.num_sequences, generator=generator).requires_grad_()
    whole_M = torch.tensor([3.0, 9.0, 4.0, 6.0], dtype=torch.float64)
    grads = [
        torch.autograd.grad(pack_loss(reward_N, batch, chosen, step_moments=moments).share(2), reward_N)[0]
        for chosen, moments in ((settings(), None), (config, None), (config, whole_M))
    ]
    assert not torch.allclose(grads[0], grads[1], atol=1e-3)
    assert not torch.allclose(grads[1], grads[2], atol=1e-3)


def test_the_first_pass_sees_the_dropout_masks_of_the_second() -> None:
    model = tiny_reward_model("gpt2").train()
    groups, config = mixed_groups(), settings(length_control="decorrelation")
    torch.manual_seed(5)
    first = step_moments(Accelerator(), model, [groups[:3], groups[3:]], config)
    again = torch.zeros(4, dtype=torch.float64)
    for pack in (groups[:3], groups[3:]):
        batch = model.collate(pack)
        again += batch_moments(model(batch).detach(), batch, config)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    other = step_moments(Accelerator(), model, [groups[:3], groups[3:]], config)
    assert not torch.allclose(first, other)
    assert switch_off_dropout(model.backbone) > 0


@pytest.mark.parametrize("control", CONTROLS)
def test_the_trajectory_does_not_depend_on_the_packing(control: str, tmp_path: Path) -> None:
    groups = (*random_groups(14), *random_groups(6, responses=4, seed=1))
    ends = []
    for name, tokens in (("one", 5000), ("some", 300), ("single", 1)):
        config = tiny_run(tmp_path, groups, length_control=control, tokens_per_pack=tokens, out=str(tmp_path / name))
        result = train(config, epochs=2)
        ends.append((log_of(result.out), load_file(result.out / "model.safetensors"), result.summary))
    reference_log, reference, summary = ends[0]
    assert len(reference_log) >= 10
    for log, weights, other in ends[1:]:
        for name in ("loss", "grad_norm", "length_correlation", "length_effect"):
            expected = [line[name] for line in reference_log]
            if expected[-1] is None:
                assert [line[name] for line in log] == expected
            else:
                assert [line[name] for line in log][1:] == pytest.approx(expected[1:], abs=1e-4), name
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, reference[name], atol=2e-5, rtol=0, msg=name)
        if control == "covariate":
            assert other["length_effect"] == pytest.approx(summary["length_effect"], abs=1e-4)


def test_one_pack_on_one_rank_takes_no_extra_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_all: Any) -> None:
        raise Killed

    monkeypatch.setattr(loop, "step_moments", refuse)
    config = tiny_run(tmp_path, length_control="decorrelation", tokens_per_pack=10_000, overwrite=True)
    train(config)
    with pytest.raises(Killed):
        train(config, tokens_per_pack=100)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_resumed_run_ends_in_the_same_bits(control: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_run(
        tmp_path, length_control=control, pairs_per_step=4, epochs=2, save_every=2, tokens_per_pack=300, dropout=True
    )
    whole = train(config, out=str(tmp_path / "whole"))

    def refuse(record: Any) -> None:
        if record.step == 7:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("palate.training.run._on_step", lambda *_all: refuse)
        with pytest.raises(Killed):
            train(config)
    resumed = train(config, resume=True)
    assert log_of(resumed.out) == log_of(whole.out)
    assert resumed.summary["length_effect"] == whole.summary["length_effect"]
    ours, theirs = (load_file(run.out / "model.safetensors") for run in (resumed, whole))
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_the_effect_is_in_log_and_summary_and_not_in_the_model(tmp_path: Path) -> None:
    plain = train(tiny_run(tmp_path, out=str(tmp_path / "plain")))
    result = train(tiny_run(tmp_path, length_control="covariate"))
    log = log_of(result.out)
    assert [line["length_effect"] for line in log][-1] == result.summary["length_effect"] != 0
    assert len({line["length_effect"] for line in log}) == len(log)
    assert all(-1 <= line["length_correlation"] <= 1 for line in log[1:])
    assert log[0]["length_correlation"] is None  # a zero head
    assert load_file(result.out / "model.safetensors").keys() == load_file(plain.out / "model.safetensors").keys()
    assert plain.summary["length_effect"] is None
    assert {line["length_effect"] for line in log_of(plain.out)} == {None}
    assert log[0]["grad_norm"] == log_of(plain.out)[0]["grad_norm"]  # of the model alone
    heads = [{name: line[name] for name in ("lr", "head_lr")} for line in log]
    assert heads == [{name: line[name] for name in ("lr", "head_lr")} for line in log_of(plain.out)]


@pytest.mark.parametrize("control", CONTROLS)
def test_the_first_loss_is_ln_2_with_a_zero_head(control: str, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, length_control=control, max_steps=2, tokens_per_pack=100)
    assert train(config).summary["first_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert all(line["grad_norm"] < 100 for line in log_of(config.out))


@pytest.mark.parametrize(
    "wrong",
    [
        {"length_coefficient": 2.0},
        {"length_control": "covariate", "length_coefficient": 2.0},
        {"length_control": "decorrelation", "length_coefficient": 0.0},
        {"length_control": "decorrelation", "length_coefficient": -1.0},
    ],
)
def test_a_coefficient_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="length-coefficient"):
        settings(**wrong)


def test_steps_whose_comparisons_weigh_nothing_leave_the_covariate_a_number(tmp_path: Path) -> None:
    light = [replace(g, comparisons=tuple(replace(c, weight=0.0) for c in g.comparisons)) for g in random_groups(6)]
    groups = (*light, *random_groups(6, seed=1))
    result = train(tiny_run(tmp_path, groups, pairs_per_step=1, length_control="covariate"))
    assert result.summary["skipped_steps"] == 0
    assert math.isfinite(result.summary["length_effect"])
