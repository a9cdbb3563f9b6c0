"""The loss and the figures of a step are those that one computes by hand, however the step was packed."""

import gzip
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palate.config import TrainConfig
from palate.data.read import read_preferences
from palate.data.render import tokenize
from palate.data.split import split_by_prompt
from palate.losses import plackett_luce
from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_tree
from palate.records import Comparison, PreferenceGroup, TokenizedGroup
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import tiny_run
from palate.testing.separate import separate_rewards, sharp_reward_model
from palate.testing.tiny import tiny_reward_model
from palate.training.guards import expected_first_loss
from palate.training.objective import NUM_FIGURES, num_terms, pack_loss
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

LN2 = math.log(2)


def labelled_groups() -> tuple[PreferenceGroup, ...]:
    """Pairs and rankings of three, with margins, shared labels, ties and weights."""
    labels = itertools.cycle(
        [{}, {"margin": 0.7}, {"probability": 0.5, "margin": 2.0}, {"probability": 0.75}, {"weight": 0.25}]
    )
    mixed = (*random_groups(9), *random_groups(5, responses=3, seed=1))
    return tuple(
        replace(
            group,
            id=f"g{n}",
            comparisons=tuple(Comparison(c.winner, c.loser, **next(labels)) for c in group.comparisons),
        )
        for n, group in enumerate(mixed)
    )


def read_tokenized(config: TrainConfig, model: RewardModel) -> tuple[TokenizedGroup, ...]:
    groups = read_preferences(config.data).groups
    return tokenize(groups, model.tokenizer, max_length=config.max_length).groups


def bradley_terry_by_hand(gap: float, c: Comparison) -> float:
    s, q = gap - (2 * c.probability - 1) * c.margin, c.probability
    return c.weight * (q * math.log1p(math.exp(-s)) + (1 - q) * math.log1p(math.exp(s)))


def test_first_loss_is_ln_2_with_a_zero_head(tmp_path: Path) -> None:
    assert train(tiny_run(tmp_path)).summary["first_loss"] == pytest.approx(LN2, abs=1e-6)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (Comparison(0, 1), LN2),
        (Comparison(0, 1, margin=1.0), math.log1p(math.e)),
        (
            Comparison(0, 1, probability=0.75, margin=1.0),
            0.75 * math.log1p(math.exp(0.5)) + 0.25 * math.log1p(math.exp(-0.5)),
        ),
        (Comparison(0, 1, probability=0.5, margin=1.0), LN2),
        (Comparison(0, 1, weight=0.5), LN2 / 2),
    ],
)
def test_expected_first_loss_of_pairs(comparison: Comparison, expected: float) -> None:
    model = tiny_reward_model()  # its head is not zero: what is expected does not depend on it
    group = replace(token_group(4, (3, 5)), comparisons=(comparison,))
    config = TrainConfig(model="", data="", out="")
    assert expected_first_loss(model, [group, group], config) == pytest.approx(expected, abs=1e-6)


def test_expected_first_loss_of_rankings_is_the_log_of_the_number_of_orders() -> None:
    config = TrainConfig(model="", data="", out="", loss="plackett-luce")
    groups = [token_group(4, (3, 5)), token_group(4, (3, 5, 4))]
    expected = (math.log(2) + math.log(6)) / 2
    assert expected_first_loss(tiny_reward_model(), groups, config) == pytest.approx(expected, abs=1e-6)


def test_first_loss_is_the_expected_one_for_rankings(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, random_groups(6, responses=3), loss="plackett-luce")
    assert train(config).summary["first_loss"] == pytest.approx(math.log(6), abs=1e-6)


def test_the_step_of_uneven_packs_has_the_figures_of_one_by_one_by_hand(tmp_path: Path) -> None:
    model = sharp_reward_model()
    model.save_pretrained(tmp_path / "model")
    config = tiny_run(tmp_path, labelled_groups(), pairs_per_step=1000, tokens_per_pack=400)
    groups = read_tokenized(config, model)
    result = train(config)
    record = json.loads((result.out / "log.jsonl").read_text().splitlines()[0])

    rewards = iter(separate_rewards(model, groups).tolist())
    gaps = []
    for group in groups:
        own = [next(rewards) for _ in group.sequences]
        gaps += [(own[c.winner] - own[c.loser], c) for c in group.comparisons]
    judged = [gap for gap, c in gaps if c.probability != 0.5]
    assert record["pairs"] == len(gaps) == 9 + 5 * 3
    assert record["loss"] == pytest.approx(sum(bradley_terry_by_hand(*one) for one in gaps) / len(gaps), abs=1e-5)
    assert record["accuracy"] == pytest.approx(sum(gap > 0 for gap in judged) / len(judged))
    assert record["margin"] == pytest.approx(sum(judged) / len(judged), abs=1e-5)
    assert record["tokens"] == sum(group.computed_tokens for group in groups)


