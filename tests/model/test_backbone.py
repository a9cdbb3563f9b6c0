"""What is settled when a body and its tokenizer are loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForCausalLM

from palate.config import ScoreConfig
from palate.errors import ModelError
from palate.model.backbone import load_tokenizer, position_limit
from palate.model.contract import template_hash
from palate.model.loading import new_reward_model
from palate.model.reward_model import RewardModel
from palate.score_file import score
from palate.testing.groups import random_groups, token_group
from palate.testing.runs import tiny_run
from palate.testing.separate import separate_states, sharp_reward_model
from palate.testing.tiny import CHAT_TEMPLATE, save_tiny_causal_lm, tiny_config, tiny_reward_model, tiny_tokenizer
from palate.training.run import train

TOOL_USE = "{{ messages }}"


def add_in_folder(model: Path) -> None:
    """As transformers writes several templates now."""
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "tool_use.jinja").write_text(TOOL_USE)


def add_in_list(model: Path) -> None:
    """As it wrote them before."""
    (model / "chat_template.jinja").unlink()
    settings = json.loads((model / "tokenizer_config.json").read_text())
    both = {"default": CHAT_TEMPLATE, "tool_use": TOOL_USE}
    settings["chat_template"] = [{"name": name, "template": template} for name, template in both.items()]
    (model / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")
@pytest.mark.parametrize("add", [add_in_folder, add_in_list])
def test_of_several_templates_the_default_is_trained_with_and_saved(add: object, tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    add(tmp_path / "model")  # type: ignore[operator]
    _, remarks = load_tokenizer(config.model)
    assert remarks == ("of the chat templates default, tool_use, 'default' is used and saved with the reward model",)
    out = train(config, max_steps=1).out
    loaded = RewardModel.from_pretrained(out)
    assert loaded.tokenizer.chat_template == CHAT_TEMPLATE
    assert not (out / "additional_chat_templates").exists()
    assert json.loads((out / "palate.json").read_text())["template_hash"] == template_hash(tiny_tokenizer())


def test_several_templates_without_a_default_are_refused(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = {"tool_use": TOOL_USE, "rag": TOOL_USE}
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="of the chat templates rag, tool_use none is called default"):
        load_tokenizer(str(tmp_path))


PICTURES = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")
def test_of_a_body_that_reads_pictures_too_the_part_that_reads_text_is_trained_and_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    text = {**tiny_config("gemma3_text").to_dict(), "initializer_range": 0.2}
    vision = {**PICTURES, "image_size": 28, "patch_size": 14}
    whole = AutoModelForCausalLM.from_config(CONFIG_MAPPING["gemma3"](text_config=text, vision_config=vision)).eval()
    whole.save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")

    model = new_reward_model(str(tmp_path / "model"))
    assert any("Gemma3TextModel of it is used" in remark for remark in model.remarks)
    tokens = np.arange(3, 40)
    expected = whole.model(input_ids=torch.from_numpy(tokens)[None]).last_hidden_state[0]
    torch.testing.assert_close(separate_states(model.backbone, [tokens])[0], expected, atol=1e-5, rtol=0)
    saved = RewardModel.from_pretrained(train(tiny_run(tmp_path)).out)
    assert (type(saved.backbone).__name__, saved.layout) == ("Gemma3TextModel", "tree")


LIMITED = {
    "bert": ({"max_position_embeddings": 64}, 64),
    "gpt2": ({"n_positions": 64}, 64),
    "opt": ({"max_position_embeddings": 64}, 64),
    "roberta": ({"max_position_embeddings": 66, "pad_token_id": 1}, 64),
}


@pytest.mark.parametrize("kind", LIMITED)
def test_the_limit_of_positions_is_the_longest_text_that_runs(kind: str) -> None:
    settings, limit = LIMITED[kind]
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    backbone = AutoModel.from_config(CONFIG_MAPPING[kind](**sizes, vocab_size=259, ffn_dim=64, **settings)).eval()
    assert position_limit(backbone) == limit
    backbone(input_ids=torch.arange(3, 3 + limit)[None])
    with pytest.raises((IndexError, RuntimeError)):
        backbone(input_ids=torch.arange(3, 4 + limit)[None])


def test_rotary_bodies_have_no_limit_unless_a_long_text_changes_the_rotation_of_the_others() -> None:
    assert tiny_reward_model("llama").position_limit is None
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "original_max_position_embeddings": 64}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, **factors}
    model = sharp_reward_model("phi3", rope_parameters=rope, original_max_position_embeddings=64)
    assert model.max_length == model.position_limit == 64
    alone, beside = (
        model(model.collate([token_group(10, (6, 8)), *others]))[:2]
        for others in ([], [token_group(50, (6, 14), seed=1)])
    )
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=0)
    stretched = model(model.collate([token_group(10, (6, 8)), token_group(60, (6, 8), seed=1)]))[:2]
    assert (stretched - alone).abs().max() > 1e-2  # what the limit is for


@pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")
def test_texts_longer_than_the_positions_are_left_out_and_not_met_in_training(tmp_path: Path) -> None:
    save_tiny_causal_lm(tmp_path / "model", "gpt2", n_positions=96)
    config = tiny_run(tmp_path, random_groups(24, words=20))
    assert config.max_length == 1024
    result = train(config)
    assert result.summary["dropped"]["over-long"] > 0
    assert result.model.max_length == RewardModel.from_pretrained(result.out).max_length == 96

    scored = score(ScoreConfig(model=str(result.out), data=config.data, out=str(tmp_path / "s.jsonl"), max_length=1024))
    assert scored.unscored["over-long"] == result.summary["dropped"]["over-long"]
