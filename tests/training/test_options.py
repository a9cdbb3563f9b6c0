"""Each option does what its documentation says, seen from outside."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification

from palate.config import PoolingName
from palate.errors import ConfigError
from palate.model.adapters import add_lora, freeze_lowest
from palate.model.loading import resolve_dtype
from palate.model.reward_model import RewardModel
from palate.records import Comparison, PreferenceGroup
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import tiny_run
from palate.testing.separate import separate_states
from palate.testing.tiny import tiny_reward_model
from palate.training.display import QuietDisplay
from palate.training.objective import is_full_ranking
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

PROMPT, ANSWERS = "How high is it?", ("3.14 Größe", "no", "a mountain of water 🙂")


class Lines(QuietDisplay):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def moved(folder: Path, result_out: Path) -> set[str]:
    """Names of the body's tensors that training changed."""
    before = load_file(folder / "model" / "model.safetensors")
    after = load_file(result_out / "model.safetensors")
    return {name for name in before if name in after and not torch.equal(before[name], after[name])}


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_everything_trains_by_default(tmp_path: Path) -> None:
    result = train(tiny_run(tmp_path))
    names = set(load_file(tmp_path / "model" / "model.safetensors")) - {"lm_head.weight"}
    assert moved(tmp_path, result.out) == names


def test_head_only_leaves_the_body_alone(tmp_path: Path) -> None:
    result = train(tiny_run(tmp_path, head_only=True, pooling="attention"))
    before = load_file(tmp_path / "model" / "model.safetensors")
    after = result.model.backbone.state_dict()
    assert all(torch.equal(tensor, before[f"model.{name}"]) for name, tensor in after.items())
    assert bool(result.model.head.score.weight.any())
    assert all(bool(parameter.any()) for parameter in result.model.pooling.parameters())


def test_freeze_layers_freezes_embeddings_and_the_lowest(tmp_path: Path) -> None:
    changed = moved(tmp_path, train(tiny_run(tmp_path, freeze_layers=2)).out)
    assert {name.split(".")[2] for name in changed if ".layers." in name} == {"2"}
    assert "model.embed_tokens.weight" not in changed
    assert "model.norm.weight" in changed


@pytest.mark.parametrize("kind", ["gpt2", "opt", "bert"])
def test_embeddings_of_positions_are_frozen_with_the_others(kind: str) -> None:
    model = tiny_reward_model(kind)
    frozen = freeze_lowest(model.backbone, 1)
    names = {name for name, parameter in model.backbone.named_parameters() if not parameter.requires_grad}
    assert frozen == sum(p.numel() for p in model.backbone.parameters() if not p.requires_grad)
    positions = {"gpt2": "wpe", "opt": "decoder.embed_positions", "bert": "embeddings.position_embeddings"}[kind]
    assert f"{positions}.weight" in names
    inside = {name.split("layers.")[-1].split("layer.")[-1].split("h.")[-1][0] for name in names if ".1." in name}
    assert not inside


def test_lora_leaves_the_pooler_that_is_never_read_alone() -> None:
    model = tiny_reward_model("bert")
    add_lora(model.backbone, rank=2, alpha=4.0, dropout=0.0, targets="all-linear")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model(model.collate([token_group(9, (4, 6))])).sum().backward()
    # Processes that train together wait for the gradient of everything that trains.
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_freezing_more_layers_than_there_are_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="freeze-layers is 4, but the body has 3 layers"):
        train(tiny_run(tmp_path, freeze_layers=4))


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RewardModel]:
    folder = tmp_path_factory.mktemp("lora")
    result = train(tiny_run(folder, lora=True, lora_rank=4, lr=1e-2, epochs=2, pooling="last"))
    return folder, result.model


def test_lora_trains_adapters_and_head_alone(lora: tuple[Path, RewardModel]) -> None:
    folder, model = lora
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert "head.score.weight" in trainable
    assert all(".lora_" in name for name in trainable - {"head.score.weight"})
    assert len(trainable) == 1 + 2 * 7 * 3  # A and B of seven matrices in three layers
    before = load_file(folder / "model" / "model.safetensors")
    for name, tensor in model.backbone.state_dict().items():
        if "lora_" not in name:
            assert torch.equal(tensor, before[f"model.{name.replace('.base_layer', '')}"]), name


