"""What is saved is what was trained, whoever loads it; and what is not a reward model is refused, by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    LlamaForSequenceClassification,
)

from palate.errors import ContractError, ModelError
from palate.model.adapters import add_lora
from palate.model.checkpoint import has_head
from palate.model.contract import FILE_NAME
from palate.model.pooling import POOLING_NAMES, PoolingName
from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_padded
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.separate import separate_rewards, sharp_reward_model
from palate.testing.tiny import tiny_config, tiny_reward_model, tiny_tokenizer

GROUPS = (token_group(20, (7, 9)), token_group(13, (12, 1, 4), seed=1))
COUNTS_PADDING = {"gpt2"}  # transformers' classifier of GPT-2 counts padding on the left as positions
CLASSIFIERS = ("llama", "qwen3", "gemma3_text", "gpt_neox", "mistral", "qwen2", "phi3", "gpt2", "opt", "smollm3")


def rewards_of(model: RewardModel, groups: tuple[TokenizedGroup, ...] = GROUPS) -> Tensor:
    with torch.no_grad():
        return model(model.collate(groups))


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_tensors(directory: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("saved") / "rm"
    sharp_reward_model("llama").save_pretrained(directory)
    return directory


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> Path:
    """A saved model of the test's own, to damage."""
    return Path(shutil.copytree(saved_once, tmp_path / "rm"))


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
    @pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3_text"])
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


