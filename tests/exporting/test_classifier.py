"""Exports for vLLM, transformers and TEI: what lies in the directory, and what other loaders make of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertForSequenceClassification

from palate.config import ExportConfig
from palate.errors import ConfigError, ModelError
from palate.exporting.engines import caveats
from palate.exporting.golden_file import read_golden
from palate.exporting.run import export
from palate.model.reward_model import RewardModel
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_config, tiny_reward_model, tiny_tokenizer


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.golden.NUM_TEXTS", 8)


def save(model: RewardModel, folder: Path, **known: Any) -> str:
    model.max_length = 320
    model.save_pretrained(folder / "rm", **known)
    return str(folder / "rm")


def run(model: str, folder: Path, to: Any = "hf", **options: Any) -> tuple[Path, dict[str, Any]]:
    out = folder / f"for-{to}"
    export(ExportConfig(model=model, to=to, out=str(out), **options))
    return out, json.loads((out / "export.json").read_text())


@torch.no_grad()
def rewards_by_hand(directory: Path, **options: Any) -> list[float]:
    """As somebody without palate would do it, from golden.jsonl's texts, in one padded batch."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForSequenceClassification.from_pretrained(directory, **options).eval()
    texts = [line.text for line in read_golden(directory)]
    batch = tokenizer(texts, add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt")
    return model(**batch).logits[:, 0].float().tolist()


@pytest.mark.parametrize("to", ["vllm", "hf"])
def test_transformers_gives_the_golden_rewards(tmp_path: Path, to: str) -> None:
    out, told = run(save(sharp_reward_model(), tmp_path), tmp_path, to)
    golden = [line.reward for line in read_golden(out)]
    assert len(golden) == told["texts"] == 8
    assert np.std(golden) > 0.1
    np.testing.assert_allclose(rewards_by_hand(out), golden, atol=1e-5)
    assert told["largest_difference"] < 1e-5


def test_the_directory_says_what_others_need(tmp_path: Path) -> None:
    out, told = run(save(sharp_reward_model(), tmp_path), tmp_path, "vllm")
    config = json.loads((out / "config.json").read_text())
    assert config["problem_type"] == "regression"
    assert config["id2label"] == {"0": "reward"}
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert config["pad_token_id"] == tokenizer.pad_token_id != tokenizer.eos_token_id
    assert "<|im_start|>" in (out / "chat_template.jinja").read_text()
    tensors = load_file(out / "model.safetensors")
    assert [name for name in tensors if name.startswith("score")] == ["score.weight"]
    assert told["command"] == f"vllm serve {out} --runner pooling --max-model-len 320"
    assert "problem_type regression" in " ".join(told["how_to_ask"])
    assert (told["dtype"], told["engine"], told["format"]) == ("fp32", "vllm", 1)


def test_golden_lines_are_the_models_own(tmp_path: Path) -> None:
    model = sharp_reward_model()
    out, _ = run(save(model, tmp_path), tmp_path)
    for line in read_golden(out):
        assert line.cut or model.tokenizer(line.text, add_special_tokens=False)["input_ids"] == line.ids
        with torch.no_grad():
            hidden = model.backbone(input_ids=torch.tensor([line.ids]), use_cache=False).last_hidden_state
            assert float(model.head(hidden[:, -1])) == pytest.approx(line.reward, abs=1e-5)


@pytest.mark.parametrize(("dtype", "torch_dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_half_precision_halves_the_body_and_not_the_head(tmp_path: Path, dtype: Any, torch_dtype: torch.dtype) -> None:
    model = sharp_reward_model()
    out, told = run(save(model, tmp_path), tmp_path, dtype=dtype)
    tensors = load_file(out / "model.safetensors")
    assert tensors.pop("score.weight").dtype == torch.float32
    assert {tensor.dtype for tensor in tensors.values()} == {torch_dtype}
    assert json.loads((out / "config.json").read_text())["dtype"] == str(torch_dtype).removeprefix("torch.")
    golden = [line.reward for line in read_golden(out)]
    assert 1e-6 < np.abs(np.array(rewards_by_hand(out, dtype=torch.float32)) - golden).max() < 0.05
    assert told["largest_difference"] > 1e-6


def test_palate_loads_its_own_export(tmp_path: Path) -> None:
    model = sharp_reward_model()
    out, _ = run(save(model, tmp_path), tmp_path)
    assert RewardModel.from_pretrained(out).score("a", ["b"]) == pytest.approx(model.score("a", ["b"]), abs=1e-6)


def test_a_temperature_goes_into_the_command_line(tmp_path: Path) -> None:
    _, told = run(save(sharp_reward_model(), tmp_path, temperature=1.7), tmp_path, "vllm", calibrated=True)
    assert """--pooler-config '{"logit_mean": 0.0, "logit_sigma": 1.7}'""" in told["command"]
    assert told["temperature"] == 1.7
    assert "divided by the temperature" in " ".join(told["how_to_ask"])


def test_no_temperature_was_fitted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="palate audit RM"):
        run(save(sharp_reward_model(), tmp_path), tmp_path, "vllm", calibrated=True)


def test_what_no_file_can_prevent_is_said() -> None:
    config = ExportConfig(model="rm", to="vllm", out="out")
    assert "SGLang's class for qwen2 adds a bias" in caveats(sharp_reward_model("qwen2"), config)[0]
    assert caveats(sharp_reward_model("llama"), config) == []


@pytest.mark.parametrize("pooling", ["mean", "cls", "mean-response", "attention"])
def test_other_poolings_are_refused_with_a_way_out(tmp_path: Path, pooling: Any) -> None:
    model = save(tiny_reward_model(pooling=pooling), tmp_path)
    with pytest.raises(ModelError, match=f"pools '{pooling}'.*--to onnx"):
        run(model, tmp_path)
    assert not (tmp_path / "for-hf").exists()


def test_tei_takes_no_decoder_and_no_head_of_palates_own(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"encoders alone .*; llama has no classifier there: .*--to onnx"):
        run(save(sharp_reward_model(), tmp_path / "a"), tmp_path, "tei")
    with pytest.raises(ModelError, match="bert has palate's own head"):
        run(save(tiny_reward_model("bert", pooling="cls"), tmp_path / "b"), tmp_path, "tei")


def foreign_encoder(folder: Path) -> str:
    torch.manual_seed(0)
    config = tiny_config("bert", num_labels=1, initializer_range=0.3)
    BertForSequenceClassification(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")
@pytest.mark.parametrize("to", ["tei", "hf", "vllm"])
def test_a_foreign_encoder_is_made_to_give_raw_rewards(tmp_path: Path, to: str) -> None:
    source = foreign_encoder(tmp_path / "rm")
    assert json.loads((Path(source) / "config.json").read_text()).get("problem_type") is None
    out, told = run(source, tmp_path, to)
    config = json.loads((out / "config.json").read_text())
    assert (config["problem_type"], config["id2label"]) == ("regression", {"0": "reward"})
    np.testing.assert_allclose(rewards_by_hand(out), [line.reward for line in read_golden(out)], atol=1e-5)
    assert told["command"].startswith({"tei": "text-embeddings-router", "vllm": "vllm serve", "hf": ""}[to])


def test_files_that_others_score_differently_are_not_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from palate.exporting import run as running

    def spoil(model: RewardModel, directory: Path, dtype: torch.dtype) -> None:
        write(model, directory, dtype)
        tensors = load_file(directory / "model.safetensors")
        tensors["score.weight"] *= 1.1
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})

    write = running.write_classifier
    monkeypatch.setattr(running, "write_classifier", spoil)
    with pytest.raises(ModelError, match=r"transformers scores the written files .* away"):
        run(save(sharp_reward_model(), tmp_path), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rm"]


def test_what_is_there_is_replaced_only_when_it_is_an_export(tmp_path: Path) -> None:
    model = save(sharp_reward_model(), tmp_path)
    out, _ = run(model, tmp_path)
    (out / "stale").write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        run(model, tmp_path)
    run(model, tmp_path, overwrite=True)
    assert not (out / "stale").exists()
    (out / "export.json").unlink()
    with pytest.raises(ConfigError, match="something else"):
        run(model, tmp_path, overwrite=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"to": "hf", "calibrated": True}, "setting of vLLM"), ({"to": "onnx", "dtype": "bf16"}, "checked in float32")],
)
def test_settings_that_do_not_go_together(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ExportConfig(model="rm", out="out", **options)
