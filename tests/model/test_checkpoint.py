"""What is saved is what was trained, whoever loads it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from palate.model.adapters import add_lora
from palate.model.pooling import POOLING_NAMES, PoolingName
from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_padded
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.separate import separate_rewards, sharp_reward_model
from palate.testing.tiny import tiny_reward_model, tiny_tokenizer

GROUPS = (token_group(20, (7, 9)), token_group(13, (12, 1, 4), seed=1))
COUNTS_PADDING = {"gpt2"}  # transformers' classifier of GPT-2 counts padding on the left as positions
CLASSIFIERS = ("llama", "qwen3", "gemma3_text", "gpt_neox", "mistral", "qwen2", "phi3", "gpt2", "opt", "smollm3")


def rewards_of(model: RewardModel, groups: tuple[TokenizedGroup, ...] = GROUPS) -> Tensor:
    with torch.no_grad():
        return model(model.collate(groups))


class TestRoundTrip:
    @pytest.mark.parametrize("pooling", POOLING_NAMES)
    @pytest.mark.parametrize("kind", ["llama", "gemma3_text", "bert"])
    def test_every_weight_and_reward_comes_back_bit_for_bit(
        self, kind: str, pooling: PoolingName, tmp_path: Path
    ) -> None:
        model = tiny_reward_model(kind, pooling=pooling)
        model.save_pretrained(tmp_path / "rm")
        loaded = RewardModel.from_pretrained(tmp_path / "rm")
        before, after = model.state_dict(), loaded.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert loaded.pooling_name == pooling
        assert loaded.layout == model.layout
        assert torch.equal(rewards_of(loaded), rewards_of(model))

    @pytest.mark.parametrize("kind", ["mamba", "olmo2", "gemma2", "opt"])
    def test_bodies_with_and_without_a_classifier_in_transformers_come_back(self, kind: str, tmp_path: Path) -> None:
        model = tiny_reward_model(kind)
        model.save_pretrained(tmp_path / "rm")
        assert torch.equal(rewards_of(RewardModel.from_pretrained(tmp_path / "rm")), rewards_of(model))

    def test_what_the_contract_knows_comes_back_and_is_kept_when_saved_again(self, tmp_path: Path) -> None:
        model = tiny_reward_model("llama", max_length=77)
        known = {"reward_mean": 0.5, "reward_std": 2.0, "data_fingerprint": "abc", "evaluation": {"accuracy": 0.7}}
        model.save_pretrained(tmp_path / "rm", **known)
        loaded = RewardModel.from_pretrained(tmp_path / "rm")
        assert loaded.max_length == 77
        loaded.save_pretrained(tmp_path / "again", temperature=1.5)
        contract = RewardModel.from_pretrained(tmp_path / "again").contract
        assert contract is not None
        assert {name: getattr(contract, name) for name in known} == known
        assert contract.temperature == 1.5
        assert contract.scored_token == "\n"

    def test_a_second_save_replaces_the_first_and_leaves_nothing_else(self, saved: Path) -> None:
        other = sharp_reward_model("llama", seed=1)
        (saved / "model-00009-of-00009.safetensors").write_bytes(b"stale")
        other.save_pretrained(saved)
        assert torch.equal(rewards_of(RewardModel.from_pretrained(saved)), rewards_of(other))
        assert not (saved / "model-00009-of-00009.safetensors").exists()
        assert [file.name for file in saved.parent.iterdir()] == [saved.name]

    def test_scoring_text_is_the_same_after_loading(self, saved: Path) -> None:
        model, loaded = sharp_reward_model("llama"), RewardModel.from_pretrained(saved)
        responses = ["Four.", "4", "I would rather not say 🙂"]
        assert loaded.score("What is 2+2?", responses).tolist() == model.score("What is 2+2?", responses).tolist()


class TestOthersLoadIt:
    @pytest.mark.parametrize("kind", CLASSIFIERS)
    def test_transformers_gives_the_same_rewards_padded_on_either_side(self, kind: str, tmp_path: Path) -> None:
        model = sharp_reward_model(kind)
        said = model.save_pretrained(tmp_path / "rm")
        theirs, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm", output_loading_info=True)
        assert type(theirs).__name__ in said
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        for side in ("right",) if kind in COUNTS_PADDING else ("right", "left"):
            batch = collate_padded(GROUPS, pad_token_id=theirs.config.pad_token_id, padding_side=side)
            with torch.no_grad():
                logits = theirs.eval()(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
            torch.testing.assert_close(logits[:, 0], rewards_of(model), atol=1e-4, rtol=0, msg=f"padding: {side}")

    def test_the_configuration_says_one_raw_number_and_a_pad_that_ends_nothing(self, saved: Path) -> None:
        config = json.loads((saved / "config.json").read_text())
        assert config["architectures"] == ["LlamaForSequenceClassification"]
        assert config["problem_type"] == "regression"
        assert len(config["id2label"]) == 1
        assert "quantization_config" not in config
        assert config["pad_token_id"] != config["eos_token_id"]
        loaded = AutoModelForSequenceClassification.from_pretrained(saved)
        assert loaded.config.num_labels == 1
        tokenizer = AutoTokenizer.from_pretrained(saved)
        assert tokenizer.pad_token_id == config["pad_token_id"]
        assert tokenizer.pad_token_id != tokenizer.eos_token_id
        assert tokenizer.chat_template == tiny_tokenizer().chat_template

    def test_the_file_holds_one_bias_free_head_of_float32(self, saved: Path) -> None:
        tensors = load_file(saved / "model.safetensors")
        assert [name for name in tensors if not name.startswith("model.")] == ["score.weight"]
        assert tensors["score.weight"].shape == (1, 32)
        assert tensors["score.weight"].dtype is torch.float32

    @pytest.mark.parametrize("pooling", [name for name in POOLING_NAMES if name != "last"])
    def test_another_poolings_head_is_never_taken_for_a_last_token_head(
        self, pooling: PoolingName, tmp_path: Path
    ) -> None:
        said = tiny_reward_model("llama", pooling=pooling).save_pretrained(tmp_path / "rm")
        assert "only palate loads it" in said
        _, info = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm", output_loading_info=True)
        assert set(info["missing_keys"]) == {"score.weight"}

    def test_the_model_that_was_saved_is_not_changed_by_it(self, tmp_path: Path) -> None:
        model = sharp_reward_model("llama")
        before = rewards_of(model)
        model.save_pretrained(tmp_path / "rm")
        assert torch.equal(rewards_of(model), before)
        assert "problem_type" not in vars(model.backbone.config) or model.backbone.config.problem_type is None


class TestAdapters:
    @pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3_text", "qwen3_moe"])
    def test_a_merged_save_gives_the_rewards_of_body_and_adapters(self, kind: str, tmp_path: Path) -> None:
        model = sharp_reward_model(kind)
        plain = rewards_of(model)
        add_lora(model.backbone, rank=4, alpha=8.0, dropout=0.0, targets="all-linear")
        for name, parameter in model.backbone.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
        adapted = rewards_of(model)
        assert (adapted - plain).abs().max() > 1e-2
        torch.testing.assert_close(adapted, separate_rewards(model, GROUPS), atol=1e-5, rtol=0)
        model.save_pretrained(tmp_path / "rm")
        assert torch.equal(rewards_of(model), adapted)  # saving merged a copy

        torch.testing.assert_close(rewards_of(RewardModel.from_pretrained(tmp_path / "rm")), adapted, atol=1e-5, rtol=0)
        assert not any("lora" in name for name in load_file(tmp_path / "rm" / "model.safetensors"))
        theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
        batch = collate_padded(GROUPS, pad_token_id=0)
        with torch.no_grad():
            logits = theirs(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
        torch.testing.assert_close(logits[:, 0], adapted, atol=1e-4, rtol=0)

    def test_the_head_and_the_adapters_train_and_nothing_else(self) -> None:
        model = sharp_reward_model("llama")
        add_lora(model.backbone, rank=4, alpha=8.0, dropout=0.0, targets="all-linear")
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert "head.score.weight" in trained
        assert all("lora_" in name or name == "head.score.weight" for name in trained)
