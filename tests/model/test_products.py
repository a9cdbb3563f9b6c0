"""oneDNN's products equal PyTorch's own, in values and gradients, and step aside where they are not meant."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from palate.model import products
from palate.model.products import OneDnnLinear, onednn_is_faster, speed_up_products
from palate.model.quantize import quantize_body
from palate.model.reward_model import RewardModel
from palate.testing.groups import token_group, with_system_turn
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="oneDNN is missing from this PyTorch"
)
GROUPS = with_system_turn((token_group(20, (7, 9)), token_group(5, (12, 1, 4), seed=1)), 20)


@pytest.fixture(autouse=True)
def _anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is right on any processor, if not fast."""
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)


def both(bias: bool) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(24, 40, bias=bias))
    fast = copy.deepcopy(plain)
    assert speed_up_products(fast) == 1
    return plain[0], fast[0]  # type: ignore[return-value]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 24), (7, 24), (1, 300, 24), (2, 3, 5, 24)])
def test_values_and_gradients_are_those_of_a_linear_layer(bias: bool, shape: tuple[int, ...]) -> None:
    plain, fast = both(bias)
    rows = torch.randn(shape)
    upstream = torch.randn(*shape[:-1], 40)
    found = []
    for layer in (plain, fast):
        own = rows.clone().requires_grad_()
        output = layer(own)
        output.backward(upstream)
        found.append([output, own.grad, *(p.grad for p in layer.parameters())])
    for ours, theirs in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_rows_that_do_not_lie_in_order_are_read_as_they_are_meant() -> None:
    plain, fast = both(True)
    rows, upstream = torch.randn(24, 9).t(), torch.randn(40, 9).t()
    torch.testing.assert_close(fast(rows), plain(rows), atol=1e-5, rtol=1e-5)
    grads = [torch.autograd.grad(layer(rows), layer.weight, upstream)[0] for layer in (fast, plain)]
    torch.testing.assert_close(*grads, atol=1e-5, rtol=1e-5)


def test_a_frozen_layer_keeps_no_input_for_its_backward_pass() -> None:
    for layer in both(False):
        layer.requires_grad_(False)
        rows = torch.randn(7, 24, requires_grad=True)
        kept: list[torch.Size] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, kept=kept: kept.append(tensor.shape) or tensor, lambda t: t
        ):
            layer(rows)
        assert rows.shape not in kept


def test_frozen_weights_get_no_gradient_and_inputs_still_do() -> None:
    _, fast = both(True)
    fast.requires_grad_(False)
    rows = torch.randn(3, 24, requires_grad=True)
    fast(rows).sum().backward()
    assert rows.grad is not None
    assert fast.weight.grad is None


def test_it_is_used_and_steps_aside_for_other_precisions_autocast_and_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, fast = both(True)
    calls = []
    multiply = products._multiply
    monkeypatch.setattr(products, "_multiply", lambda *args: calls.append(1) or multiply(*args))
    rows = torch.randn(5, 24)
    fast(rows)
    assert calls == [1]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(rows), plain(rows))
    assert torch.equal(fast.double()(rows.double()), plain.double()(rows.double()))
    assert fast.float()(rows[:0]).shape == (0, 40)
    assert calls == [1]


def test_compiled_it_is_the_same_for_any_number_of_rows() -> None:
    plain, fast = both(True)
    compiled = torch.compile(fast, backend="aot_eager", dynamic=True)
    for number in (5, 9, 30):
        rows = torch.randn(2, number, 24, requires_grad=True)
        found, expected = (
            [output, *torch.autograd.grad(output.square().sum(), (rows, layer.weight, layer.bias))]
            for layer, output in ((fast, compiled(rows)), (plain, plain(rows)))
        )
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)
    torch.compiler.reset()


def test_a_whole_body_gives_the_same_rewards_and_gradients() -> None:
    found = []
    for fast in (False, True):
        model = sharp_reward_model()
        for module in model.backbone.modules():
            if isinstance(module, nn.Linear):
                module.__class__ = OneDnnLinear if fast else nn.Linear
        rewards = model(model.collate(GROUPS))
        found.append((rewards, torch.autograd.grad(rewards.square().sum(), list(model.backbone.parameters()))))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-4)


def test_it_does_not_show_in_what_is_saved_nor_hinder_int8(tmp_path: Path) -> None:
    model = tiny_reward_model()
    speed_up_products(model.backbone)
    model.save_pretrained(tmp_path / "rm")
    again = RewardModel.from_pretrained(tmp_path / "rm")
    assert again.state_dict().keys() == model.state_dict().keys()
    assert quantize_body(model.backbone) > 0.3


def test_only_processors_for_which_it_was_measured_are_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "onednn_is_faster", onednn_is_faster)
    capability = torch.backends.cpu.get_cpu_capability()
    for vendor in ("AuthenticAMD", "GenuineIntel", ""):
        onednn_is_faster.cache_clear()
        monkeypatch.setattr(products, "_vendor", lambda vendor=vendor: vendor)
        assert onednn_is_faster() is (vendor == "AuthenticAMD" and capability == "AVX512")
    body = nn.Sequential(nn.Linear(2, 2))
    assert speed_up_products(body) == 0
    assert type(body[0]) is nn.Linear
    onednn_is_faster.cache_clear()