def test_lora_trains_a_learned_pooling_too(tmp_path: Path) -> None:
    model = train(tiny_run(tmp_path, lora=True, pooling="attention")).model
    assert all(bool(parameter.any()) for parameter in model.pooling.parameters())


def test_the_merged_model_gives_the_rewards_of_the_adapted_one(lora: tuple[Path, RewardModel]) -> None:
    folder, model = lora
    ours = model.score(PROMPT, ANSWERS)
    merged = RewardModel.from_pretrained(folder / "rm")
    assert np.ptp(ours) > 1e-3
    np.testing.assert_allclose(merged.score(PROMPT, ANSWERS), ours, atol=1e-5)
    assert not any("lora" in name for name in load_file(folder / "rm" / "model.safetensors"))
    assert moved(folder, folder / "rm")  # the adapters did something


def test_transformers_loads_the_merged_model(lora: tuple[Path, RewardModel]) -> None:
    folder, model = lora
    other = AutoModelForSequenceClassification.from_pretrained(folder / "rm").eval()
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWERS[0]}]
    text = model.tokenizer.apply_chat_template(turns, tokenize=False)
    with torch.no_grad():
        logits = other(**model.tokenizer(text, add_special_tokens=False, return_tensors="pt")).logits
    assert float(logits) == pytest.approx(float(model.score(PROMPT, ANSWERS[:1])[0]), abs=1e-5)


def test_the_adapter_is_saved_beside_it(lora: tuple[Path, RewardModel]) -> None:
    folder, model = lora
    body = AutoModel.from_pretrained(folder / "model")
    adapted = PeftModel.from_pretrained(body, folder / "rm" / "adapter").eval()
    tokens = np.arange(3, 30)
    (ours,) = separate_states(model.backbone, [tokens])
    theirs = adapted(input_ids=torch.from_numpy(tokens)[None]).last_hidden_state[0]
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)


def test_lora_targets_are_names_of_modules(tmp_path: Path) -> None:
    model = train(tiny_run(tmp_path, lora=True, lora_targets="q_proj,v_proj")).model
    adapted = {name.split(".lora_")[0].rsplit(".", 1)[1] for name, _ in model.named_parameters() if ".lora_" in name}
    assert adapted == {"q_proj", "v_proj"}
    with pytest.raises(ConfigError, match="lora-targets nonsense"):
        train(tiny_run(tmp_path, lora=True, lora_targets="nonsense", overwrite=True))


@pytest.mark.parametrize("pooling", get_args(PoolingName))
def test_each_pooling_trains_and_is_saved(pooling: PoolingName, tmp_path: Path) -> None:
    kind = "bert" if pooling == "cls" else "llama"
    config = tiny_run(tmp_path, kind=kind, pooling=pooling, epochs=8, lr=3e-3, max_length=256)
    result = train(config, eval_data=config.data)
    assert result.summary["first_loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert result.summary["eval"]["loss"] < 0.6
    loaded = RewardModel.from_pretrained(result.out)
    assert loaded.pooling_name == pooling
    np.testing.assert_allclose(loaded.score(PROMPT, ANSWERS), result.model.score(PROMPT, ANSWERS), atol=1e-5)


def test_cls_on_a_causal_body_is_warned_of(tmp_path: Path) -> None:
    lines = Lines()
    train(tiny_run(tmp_path, pooling="cls", max_steps=1), display=lines)
    assert any("pooling cls reads the first token" in line for line in lines.said)


def test_bf16_keeps_head_loss_and_weights_in_float32(tmp_path: Path) -> None:
    try:
        resolve_dtype("bf16", torch.device("cpu"))
    except ConfigError:
        pytest.skip("native bf16 products are missing from this processor")
    result = train(tiny_run(tmp_path, dtype="bf16", eval_fraction=0.2))
    assert result.summary["first_loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert result.summary["precision"] == "bfloat16"
    assert {parameter.dtype for parameter in result.model.parameters()} == {torch.float32}
    assert result.model.score(PROMPT, ANSWERS).dtype == np.float32
    rough = [line["loss"] for line in log_of(result.out)]
    exact = train(tiny_run(tmp_path, eval_fraction=0.2, overwrite=True))
    assert rough == pytest.approx([line["loss"] for line in log_of(exact.out)], abs=0.02)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "hinge"},
        {"label_smoothing": 0.1},
        {"centering": 0.01},
        {"balance_groups": True},
        {"loss": "plackett-luce"},
        {"head_init": "normal"},
        {"schedule": "cosine", "weight_decay": 0.01},
    ],
)
def test_each_objective_learns(settings: dict[str, Any], tmp_path: Path) -> None:
    config = tiny_run(tmp_path, random_groups(12, responses=3), epochs=15, lr=3e-3, **settings)
    assert train(config, eval_data=config.data).summary["eval"]["accuracy"] > 0.75


