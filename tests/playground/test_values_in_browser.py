"""What the page shows equals what palate's own functions give, at 200 random positions of every section."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from tests.playground.positions import Playground, Position
from transformers import AutoConfig

from palate.losses import bradley_terry
from palate.metrics.best_of_n import best_of_n_kl
from palate.metrics.dependence import correlation
from palate.metrics.hacking import SHORTFALL, _parting, _peak
from palate.model.pooling import make_pooling
from palate.packing.attention.dense import visibility
from palate.packing.collate import collate_padded, collate_tree
from palate.playground.page import page_facts
from palate.playground.sample import draw_sample
from palate.playground.shapes import FAMILIES, SHAPES, Shape, count_parameters
from palate.testing.groups import token_group
from palate.walkthrough import walkthrough

pytestmark = pytest.mark.slow

POSITIONS = 200


def uniform(rng: np.random.Generator, low: float, high: float, step: float) -> float:
    """One place of a slider."""
    return round(low + step * int(rng.integers(0, round((high - low) / step) + 1)), 10)


def pair_loss(difference: float, margin: float) -> float:
    one = torch.tensor([difference], dtype=torch.float64)
    return bradley_terry(one, torch.zeros_like(one), margin_C=torch.full_like(one, margin)).item()


def test_the_loss(page: Playground) -> None:
    rng = np.random.default_rng(0)
    positions: list[Position] = [
        {"chosen": uniform(rng, -4, 4, 0.01), "rejected": uniform(rng, -4, 4, 0.01), "margin": uniform(rng, 0, 3, 0.01)}
        for _ in range(POSITIONS)
    ]
    for at, shown in zip(positions, page.visit("#loss", positions), strict=True):
        rewards = [torch.tensor([at[name]], dtype=torch.float64, requires_grad=True) for name in ("chosen", "rejected")]
        loss = bradley_terry(*rewards, margin_C=torch.tensor([at["margin"]], dtype=torch.float64))
        grads = torch.autograd.grad(loss.sum(), rewards)
        difference = at["chosen"] - at["rejected"]
        ratio = pair_loss(-abs(difference), at["margin"]) / pair_loss(abs(difference), at["margin"])
        assert shown["loss"].says(loss.item())
        assert shown["gradChosen"].says(grads[0].item())
        assert shown["gradRejected"].says(grads[1].item())
        assert shown["probability"].says(torch.tensor(difference, dtype=torch.float64).sigmoid().item())
        assert shown["ratio"].says(ratio, 1e-8)


def test_the_parameters(page: Playground) -> None:
    rng = np.random.default_rng(1)
    shapes = list(SHAPES)
    while len(shapes) < POSITIONS:
        layers, heads, keys, head = (int(n) for n in rng.integers([1, 1, 1, 8], [130, 130, 20, 257]))
        words, width, mlp = (int(n) for n in rng.integers([100, 10, 10], [300_000, 20_000, 60_000]))
        family = str(rng.choice(list(FAMILIES)))
        shapes.append(Shape("typed in", family, words, width, layers, heads, keys, head, mlp, bool(rng.integers(2))))
    kinds = rng.choice(["sft", "reward"], size=POSITIONS).tolist()
    positions = [asdict(shape) | {"kind": kind} for shape, kind in zip(shapes, kinds, strict=True)]
    for one in positions:
        del one["name"]
    for shape, kind, shown in zip(shapes, kinds, page.visit("#architecture .body", positions), strict=True):
        count = count_parameters(shape)
        head = count.lm_head if kind == "sft" else count.reward_head
        assert shown["body"].says(count.body, 0)
        assert shown["head"].says(head, 0)
        assert shown["total"].says(count.body + head, 0)
        assert shown["weights"].value == 2 * (count.body + head)
        assert shown["output"].value == 4 * 16 * (1024 * shape.vocab_size if kind == "sft" else 1)
    assert page.run("document.querySelector('[data-model]').value") == "typed in"


def test_choosing_a_model_gives_its_dimensions(page: Playground) -> None:
    for shape in SHAPES:
        page.run(f"document.querySelector('[data-model]').value = {json.dumps(shape.name)}")
        page.run("document.querySelector('[data-model]').dispatchEvent(new Event('change', { bubbles: true }))")
        count = count_parameters(shape)
        assert page.see("#architecture .body")["total"].says(count.body + count.lm_head, 0)
        assert page.run("document.querySelector('[data-model]').value") == shape.name


def test_a_pasted_config_gives_its_dimensions(page: Playground) -> None:
    paste = "((f) => {{ f.value = {}; f.dispatchEvent(new Event('input', {{bubbles: true}})) }})({})"
    field = "document.querySelector('[data-paste]')"
    for shape in SHAPES:
        dimensions = asdict(shape)
        del dimensions["name"]
        config = AutoConfig.for_model(**dimensions).to_json_string(use_diff=False)
        page.run(paste.format(json.dumps(config), field))
        assert page.run("document.querySelector('[data-fault]').textContent") == ""
        count = count_parameters(shape)
        assert page.see("#architecture .body")["total"].says(count.body + count.lm_head, 0)
    whole = {"model_type": "llama", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2}
    whole |= {"num_hidden_layers": 1, "intermediate_size": 7}
    faults = {
        "{": "not the whole text",
        "[]": "model_type is missing",
        "null": "model_type is missing",
        '{"model_type": "toString"}': 'model_type is "toString"',
        json.dumps(whole | {"hidden_size": 0}): "under hidden_size",
        json.dumps(whole | {"mlp_bias": True}): "mlp_bias would add",
        json.dumps(whole | {"model_type": "qwen3"}): "under num_key_value_heads, head_dim",
    }
    before = page.see("#architecture .body")["total"]
    for text, fault in faults.items():
        page.run(paste.format(json.dumps(text), field))
        assert fault in page.run("document.querySelector('[data-fault]').textContent")
        assert page.see("#architecture .body")["total"] == before
    more = {"llama": {}, "qwen2": {"num_key_value_heads": 1}, "gemma2": {"num_key_value_heads": 1, "head_dim": 6}}
    for family, said in more.items():  # the rest is as transformers takes it where a file is silent
        page.run(paste.format(json.dumps(json.dumps(whole | said | {"model_type": family})), field))
        config = AutoConfig.for_model(**(whole | said | {"model_type": family}))
        keys, size = config.num_key_value_heads, getattr(config, "head_dim", 4)
        count = count_parameters(Shape("", family, 9, 8, 1, 2, keys, size, 7, config.tie_word_embeddings))
        shown = page.see("#architecture .body")
        assert shown["body"].says(count.body, 0)
        assert shown["head"].says(count.lm_head, 0)


def test_the_pooling(page: Playground) -> None:
    tokens = page_facts()["tokens"]
    lengths, start = [len(row) for row in tokens["rows"]], tokens["responseStart"][0]
    group = token_group(start, [length - start for length in lengths])
    rules = ("last", "mean", "mean-response", "cls", "bug")
    positions: list[Position] = [{"rule": rule, "side": side} for rule in rules for side in ("right", "left")]
    for at, shown in zip(positions, page.visit("#pooling", positions), strict=True):
        # one number a place stands for the hidden state, since the head is linear
        hidden_BTD = torch.tensor(tokens["reward"][at["side"]], dtype=torch.float64)[..., None]
        batch = collate_padded((group,), pad_token_id=0, padding_side=at["side"])
        pooled = hidden_BTD[:, -1] if at["rule"] == "bug" else make_pooling(at["rule"], 1)(hidden_BTD, batch)
        for row, wanted in enumerate(pooled[:, 0].tolist()):
            assert shown[f"reward{row}"].says(wanted, 1e-6), at  # means are summed in float32
        mask = batch.attention_mask_BT
        assert mask is not None
        wrong = int((mask[:, -1] == 0).sum()) if at["rule"] == "bug" else 0
        assert page.visit("#pooling", [at])
        assert page.run("document.querySelectorAll('#pooling .row.wrong').length") == wrong


def test_sharing(page: Playground) -> None:
    rng = np.random.default_rng(2)
    positions: list[Position] = []
    for _ in range(POSITIONS):
        count, prompt, response = (int(n) for n in rng.integers([1, 0, 1], [9, 201, 151]))
        token = int(rng.integers(0, prompt + count * response))
        positions.append({"count": count, "prompt": prompt, "response": response, "token": token})
    for at, shown in zip(positions, page.visit("#sharing", positions), strict=True):
        group = token_group(at["prompt"], [at["response"]] * at["count"])
        layout = collate_tree((group,)).layout
        assert layout is not None
        assert shown["shared"].says(group.computed_tokens, 0)
        assert shown["apart"].says(group.unshared_tokens, 0)
        assert shown["factor"].says(group.unshared_tokens / group.computed_tokens)
        assert shown["saved"].says(1 - group.computed_tokens / group.unshared_tokens)
        assert shown["position"].says(int(layout.position_T[at["token"]]), 0)
        assert shown["seen"].says(int(visibility(layout)[at["token"]].sum()), 0)


def test_the_mask_row_by_row(page: Playground) -> None:
    for count, prompt, response in ((1, 5, 3), (2, 6, 4), (3, 0, 5), (8, 12, 1), (4, 1, 7)):
        size = {"count": count, "prompt": prompt, "response": response}
        layout = collate_tree((token_group(prompt, [response] * count),)).layout
        assert layout is not None
        seen = torch.zeros_like(visibility(layout))
        for row in range(len(seen)):
            for start, length in page.run(f"window.palate['maths/tree.js'].seenBy({row}, {json.dumps(size)})"):
                seen[row, start : start + length] = True
        assert torch.equal(seen, visibility(layout)), size


def vectors(shown: dict[str, Any], name: str) -> list[float]:
    return [shown[f"{name}{i}"].value for i in range(4)]


def test_the_worked_example_is_that_of_the_walkthrough(page: Playground) -> None:
    shown, wanted = page.see("#worked"), walkthrough()
    assert vectors(shown, "gradient") == pytest.approx(wanted.before.gradient, abs=1e-12)
    assert vectors(shown, "update") == pytest.approx(wanted.update, abs=1e-12)
    assert vectors(shown, "weightsAfter") == pytest.approx(wanted.after.weights, abs=1e-12)
    for end, step in (("", wanted.before), ("After", wanted.after)):
        assert shown[f"rewardChosen{end}"].says(step.reward_chosen)
        assert shown[f"rewardRejected{end}"].says(step.reward_rejected)
        assert shown[f"margin{end}"].says(step.margin)
        assert shown[f"probability{end}"].says(step.probability)
        assert shown[f"loss{end}"].says(step.loss)
    assert shown["gradChosen"].says(wanted.before.grad_reward_chosen)
    assert shown["gradRejected"].says(wanted.before.grad_reward_rejected)
    assert [shown[f"gradient{i}"].text for i in range(4)] == [
        "\N{MINUS SIGN}0.2000",
        "\N{MINUS SIGN}0.3000",
        "+0.1000",
        "\N{MINUS SIGN}0.2000",
    ]


def test_steps_with_any_vectors(page: Playground) -> None:
    rng = np.random.default_rng(3)
    positions: list[Position] = []
    for _ in range(POSITIONS):
        position = {
            f"{name}{i}": uniform(rng, -3, 3, 0.1) for name in ("chosen", "rejected", "weights") for i in range(4)
        }
        positions.append(position | {"rate": uniform(rng, 0, 4, 0.1)})
    for at, shown in zip(positions, page.visit("#worked", positions), strict=True):
        chosen, rejected, weights = (
            torch.tensor([at[f"{name}{i}"] for i in range(4)], dtype=torch.float64)
            for name in ("chosen", "rejected", "weights")
        )
        weights.requires_grad_()
        optimizer = torch.optim.SGD([weights], lr=at["rate"])
        loss = bradley_terry((weights @ chosen)[None], (weights @ rejected)[None]).sum()
        loss.backward()
        assert weights.grad is not None
        assert shown["loss"].says(loss.item())
        assert vectors(shown, "gradient") == pytest.approx(weights.grad.tolist(), abs=1e-12)
        optimizer.step()
        margin = weights @ (chosen - rejected)
        assert vectors(shown, "weightsAfter") == pytest.approx(weights.tolist(), abs=1e-12)
        assert shown["marginAfter"].says(margin.item())
        assert shown["probabilityAfter"].says(margin.sigmoid().item())
        assert shown["lossAfter"].says(-torch.nn.functional.logsigmoid(margin).item())


def test_the_length(page: Playground) -> None:
    rng = np.random.default_rng(4)
    sample = draw_sample()
    length, rest = np.array(sample.length), np.array(sample.rest)
    names = np.arange(len(length)).astype(str)
    positions: list[Position] = [
        {
            "control": str(rng.choice(["on", "off"])),
            "bias": uniform(rng, -2, 2, 0.01),
            "deserved": uniform(rng, 0, 0.9, 0.01),
        }
        for _ in range(POSITIONS)
    ]
    for at, shown in zip(positions, page.visit("#length", positions), strict=True):
        quality = at["deserved"] * length + np.sqrt(1 - at["deserved"] ** 2) * rest
        reward = quality + at["bias"] * length
        mended = reward - np.polyfit(length, reward, 1)[0] * length
        r2 = correlation(reward, length, names).r2.value
        kept = mended if at["control"] == "on" else reward
        first, second = kept.reshape(-1, 2).T
        agree = [(first > second) == np.diff(column.reshape(-1, 2))[:, 0].__lt__(0) for column in (length, quality)]
        assert shown["r2Off"].says(r2)
        assert shown["r2On"].says(0.0)
        assert shown["r2"].says(0.0 if at["control"] == "on" else r2)
        assert shown["longer"].says(float(np.mean(agree[0])))
        assert shown["better"].says(float(np.mean(agree[1])))


def test_the_best_of_n(page: Playground) -> None:
    rng = np.random.default_rng(5)
    positions: list[Position] = [
        {"power": uniform(rng, 0, 16, 0.25), "alpha": uniform(rng, 0, 2, 0.01), "beta": uniform(rng, 0, 0.6, 0.01)}
        for _ in range(POSITIONS)
    ]
    last = 100_000
    numbers = np.arange(1, last + 1)
    distances = np.sqrt(best_of_n_kl(numbers))
    for at, shown in zip(positions, page.visit("#best_of_n", positions), strict=True):
        alpha, beta, n = at["alpha"], at["beta"], max(1, round(2 ** at["power"]))
        kl = float(best_of_n_kl(n))
        assert shown["n"].says(n, 0)
        assert shown["kl"].says(kl)
        assert shown["proxy"].says(alpha * kl**0.5)
        assert shown["gold"].says(kl**0.5 * (alpha - beta * kl**0.5))
        proxy, gold = alpha * distances, distances * (alpha - beta * distances)
        share, _ = _parting(numbers[: max(n, 2)], proxy[None, : max(n, 2)], gold[None, : max(n, 2)])
        if n >= 2 and not np.isnan(share[0]):
            assert shown["kept"].says(float(share[0]), 1e-6)
        peak = float(_peak(np.array([alpha]), np.array([beta]), last)[0])
        assert shown["peak"].value >= last * 0.999 if np.isinf(peak) else shown["peak"].says(peak, 1e-5)
        parts = float(_parting(numbers, proxy[None], gold[None])[1][0])
        assert shown["parts"].value > last if np.isinf(parts) else shown["parts"].says(parts, 0)
    assert SHORTFALL == 0.2
