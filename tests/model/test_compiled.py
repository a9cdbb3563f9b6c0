"""Compiled layers compute what the others compute, from a few graphs, under the same names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch._dynamo.backends.debugging import aot_eager
from transformers import AttentionInterface

from palate.errors import ConfigError
from palate.model.adapters import add_lora
from palate.model.backbone import decoder_layers
from palate.model.compiled import compile_layers, require_compiler
from palate.model.reward_model import RewardModel
from palate.model.self_check import check_sharing
from palate.packing.attention import TREE, tree_attention
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.runs import tiny_run
from palate.testing.separate import sharp_reward_model
from palate.training.display import QuietDisplay
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

LAYERS = 4
PACKS = [
    [token_group(5 + 7 * n, tuple(3 + j + n for j in range(2 + n % 4)), seed=10 * n + k) for k in range(1 + n % 3)]
    for n in range(12)
]


class Backend:
    """Compiles to what was there, traced for the backward pass too; counts how often."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, module: Any, inputs: Any) -> Any:
        self.graphs += 1
        return aot_eager(module, inputs)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()
    AttentionInterface.register(TREE, tree_attention)


def rewards_and_gradients(model: RewardModel, pack: list[TokenizedGroup]) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    rewards = model(model.collate(pack))
    (rewards * torch.arange(1.0, 1 + len(rewards))).mean().backward()
    return rewards.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt_neox", "mistral", "gemma2"])
def test_twelve_packs_take_a_handful_of_graphs(kind: str) -> None:
    plain, compiled, backend = (
        sharp_reward_model(kind, num_hidden_layers=LAYERS).train(),
        sharp_reward_model(kind, num_hidden_layers=LAYERS).train(),
        Backend(),
    )
    compile_layers(compiled.backbone, backend=backend)
    counts = []
    for pack in PACKS:
        rewards, gradients = rewards_and_gradients(plain, pack)
        found, others = rewards_and_gradients(compiled, pack)
        torch.testing.assert_close(found, rewards, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(others, gradients, atol=1e-5, rtol=1e-5)
        counts.append(backend.graphs)
    assert 0 < counts[0] <= 8
    assert counts[-1] == counts[0]


def test_with_adapters_too() -> None:
    models = []
    for _ in range(2):
        model = sharp_reward_model(num_hidden_layers=LAYERS).train()
        torch.manual_seed(1)
        add_lora(model.backbone, rank=4, alpha=8.0, dropout=0.0, targets="all-linear")
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        models.append(model)
    backend = Backend()
    compile_layers(models[1].backbone, backend=backend)
    for pack in PACKS[:4]:
        (rewards, gradients), (found, others) = (rewards_and_gradients(model, pack) for model in models)
        torch.testing.assert_close(found, rewards, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(others, gradients, atol=1e-5, rtol=1e-5)
    assert 0 < backend.graphs <= 10


def test_scoring_and_the_self_check_add_a_few_graphs_and_then_none() -> None:
    model, backend = sharp_reward_model(num_hidden_layers=LAYERS), Backend()
    compile_layers(model.backbone, backend=backend)
    counts = []
    for pack in PACKS:
        model.train()
        rewards_and_gradients(model, pack)
        model.eval()
        assert check_sharing(model, pack).difference < 1e-5
        counts.append(backend.graphs)
    assert counts[-1] == counts[0] <= 15


def test_names_and_parameters_stay() -> None:
    model = sharp_reward_model(num_hidden_layers=LAYERS)
    before = dict(model.state_dict(keep_vars=True))
    compile_layers(model.backbone, backend=Backend())
    after = dict(model.state_dict(keep_vars=True))
    assert list(after) == list(before)
    assert all(after[name] is tensor for name, tensor in before.items())


def test_layers_with_hooks_are_left_alone() -> None:
    model = sharp_reward_model(num_hidden_layers=LAYERS)
    layers = decoder_layers(model.backbone)
    assert layers is not None
    assert layers[-1]._forward_pre_hooks  # it is computed only where it is read
    assert compile_layers(model.backbone, backend=Backend()) == LAYERS - 1
    assert [layer._compiled_call_impl is not None for layer in layers] == [True] * (LAYERS - 1) + [False]


def test_a_body_without_a_list_of_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="Linear has no list of layers"):
        compile_layers(torch.nn.Linear(2, 2))


def test_without_a_compiler_the_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(ConfigError, match="compile needs a C\\+\\+ compiler"):
        require_compiler("compile")


@pytest.mark.parametrize(("kind", "why"), [("llama", "--layout padded was asked for"), ("mamba", "Mamba")])
def test_compiling_without_sharing_is_refused(kind: str, why: str, tmp_path: Path) -> None:
    layout = "padded" if kind == "llama" else "auto"
    with pytest.raises(ConfigError, match=f"compile works with shared prompts alone, .*{why}"):
        train(tiny_run(tmp_path, kind=kind, layout=layout, compile=True))


class Lines(QuietDisplay):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.slow
def test_a_run_compiled_by_inductor_ends_where_the_plain_one_ends(tmp_path: Path) -> None:
    plain = train(tiny_run(tmp_path, out=str(tmp_path / "plain")))
    lines = Lines()
    compiled = train(tiny_run(tmp_path, out=str(tmp_path / "compiled"), compile=True), display=lines)
    assert "compiling 2 of 3 layers: the first packs take long" in lines.said
    ours, theirs = (load_file(result.out / "model.safetensors") for result in (plain, compiled))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    loaded = RewardModel.from_pretrained(compiled.out)
    assert loaded.score("a", ["b", "c d"]) == pytest.approx(compiled.model.score("a", ["b", "c d"]), abs=1e-5)
