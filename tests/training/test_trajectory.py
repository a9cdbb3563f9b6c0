"""What only costs memory or time leaves the trajectory alone: packing, layout, checkpointing of activations."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from palate.records import PreferenceGroup
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

RUN = {"epochs": 2, "lr": 1e-3, "seed": 3}


@pytest.fixture(scope="module")
def groups() -> tuple[PreferenceGroup, ...]:
    return (*random_groups(14), *random_groups(6, responses=4, seed=1))


def trajectory(
    folder: Path, groups: tuple[PreferenceGroup, ...], **settings: Any
) -> tuple[list[float], dict[str, Any]]:
    result = train(tiny_run(folder, groups, overwrite=True, **{**RUN, **settings}))
    lines = (result.out / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines], load_file(result.out / "model.safetensors")


@pytest.fixture(scope="module")
def reference(
    groups: tuple[PreferenceGroup, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[float], dict[str, Any]]:
    return trajectory(tmp_path_factory.mktemp("reference"), groups, tokens_per_pack=5000)


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"tokens_per_pack": 300}, 1e-5),
        ({"tokens_per_pack": 1}, 1e-5),
        ({"layout": "padded"}, 1e-5),
        ({"layout": "padded", "tokens_per_pack": 300}, 1e-5),
        ({"activation_checkpointing": 1}, 1e-6),
        ({"activation_checkpointing": 2}, 1e-6),
    ],
)
def test_the_trajectory_is_the_same(
    settings: dict[str, Any],
    tolerance: float,
    groups: tuple[PreferenceGroup, ...],
    reference: tuple[list[float], dict[str, Any]],
    tmp_path: Path,
) -> None:
    losses, weights = trajectory(tmp_path, groups, **settings)
    assert len(losses) >= 10
    assert losses == pytest.approx(reference[0], abs=tolerance)
    assert weights.keys() == reference[1].keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, reference[1][name], atol=tolerance, rtol=0, msg=name)


def test_activation_checkpointing_recomputes_every_nth_layer(tmp_path: Path) -> None:
    for every, expected in ((1, [True, True, True]), (2, [True, False, True])):
        model = train(tiny_run(tmp_path, activation_checkpointing=every, overwrite=True, max_steps=1)).model
        layers: Any = model.backbone.layers
        assert [layer.gradient_checkpointing for layer in layers] == expected


def test_the_seed_decides_everything(groups: tuple[PreferenceGroup, ...], tmp_path: Path) -> None:
    random = {"head_init": "normal", "dropout": True, "kind": "gpt2"}
    first, again = (trajectory(tmp_path, groups, **random)[0] for _ in range(2))
    assert first == again
    assert trajectory(tmp_path, groups, **random, seed=4)[0] != first


def test_dropout_changes_the_trajectory(groups: tuple[PreferenceGroup, ...], tmp_path: Path) -> None:
    without = trajectory(tmp_path, groups, kind="gpt2")[0]
    assert trajectory(tmp_path, groups, kind="gpt2", dropout=True)[0] != pytest.approx(without, abs=1e-4)
