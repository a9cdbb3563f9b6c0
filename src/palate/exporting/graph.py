"""Body, pooling and head as one ONNX graph: token ids and mask in, float32 rewards out, any batch and any length.

Sequences are padded on the right. Causal bodies never see padding then, encoders are given the mask, and the pooling
reads where the mask says that a sequence ends; so padding changes nothing, which the check after writing shows.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palate.errors import ConfigError, ModelError
from palate.exporting.golden_file import Golden
from palate.model.reward_model import RewardModel

FILE_NAME = "model.onnx"
TOLERANCE = 1e-3
"""Allowed between onnxruntime and palate, times the largest reward where that is more than 1."""
_OPSET = 18
_BATCH = 16
_READS_RESPONSE = ("mean-response", "attention")


class RewardGraph(nn.Module):
    """The reward model as a plain function of padded rows, without palate's batches.

    Args:
        model: of any pooling.
    """

    query: Tensor | None

    def __init__(self, model: RewardModel) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.score = model.head.score
        self.pooling = model.pooling_name
        query = getattr(model.pooling, "query", None)
        self.register_buffer("query", None if query is None else query.detach().float())
        self._options = {"use_cache": False} if hasattr(model.backbone.config, "use_cache") else {}

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in order."""
        return ["input_ids", "attention_mask", *(["response_start"] if self.pooling in _READS_RESPONSE else [])]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, response_start: Tensor | None = None) -> Tensor:
        """Rewards, float32 [B].

        Args:
            input_ids: int64 [B, T], padded on the right.
            attention_mask: int64 [B, T], 1 for tokens.
            response_start: int64 [B], index of the response's first token; for poolings that read it.
        """
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **self._options)
        hidden_BTD = output.last_hidden_state.float()
        rewards_B: Tensor = self.score(self._pool(hidden_BTD, attention_mask, response_start)).squeeze(-1)
        return rewards_B

    def _pool(self, hidden_BTD: Tensor, mask_BT: Tensor, start_B: Tensor | None) -> Tensor:
        """As `palate.model.pooling` does, on padded rows."""
        if self.pooling == "cls":
            return hidden_BTD[:, 0]
        if self.pooling == "last":
            last_B11 = (mask_BT.sum(1) - 1)[:, None, None]
            return hidden_BTD.gather(1, last_B11.expand(-1, 1, hidden_BTD.shape[-1]))[:, 0]
        read_BT = mask_BT.bool()
        if start_B is not None:
            place_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
            read_BT = read_BT & (place_T[None] >= start_B[:, None])
        if self.query is None:
            weight_BT = read_BT.float() / read_BT.sum(1, keepdim=True)
        else:
            score_BT = hidden_BTD @ self.query / self.query.shape[0] ** 0.5
            weight_BT = score_BT.masked_fill(~read_BT, -torch.inf).softmax(1)
        return (weight_BT[..., None] * hidden_BTD).sum(1)


def write_graph(model: RewardModel, directory: Path) -> str:
    """Write `model.onnx`; returns which exporter of torch's did it, and what the other said where it failed.

    Raises:
        ConfigError: the packages are missing.
        ModelError: neither exporter can trace the body.
    """
    _require()
    graph = RewardGraph(model).eval()
    own = model.backbone.config._attn_implementation  # type: ignore[union-attr]
    model.backbone.config._attn_implementation = model.own_attention  # type: ignore[union-attr]
    example = _example(model, graph)
    target = directory / FILE_NAME
    try:
        with _quiet():
            try:
                _by_export(graph, example, target)
            except Exception as error:  # whatever the body does that torch.export has no rule for
                said = " ".join(str(error).split())[:200]
                _by_tracing(graph, example, target)
                return f"traced, since torch.export failed: {said}"
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"torch cannot write {type(model.backbone).__name__} as a graph: {said}") from error
    finally:
        model.backbone.config._attn_implementation = own  # type: ignore[union-attr]
    return "torch.export"


def check_graph(directory: Path, golden: Sequence[Golden]) -> float:
    """Score the golden texts by onnxruntime in padded batches; returns the largest difference.

    Raises:
        ModelError: it does not run, or differs by more than `TOLERANCE`.
    """
    session = open_session(directory)
    expected = np.array([text.reward for text in golden])
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    try:
        found = np.concatenate([run_session(session, golden[at : at + _BATCH]) for at in range(0, len(golden), _BATCH)])
    except Exception as error:  # onnxruntime has a dozen of its own
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"onnxruntime cannot run the graph on batches of another shape: {said}") from error
    difference = float(np.abs(found - expected).max())
    if not difference <= allowed:
        raise ModelError(f"onnxruntime gives rewards {difference:.3g} away from palate's, more than {allowed:.2g}")
    return difference


def open_session(directory: Path, *, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU; 0 threads leaves their number to it."""
    _require()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(directory / FILE_NAME, options, providers=["CPUExecutionProvider"])


def run_session(session: Any, texts: Sequence[Golden]) -> NDArray[np.float32]:
    """Rewards [N] of some texts in one padded batch."""
    rows = padded([text.ids for text in texts])
    rows["response_start"] = np.array([text.response_start for text in texts], np.int64)
    wanted = {one.name for one in session.get_inputs()}
    found: NDArray[np.float32] = session.run(None, {name: row for name, row in rows.items() if name in wanted})[0]
    return found


def padded(sequences: Sequence[Sequence[int]]) -> dict[str, NDArray[np.int64]]:
    """Ids and mask, padded on the right; the pad id is never read.

    >>> padded([[5, 6], [7]])["attention_mask"].tolist()
    [[1, 1], [1, 0]]
    """
    shape = len(sequences), max(map(len, sequences))
    ids_BT, mask_BT = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, sequence in enumerate(sequences):
        ids_BT[row, : len(sequence)], mask_BT[row, : len(sequence)] = sequence, 1
    return {"input_ids": ids_BT, "attention_mask": mask_BT}


def _example(model: RewardModel, graph: RewardGraph) -> dict[str, Tensor]:
    """Three rows of unequal length: of one row or one token, torch would make constants."""
    rows = padded([[5, 6, 7, 8, 9], [5, 6], [5, 6, 7]])
    rows["response_start"] = np.array([2, 1, 1], np.int64)
    return {name: torch.from_numpy(rows[name]).to(model.device) for name in graph.inputs}


def _by_export(graph: RewardGraph, example: dict[str, Tensor], target: Path) -> None:
    axes = {name: {0: "batch", 1: "length"} if value.dim() == 2 else {0: "batch"} for name, value in example.items()}
    torch.onnx.export(
        graph,
        kwargs=example,
        f=target,
        input_names=graph.inputs,
        output_names=["reward"],
        dynamic_shapes=axes,
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )


def _by_tracing(graph: RewardGraph, example: dict[str, Tensor], target: Path) -> None:
    axes = {name: {0: "batch", 1: "length"} if value.dim() == 2 else {0: "batch"} for name, value in example.items()}
    torch.onnx.export(
        graph,
        tuple(example.values()),
        target,
        input_names=graph.inputs,
        output_names=["reward"],
        dynamic_axes={**axes, "reward": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters' progress and remarks on their own insides are for their authors."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.utils._pytree")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _require() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"--to onnx needs {error.name}: pip install 'palate[onnx]'") from error