def test_equal_rewards_count_half_and_tied_labels_not_at_all() -> None:
    group = token_group(4, (3, 5, 4, 6))
    labels = (Comparison(0, 1), Comparison(2, 0), Comparison(3, 0), Comparison(1, 3, probability=0.5))
    batch = collate_tree([replace(group, comparisons=labels)])
    rewards = torch.tensor([1.0, 1.0, 2.0, 0.5])
    sums = pack_loss(rewards, batch, TrainConfig(model="", data="", out="")).sums
    _, correct, judged, margin, pairs, ties, tokens = sums[:NUM_FIGURES]
    assert (float(correct), float(judged), float(pairs), float(ties)) == (1.5, 3, 4, 1)
    assert float(tokens) == 4 + 3 + 5 + 4 + 6
    assert float(margin) == pytest.approx(0 + 1 - 0.5)


def test_balanced_groups_weigh_each_prompt_alike() -> None:
    config = TrainConfig(model="", data="", out="", balance_groups=True)
    groups = [token_group(4, (3, 5)), token_group(4, (3, 5, 4), seed=1)]
    rewards = torch.tensor([0.3, -0.2, 1.0, 0.4, -0.5])
    total = float(pack_loss(rewards, collate_tree(groups), config).total) / num_terms(groups, config)
    pair = math.log1p(math.exp(-0.5))
    three = [math.log1p(math.exp(-gap)) for gap in (0.6, 1.5, 0.9)]
    assert total == pytest.approx((pair + sum(three) / 3) / 2)


def test_centering_hinge_and_smoothing_are_what_they_say() -> None:
    batch = collate_tree([token_group(4, (3, 5))])
    rewards = torch.tensor([0.8, 0.5])

    def loss(**settings: object) -> float:
        return float(pack_loss(rewards, batch, TrainConfig(model="", data="", out="", **settings)).total)  # type: ignore[arg-type]

    plain, flipped = math.log1p(math.exp(-0.3)), math.log1p(math.exp(0.3))
    assert loss() == pytest.approx(plain)
    assert loss(centering=0.01) == pytest.approx(plain + 0.01 * 1.3**2)
    assert loss(label_smoothing=0.1) == pytest.approx(0.9 * plain + 0.1 * flipped)
    assert loss(loss="hinge") == pytest.approx(0.7)


def test_plackett_luce_follows_the_order_of_the_comparisons_not_of_the_file() -> None:
    config = TrainConfig(model="", data="", out="", loss="plackett-luce")
    order = (Comparison(2, 0), Comparison(2, 1), Comparison(0, 1))  # 2 before 0 before 1
    groups = [token_group(4, (3, 5)), replace(token_group(4, (3, 5, 4)), comparisons=order)]
    rewards = torch.tensor([0.1, 0.2, 1.0, 0.4, -0.5])
    expected = plackett_luce(rewards[:2]) + plackett_luce(rewards[[4, 2, 3]])
    assert float(pack_loss(rewards, collate_tree(groups), config).total) == pytest.approx(float(expected))


def test_evaluation_is_exact_over_all_held_out_comparisons(tmp_path: Path) -> None:
    config = tiny_run(tmp_path, labelled_groups(), eval_fraction=0.4, tokens_per_pack=300)
    result = train(config)
    _, held_out = split_by_prompt(read_preferences(config.data).groups, 0.4, seed=0)
    gaps = []
    for group in held_out:
        own = result.model.score(group.prompt, [response[-1].content for response in group.responses]).tolist()
        gaps += [(own[c.winner] - own[c.loser], c.probability) for c in group.comparisons]
    judged = [gap for gap, probability in gaps if probability != 0.5]
    assert result.after is not None
    assert result.after.pairs == len(judged) > 3
    assert result.after.label_ties == len(gaps) - len(judged) > 0
    assert result.after.accuracy == sum(gap > 0 for gap in judged) / len(judged)
    assert result.after.margin == pytest.approx(float(np.mean(judged)), abs=1e-6)
    losses = [p * math.log1p(math.exp(-gap)) + (1 - p) * math.log1p(math.exp(gap)) for gap, p in gaps]
    assert result.after.loss == pytest.approx(float(np.mean(losses)), abs=1e-6)
    assert result.summary["eval"]["accuracy"] == result.after.accuracy


def test_32_real_pairs_are_learned_by_heart(real_data: Path, tmp_path: Path) -> None:
    with gzip.open(real_data / "hh_rlhf/harmless-base/test.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in itertools.islice(file, 400)]
    rows.sort(key=lambda row: len(row["chosen"]) + len(row["rejected"]))
    data = tmp_path / "hh.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows[:32]), encoding="utf-8")
    config = tiny_run(tmp_path, data=str(data), eval_data=str(data), pairs_per_step=16, epochs=40, lr=3e-3)
    result = train(config)
    assert result.summary["eval_before"]["accuracy"] == 0.5
    assert result.summary["eval"]["accuracy"] == 1.0


@pytest.mark.parametrize("settings", [{"balance_groups": True}, {"loss": "plackett-luce"}])
def test_centering_counts_a_prompt_once_where_the_likelihood_does(settings: dict[str, Any]) -> None:
    groups = [token_group(4, (3, 5, 4)), token_group(4, (3, 5))]  # three comparisons, and one
    batch, rewards = collate_tree(groups), torch.ones(5)

    def loss(centering: float) -> float:
        config = TrainConfig(model="", data="", out="", centering=centering, **settings)
        return float(pack_loss(rewards, batch, config).total) / num_terms(groups, config)

    assert loss(0.01) - loss(0.0) == pytest.approx(0.01 * (1 + 1) ** 2, rel=1e-4)