def test_centering_keeps_rewards_around_zero(tmp_path: Path) -> None:
    tiny_reward_model(head_std=1.0).save_pretrained(tmp_path / "model")
    groups = random_groups(24)
    config = tiny_run(tmp_path, groups, epochs=10)

    def level(centering: float) -> float:
        model = train(config, centering=centering, overwrite=True).model
        return abs(np.mean([model.score(g.prompt, [r[0].content for r in g.responses]) for g in groups]).item())

    assert level(1.0) < 0.5 * level(0.0)


def test_rankings_without_a_full_order_are_dropped_and_counted(tmp_path: Path) -> None:
    groups = list(random_groups(8, responses=3))
    groups[2] = replace(groups[2], comparisons=groups[2].comparisons[:2])
    groups[5] = replace(groups[5], comparisons=(*groups[5].comparisons[:2], Comparison(1, 2, probability=0.5)))
    summary = train(tiny_run(tmp_path, groups, loss="plackett-luce")).summary
    assert summary["dropped"] == {"no-full-ranking": 2}
    rows = [json.loads(line) for line in (tmp_path / "rm" / "dropped.jsonl").read_text().splitlines()]
    assert [row["where"].rpartition(":")[2] for row in rows] == ["3", "6"]


@pytest.mark.parametrize(
    ("comparisons", "full"),
    [
        ([(0, 1), (0, 2), (1, 2)], True),
        ([(2, 0), (2, 1), (0, 1)], True),
        ([(0, 1), (1, 2), (2, 0)], False),
        ([(0, 1), (0, 2)], False),
        ([(0, 1), (0, 1), (0, 2)], False),
    ],
)
def test_what_a_full_ranking_is(comparisons: list[tuple[int, int]], full: bool) -> None:
    group = replace(token_group(4, (3, 5, 4)), comparisons=tuple(Comparison(*one) for one in comparisons))
    assert is_full_ranking(group) == full


def test_training_on_from_a_reward_model_keeps_its_head_and_says_so(tmp_path: Path) -> None:
    first = train(tiny_run(tmp_path, epochs=10, lr=3e-3, out=str(tmp_path / "first")))
    lines = Lines()
    config = tiny_run(tmp_path, model=str(first.out), max_steps=1, lr=1e-12)
    second = train(config, display=lines)
    np.testing.assert_allclose(second.model.score(PROMPT, ANSWERS), first.model.score(PROMPT, ANSWERS), atol=1e-6)
    assert any("training continues with its head" in line for line in lines.said)
    assert second.summary["first_loss"] != pytest.approx(np.log(2), abs=1e-3)


def test_margins_push_rewards_apart(tmp_path: Path) -> None:
    def gap(margin: float) -> float:
        groups: list[PreferenceGroup] = [
            replace(group, comparisons=(Comparison(0, 1, margin=margin),)) for group in random_groups(12)
        ]
        config = tiny_run(tmp_path, groups, epochs=10, lr=3e-3, overwrite=True)
        return float(train(config, eval_data=config.data).summary["eval"]["margin"])

    assert gap(3.0) > gap(0.0) + 0.5


def test_max_groups_and_max_steps_limit_the_run(tmp_path: Path) -> None:
    summary = train(tiny_run(tmp_path, max_groups=10, max_steps=2, pairs_per_step=3)).summary
    assert (summary["groups"]["training"], summary["steps"], summary["pairs"]) == (10, 2, 6)
