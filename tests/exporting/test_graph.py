"""The ONNX graph gives palate's rewards for every pooling, batch and length."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palate.cli.main import main
from palate.data.render import tokenize
from palate.errors import ConfigError, ModelError
from palate.exporting import graph
from palate.exporting.golden_file import Golden, golden_lines
from palate.exporting.graph import RewardGraph, check_graph, open_session, padded, run_session, write_graph
from palate.golden import conversations
from palate.model.reward_model import RewardModel
from palate.testing.separate import sharp_reward_model
from palate.testing.tiny import tiny_reward_model

POOLINGS = ["last", "cls", "mean", "mean-response", "attention"]


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palate.golden.NUM_TEXTS", 10)


def make(kind: str = "llama", pooling: Any = "last") -> RewardModel:
    model = tiny_reward_model(kind, pooling=pooling) if pooling != "last" else sharp_reward_model(kind)
    model.max_length = 320
    return model


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_the_module_is_the_model(pooling: str) -> None:
    model = make(pooling=pooling)
    rows = tokenize(list(conversations(2))[:4], model.tokenizer, max_length=320).groups
    function = RewardGraph(model)
    inputs = padded([row.sequences[0].tolist() for row in rows])
    inputs["response_start"] = np.array([row.response_starts[0] for row in rows])
    model.backbone.config._attn_implementation = "sdpa"
    found = function(*(torch.from_numpy(inputs[name]) for name in function.inputs))
    expected = [float(model(model.collate([row], layout="padded"))[0]) for row in rows]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_traced_graphs_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pooling: str) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("no rule for this")

    monkeypatch.setattr(graph, "_by_export", fail)
    model = make(pooling=pooling)
    assert write_graph(model, tmp_path) == "traced, since torch.export failed: no rule for this"
    assert check_graph(tmp_path, golden_lines(model)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "pooling"), [("mistral", "last"), ("bert", "mean-response")])
def test_exported_graphs_agree(tmp_path: Path, kind: str, pooling: str) -> None:
    model = make(kind, pooling)
    assert write_graph(model, tmp_path) == "torch.export"
    golden = golden_lines(model)
    assert check_graph(tmp_path, golden) < 1e-5
    session = open_session(tmp_path)
    alone = np.concatenate([run_session(session, [line]) for line in golden])
    np.testing.assert_allclose(alone, [line.reward for line in golden], atol=1e-5)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick exporter."""
    monkeypatch.setattr(graph, "_by_export", graph._by_tracing)


@pytest.mark.usefixtures("traced")
def test_a_graph_that_differs_fails(tmp_path: Path) -> None:
    model = make()
    golden = golden_lines(model)
    write_graph(model, tmp_path)
    assert check_graph(tmp_path, golden) < 1e-5
    wrong = [Golden(line.text, line.ids, line.reward + 0.002, line.response_start, line.cut) for line in golden]
    with pytest.raises(ModelError, match=r"rewards 0\.002 away"):
        check_graph(tmp_path, wrong)


@pytest.mark.usefixtures("traced")
def test_a_graph_bound_to_its_shapes_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("Shape mismatch")

    model = make()
    write_graph(model, tmp_path)
    monkeypatch.setattr(graph, "run_session", fail)
    with pytest.raises(ModelError, match="batches of another shape: Shape mismatch"):
        check_graph(tmp_path, golden_lines(model))


@pytest.mark.usefixtures("traced")
def test_padding_is_not_read(tmp_path: Path) -> None:
    model = make()
    write_graph(model, tmp_path)
    session = open_session(tmp_path)
    rows = padded([[5, 6, 7, 8, 9, 10], [11, 12]])
    first = session.run(None, rows)[0]
    rows["input_ids"][1, 2:] = 200
    np.testing.assert_array_equal(session.run(None, rows)[0], first)


@pytest.mark.usefixtures("traced")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(pooling="attention").save_pretrained(tmp_path / "rm")
    out = tmp_path / "onnx"
    assert main(["export", str(tmp_path / "rm"), "--to", "onnx", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "10 golden texts with their rewards" in printed
    assert "loads it: onnxruntime" in printed
    told = json.loads((out / "export.json").read_text())
    assert told["largest_difference"] < 1e-5
    assert {"model.onnx", "golden.jsonl", "tokenizer.json", "chat_template.jinja"} <= {p.name for p in out.iterdir()}


def test_without_the_packages_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"pip install 'palate\[onnx\]'"):
        write_graph(make(), tmp_path)
