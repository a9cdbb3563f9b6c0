"""Parameter counts against transformers, which builds each model without its weights."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from palate.playground.shapes import FAMILIES, SHAPES, Shape, count_parameters

# As the published weights count, so that no dimension can be mistyped.
PUBLISHED = {
    "SmolLM2-135M": 134_515_008,
    "SmolLM2-360M": 361_821_120,
    "Qwen2.5-0.5B": 494_032_768,
    "Qwen3-0.6B": 596_049_920,
    "Llama-3.2-1B": 1_235_814_400,
    "SmolLM2-1.7B": 1_711_376_384,
    "Gemma-2-2B": 2_614_341_888,
    "Llama-3.2-3B": 3_212_749_824,
    "Qwen3-4B": 4_022_468_096,
    "Mistral-7B-v0.3": 7_248_023_552,
    "Qwen2.5-7B": 7_615_616_512,
    "Llama-3.1-8B": 8_030_261_248,
    "Qwen3-8B": 8_190_735_360,
    "Gemma-2-9B": 9_241_705_984,
    "Gemma-2-27B": 27_227_128_320,
    "Qwen2.5-32B": 32_763_876_352,
    "Llama-3.1-70B": 70_553_706_496,
    "Qwen2.5-72B": 72_706_203_648,
    "Llama-3.1-405B": 405_853_388_800,
}


def random_shapes() -> list[Shape]:
    rng = np.random.default_rng(0)
    shapes = []
    for family in FAMILIES:
        for tied in (True, False):
            keys, head = int(rng.integers(1, 4)), 2 * int(rng.integers(4, 20))
            heads = keys * int(rng.integers(1, 4))
            times, layers, mlp, vocabulary = (int(n) for n in rng.integers([4, 1, 30, 100], [20, 5, 300, 900]))
            width = times * heads  # which some of transformers' configurations insist on
            name = f"{family}, {'tied' if tied else 'own head'}"
            shapes.append(Shape(name, family, vocabulary, width, layers, heads, keys, head, mlp, tied))
    return shapes


@pytest.mark.parametrize("shape", [*SHAPES, *random_shapes()], ids=lambda shape: shape.name)
def test_counts_are_those_of_transformers(shape: Shape) -> None:
    dimensions = asdict(shape)
    del dimensions["name"]
    config = AutoConfig.for_model(**dimensions, num_labels=1)
    with torch.device("meta"):
        language = AutoModelForCausalLM.from_config(config)
        reward = AutoModelForSequenceClassification.from_config(config)
    count = count_parameters(shape)
    assert count.body + count.lm_head == sum(p.numel() for p in language.parameters())
    assert count.body + count.reward_head == sum(p.numel() for p in reward.parameters())
    named = dict(reward.named_parameters())
    assert count.embedding == named["model.embed_tokens.weight"].numel()
    assert count.attention == sum(p.numel() for name, p in named.items() if ".self_attn." in name)
    assert count.mlp == sum(p.numel() for name, p in named.items() if ".mlp." in name)
    assert count.reward_head == named["score.weight"].numel()


def test_the_dimensions_are_the_published_ones() -> None:
    found = {shape.name: count_parameters(shape) for shape in SHAPES}
    assert {name: count.body + count.lm_head for name, count in found.items()} == PUBLISHED
    assert count_parameters(SHAPES[-1]).reward_head == 16384


def test_shapes_are_sorted_and_named_once() -> None:
    sizes = [count_parameters(shape).body for shape in SHAPES]
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert min(sizes) < 2e8 < 4e11 < max(sizes)
    assert all(count_parameters(replace(shape, model_type="llama")).body > 0 for shape in SHAPES)
