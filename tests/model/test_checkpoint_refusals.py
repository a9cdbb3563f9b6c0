"""What is not a reward model is refused, by name; what is one of somebody else's scores as it does there."""

import json
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoTokenizer,
    BertForSequenceClassification,
    LlamaForSequenceClassification,
)

from palate.errors import ContractError, ModelError
from palate.model import checkpoint, loading
from palate.model.checkpoint import has_head
from palate.model.contract import FILE_NAME
from palate.model.loading import new_reward_model
from palate.model.reward_model import RewardModel
from palate.packing.collate import collate_padded
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_config, tiny_reward_model, tiny_tokenizer

GROUPS = (token_group(20, (7, 9)), token_group(13, (12, 1, 4), seed=1))


def rewards_of(model: RewardModel, groups: tuple[TokenizedGroup, ...] = GROUPS) -> Tensor:
    with torch.no_grad():
        return model(model.collate(groups))


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_tensors(directory: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


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

    @pytest.mark.parametrize("moved", [0, 2])
    def test_a_save_that_was_cut_short_does_not_pass_for_the_old_model_nor_for_the_new(
        self, saved: Path, monkeypatch: pytest.MonkeyPatch, moved: int
    ) -> None:
        replace, done = Path.replace, iter(range(moved))

        def cut_short(path: Path, target: Path) -> Path:
            if next(done, None) is None:
                raise KeyboardInterrupt
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", cut_short)
            with pytest.raises(KeyboardInterrupt):
                sharp_reward_model("llama", seed=1).save_pretrained(saved)
        with pytest.raises(ContractError, match="save the model again"):
            RewardModel.from_pretrained(saved)
        again = sharp_reward_model("llama", seed=1)
        again.save_pretrained(saved)
        assert torch.equal(rewards_of(RewardModel.from_pretrained(saved)), rewards_of(again))

    def test_a_head_of_another_pooling_is_not_read_without_its_contract(self, tmp_path: Path) -> None:
        tiny_reward_model(pooling="mean").save_pretrained(tmp_path / "rm")
        (tmp_path / "rm" / FILE_NAME).unlink()
        with pytest.raises(ModelError, match="which alone says how its head is to be read"):
            RewardModel.from_pretrained(tmp_path / "rm")


class TestHub:
    """The hub's client is replaced by one that copies what is asked for."""

    @pytest.fixture
    def asked(self, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        every: list[list[str]] = []

        def snapshot_download(_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
            every.append(allow_patterns)
            target = tmp_path / "cached"
            target.mkdir(exist_ok=True)
            for file in saved.iterdir():
                if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                    shutil.copy(file, target)
            return str(target)

        monkeypatch.setattr(checkpoint, "snapshot_download", snapshot_download)
        return every

    def test_a_head_is_found_the_first_time_already(self, saved: Path, asked: list[list[str]]) -> None:
        (saved / FILE_NAME).unlink()
        assert loading._is_reward_model("org/rm")

    def test_code_comes_only_where_it_may_run(self, asked: list[list[str]]) -> None:
        checkpoint.load_parts("org/rm")
        assert "*.py" not in asked[-1]
        checkpoint.load_parts("org/rm", trust_remote_code=True)
        assert "*.py" in asked[-1]

    def test_pushing_leaves_no_weights_of_before(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        told: dict[str, object] = {}

        class Hub:
            def create_repo(self, *_: object, **__: object) -> None: ...

            def upload_folder(self, **options: object) -> SimpleNamespace:
                told.update(options)
                return SimpleNamespace(commit_url="https://hub/commit")

        monkeypatch.setattr("palate.model.reward_model.HfApi", Hub)
        assert RewardModel.from_pretrained(saved).push_to_hub("org/rm") == "https://hub/commit"
        patterns = told["delete_patterns"]
        assert isinstance(patterns, list)
        for stale in ("model.safetensors", "model-00001-of-00002.safetensors", "model.safetensors.index.json"):
            assert any(fnmatch(stale, pattern) for pattern in patterns)


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


def test_training_on_a_foreign_classifier_says_that_its_head_is_left_out(tmp_path: Path) -> None:
    BertForSequenceClassification(tiny_config("bert", num_labels=1)).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    model = new_reward_model(str(tmp_path))
    assert any("BertForSequenceClassification: its own head is left out" in remark for remark in model.remarks)