class TestRefusals:
    def test_without_a_head(self, saved: Path) -> None:
        edit_tensors(saved, lambda tensors: tensors.pop("score.weight"))
        assert not has_head(saved)
        with pytest.raises(ModelError, match=r"no reward head.*score\.weight"):
            RewardModel.from_pretrained(saved)

    def test_a_body_alone(self, tmp_path: Path) -> None:
        sharp_reward_model("llama").backbone.save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
        with pytest.raises(ModelError, match="no reward head"):
            RewardModel.from_pretrained(tmp_path)

    def test_two_labels(self, tmp_path: Path) -> None:
        LlamaForSequenceClassification(tiny_config("llama", num_labels=2)).save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
        with pytest.raises(ModelError, match="head of 2 labels; a reward model has exactly 1"):
            RewardModel.from_pretrained(tmp_path)

    def test_two_labels_under_a_head_of_its_own_name(self, tmp_path: Path) -> None:
        BertForSequenceClassification(tiny_config("bert", num_labels=2)).save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
        with pytest.raises(ModelError, match="2 labels; a reward model has exactly 1"):
            RewardModel.from_pretrained(tmp_path)

    @pytest.mark.parametrize("keep", [100, 3000, -1])
    def test_a_damaged_file(self, saved: Path, keep: int) -> None:
        file = saved / "model.safetensors"
        file.write_bytes(file.read_bytes()[:keep])
        with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
            RewardModel.from_pretrained(saved)

    def test_pickles(self, saved: Path) -> None:
        torch.save(load_file(saved / "model.safetensors"), saved / "pytorch_model.bin")
        (saved / "model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"no safetensors file.*pickles run code"):
            RewardModel.from_pretrained(saved)

    def test_weights_missing_from_the_body(self, saved: Path) -> None:
        edit_tensors(saved, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
        with pytest.raises(ModelError, match=r"lacks weights of its body.*up_proj"):
            RewardModel.from_pretrained(saved)

    def test_a_directory_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="no such directory"):
            RewardModel.from_pretrained(tmp_path / "nowhere")


class TestContract:
    def change_template(self, directory: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>\n", "<|im_end|>")
        tokenizer.save_pretrained(directory)

    def change_tokenizer(self, directory: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(directory)
        tokenizer.add_tokens(["3.14"])
        tokenizer.save_pretrained(directory)

    def change_head(self, directory: Path) -> None:
        edit_tensors(directory, lambda tensors: tensors["score.weight"].mul_(1.001))

    @pytest.mark.parametrize(
        ("change", "named"),
        [(change_template, "chat template"), (change_tokenizer, "tokenizer"), (change_head, "head")],
    )
    def test_a_change_is_refused_and_named_alone(self, saved: Path, change: Callable[..., None], named: str) -> None:
        change(self, saved)
        with pytest.raises(ContractError, match=rf"trained with: {named} \(contract \w+, found \w+\)\. Restore"):
            RewardModel.from_pretrained(saved)
        RewardModel.from_pretrained(saved, check_contract=False)

    def test_several_changes_are_all_named(self, saved: Path) -> None:
        self.change_template(saved)
        self.change_head(saved)
        with pytest.raises(ContractError, match=r"chat template .*; head "):
            RewardModel.from_pretrained(saved)

    def test_a_newer_format_is_refused(self, saved: Path) -> None:
        edit_json(saved / FILE_NAME, format=99)
        with pytest.raises(ContractError, match="newer palate"):
            RewardModel.from_pretrained(saved)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"pooling": "last"}'])
    def test_a_contract_that_cannot_be_read_is_refused(self, saved: Path, text: str) -> None:
        (saved / FILE_NAME).write_text(text)
        with pytest.raises(ContractError, match="not a readable contract"):
            RewardModel.from_pretrained(saved)

    def test_without_a_contract_the_model_loads_and_says_what_is_not_known(self, saved: Path) -> None:
        (saved / FILE_NAME).unlink()
        loaded = RewardModel.from_pretrained(saved)
        assert any("could not be verified" in remark for remark in loaded.remarks)
        assert torch.equal(rewards_of(loaded), rewards_of(sharp_reward_model("llama")))

    def test_a_save_that_was_cut_short_does_not_pass_for_the_old_model_nor_for_the_new(self, saved: Path) -> None:
        contract = (saved / FILE_NAME).read_text()
        sharp_reward_model("llama", seed=1).save_pretrained(saved)
        (saved / FILE_NAME).write_text(contract)
        with pytest.raises(ContractError, match="head"):
            RewardModel.from_pretrained(saved)


class TestForeign:
    def test_a_classifier_trained_with_transformers_scores_as_it_does_there(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        theirs = LlamaForSequenceClassification(tiny_config("llama", num_labels=1, initializer_range=0.2)).eval()
        theirs.save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
        ours = RewardModel.from_pretrained(tmp_path)
        assert ours.layout == "tree"
        batch = collate_padded(GROUPS, pad_token_id=0)
        with torch.no_grad():
            logits = theirs(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
        torch.testing.assert_close(rewards_of(ours), logits[:, 0], atol=1e-5, rtol=0)

    def test_an_encoder_with_a_head_of_its_own_is_run_whole(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        theirs = BertForSequenceClassification(tiny_config("bert", num_labels=1, initializer_range=0.2)).eval()
        theirs.save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
        ours = RewardModel.from_pretrained(tmp_path)
        assert ours.layout == "padded"
        assert any("keeps its own head" in remark for remark in ours.remarks)
        batch = collate_padded(GROUPS, pad_token_id=0)
        with torch.no_grad():
            logits = theirs(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT).logits
        torch.testing.assert_close(rewards_of(ours), logits[:, 0], atol=1e-5, rtol=0)
        with pytest.raises(ModelError, match="scored but not saved"):
            ours.save_pretrained(tmp_path / "again")

    def test_a_bias_is_used_kept_and_mentioned(self, saved: Path) -> None:
        bare = rewards_of(RewardModel.from_pretrained(saved))
        edit_tensors(saved, lambda tensors: tensors.update({"score.bias": torch.tensor([1.5])}))
        loaded = RewardModel.from_pretrained(saved)
        assert any("bias of +1.5" in remark for remark in loaded.remarks)
        torch.testing.assert_close(rewards_of(loaded), bare + 1.5)
        loaded.save_pretrained(saved.parent / "again")
        torch.testing.assert_close(rewards_of(RewardModel.from_pretrained(saved.parent / "again")), bare + 1.5)

    def test_a_checkpoint_without_a_template_gets_one_and_says_so(self, saved: Path) -> None:
        (saved / FILE_NAME).unlink()
        for file in saved.glob("*.jinja"):
            file.unlink()
        loaded = RewardModel.from_pretrained(saved)
        assert any("no chat template" in remark for remark in loaded.remarks)
        loaded.score("Hi", ["Hello"])
