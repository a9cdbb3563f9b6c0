"""Length control does what it is for: a planted preference for length stays out of the reward, quality stays in it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from palate.config import TrainConfig
from palate.data.render import tokenize
from palate.losses import length_correlation, length_moments
from palate.packing.collate import collate_tree
from palate.records import Comparison, Message, PreferenceGroup
from palate.scoring import score_groups
from palate.testing.groups import token_group
from palate.testing.runs import tiny_run
from palate.training.length import make_effect
from palate.training.objective import NUM_FIGURES, pack_loss
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

CONTROLS = ("covariate", "decorrelation")


def linear_reward(control: str, *, steps: int = 300) -> tuple[float, float, float]:
    """Train a linear reward on features that mix quality and length, on labels of annotators who like length too.

    The annotators' log-odds are 1.5 differences in quality and 2 typical differences in length, independent of each
    other. Returns the correlation of reward gaps with length and with quality, and the learned effect over the planted.
    """
    rng = np.random.default_rng(0)
    config = TrainConfig(model="", data="", out="", length_control=control)
    words = np.exp(rng.normal(3, 0.6, (1000, 2))).round().astype(int) + 1
    quality = rng.normal(size=(1000, 2))
    length = np.log(words)
    typical = math.sqrt(np.mean((length[:, 0] - length[:, 1]) ** 2))
    centred = (length - length.mean()) / typical
    features = torch.tensor(
        np.stack([quality, centred, quality + centred, *rng.normal(size=(4, 1000, 2))], axis=-1), dtype=torch.float32
    )
    log_odds = 1.5 * (quality[:, 0] - quality[:, 1]) + 2 * (length[:, 0] - length[:, 1]) / typical
    first_wins = rng.random(1000) < 1 / (1 + np.exp(-log_odds))
    groups = [
        replace(token_group(2, tuple(words[i]), seed=i), comparisons=(Comparison(0, 1) if wins else Comparison(1, 0),))
        for i, wins in enumerate(first_wins)
    ]
    weight = torch.zeros(features.shape[-1], requires_grad=True)
    effect, accelerator = make_effect(groups, config, torch.device("cpu")), Accelerator()
    optimizer = torch.optim.Adam([{"params": [weight], "lr": 0.01}])
    if effect is not None:
        optimizer.add_param_group({"params": [effect.coefficient], "lr": 0.05})
    for _ in range(steps):
        chosen = rng.integers(1000, size=32)
        batch = collate_tree([groups[i] for i in chosen])
        result = pack_loss((features[chosen] @ weight).reshape(-1), batch, config, effect=effect)
        optimizer.zero_grad()
        result.share(32).backward()
        if effect is not None:
            effect.settle(accelerator, result.sums[NUM_FIGURES:])
        optimizer.step()
    gap_C = (features @ weight.detach()).diff(dim=1)[:, 0]
    to_length, to_quality = (
        float(length_correlation(length_moments(gap_C, torch.tensor(d).float(), torch.ones(1000))))
        for d in (np.diff(length)[:, 0], np.diff(quality)[:, 0])
    )
    planted = 2 * math.log(2) / typical
    return to_length, to_quality, effect.per_doubling / planted if effect is not None else math.nan


def test_a_planted_preference_for_length_is_kept_out_of_a_linear_reward_and_quality_stays() -> None:
    length, quality, _ = linear_reward("none")
    assert length > 0.5
    assert quality < 0.85
    length, quality, found = linear_reward("covariate")
    assert abs(length) < 0.2
    assert quality > 0.95
    assert 0.7 < found < 1.3
    length, quality, _ = linear_reward("decorrelation")
    assert abs(length) < 0.35
    assert quality > 0.93


def biased_groups(num: int, seed: int) -> list[tuple[PreferenceGroup, float, float]]:
    """Pairs in which `!` marks the better response, and annotators like length too; with both differences."""
    rng = np.random.default_rng(seed)
    made = []
    for n in range(num):
        good, words = rng.integers(0, 2, 2), rng.integers(1, 9, 2)
        texts = [" ".join(["!" if g else "?", *["aa"] * w]) for g, w in zip(good, words, strict=True)]
        quality, length = float(good[0] - good[1]), math.log(len(texts[0]) / len(texts[1]))
        first = rng.random() < 1 / (1 + math.exp(-3 * quality - 2 * length))
        made.append(
            (
                PreferenceGroup(
                    id=f"{seed}-{n}",
                    prompt=(Message("user", f"{n}"),),
                    responses=tuple((Message("assistant", text),) for text in texts),
                    comparisons=(Comparison(0, 1) if first else Comparison(1, 0),),
                    where=f"biased:{n + 1}",
                ),
                quality,
                length,
            )
        )
    return made


@pytest.mark.slow
def test_a_planted_preference_for_length_is_kept_out_of_a_trained_body(tmp_path: Path) -> None:
    training, held_out = biased_groups(400, 0), biased_groups(200, 1)
    found = {}
    for control in ("none", *CONTROLS):
        config = tiny_run(tmp_path, [g for g, _, _ in training], length_control=control, out=str(tmp_path / control))
        model = train(config, pairs_per_step=16, epochs=3).model
        tokens = tokenize([g for g, _, _ in held_out], model.tokenizer, max_length=512).groups
        gap_C = torch.tensor([float(a[0] - a[1]) for a in score_groups(model, tokens, tokens_per_pack=8192)])
        quality_C, length_C = (torch.tensor([row[i] for row in held_out]) for i in (1, 2))
        right_C = (gap_C * quality_C)[quality_C != 0] > 0
        correlation = float(length_correlation(length_moments(gap_C, length_C, torch.ones(len(gap_C)))))
        found[control] = (correlation, float(right_C.float().mean()))
    assert found["none"][0] > 0.5
    for control in CONTROLS:
        assert found[control][0] < found["none"][0] - 0.15
        assert found[control][1] > max(0.9, found["none"][1] - 0.02)
