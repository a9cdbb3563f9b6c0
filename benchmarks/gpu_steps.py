"""Parts of `benchmarks.gpu` that run whole bodies: training steps against the padded step, and equal gradients."""

import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, LlamaConfig

from benchmarks.gpu_budget import Budget
from benchmarks.peer import classifier_on
from benchmarks.report import Report, alternate, median_ratio, timed
from palate.model.reward_model import RewardModel
from palate.packing.attention import path_of_body
from palate.packing.batch import RewardBatch, Segment
from palate.packing.bins import pack
from palate.records import TokenizedGroup
from palate.testing.groups import token_group
from palate.testing.tiny import tiny_tokenizer

LENGTHS = Path(__file__).parent / "lengths_harmless.json"
STEPS, GRADIENTS = "Training steps", "Gradients, shared against padded"
_SPECIFIED = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12, "L40S": 362e12}
"""Dense bf16 operations a second by the vendors' data sheets."""


@dataclass(frozen=True, slots=True)
class Body:
    """A Llama of some shape with random weights, and how it is trained.

    Attributes:
        name: of the model that has this shape.
        shape: of `LlamaConfig`.
        pairs: a step.
        micro: pairs of one padded forward pass; a padded step accumulates the gradients of several.
        longest: tokens of a dialogue at most.
        weights: their precision; float32 runs under bf16 autocast.
        optimizer: `AdamW` or `SGD`.
    """

    name: str
    shape: dict[str, Any]
    pairs: int
    micro: int
    longest: int
    weights: torch.dtype
    optimizer: str

    @property
    def how(self) -> str:
        """Precision and optimizer in words."""
        precision = "bf16 weights" if self.weights is torch.bfloat16 else "float32 weights, bf16 autocast"
        return f"{precision}, {self.optimizer}"


def _shape(hidden: int, wide: int, layers: int, heads: tuple[int, int], words: int) -> dict[str, Any]:
    sizes = {"hidden_size": hidden, "intermediate_size": wide, "num_hidden_layers": layers, "vocab_size": words}
    return {**sizes, "num_attention_heads": heads[0], "num_key_value_heads": heads[1]}


SMOLLM2 = _shape(576, 1536, 30, (9, 3), 49_152)
BODIES = (
    Body("SmolLM2-135M", SMOLLM2, 64, 32, 1024, torch.float32, "AdamW"),
    Body("Llama-3.2-1B", _shape(2048, 8192, 16, (32, 8), 128_256), 32, 16, 1024, torch.float32, "AdamW"),
    # AdamW's state of 8 billion weights would leave no room for activations: SGD on both sides.
    Body("Llama-3.1-8B", _shape(4096, 14_336, 32, (32, 8), 128_256), 32, 8, 512, torch.bfloat16, "SGD"),
)
TINY = (
    Body("tiny", _shape(32, 64, 2, (4, 2), 259), 4, 2, 256, torch.float32, "AdamW"),
    Body("tiny, half", _shape(32, 64, 2, (4, 2), 259), 4, 4, 256, torch.bfloat16, "SGD"),
)


def pairs_like_harmless(longest: int, *, seed: int = 0) -> list[TokenizedGroup]:
    """Pairs of random tokens with the lengths of HH-RLHF's, in a shuffled order."""
    rows = json.loads(LENGTHS.read_text(encoding="utf-8"))["rows"]
    kept = [row for row in rows if row[0] + max(row[1:]) <= longest]
    order = np.random.default_rng(seed).permutation(len(kept))
    return [token_group(kept[i][0], kept[i][1:], seed=int(i)) for i in order]


class Trainer:
    """One body and one optimizer, and two ways to make a step with them: both move the same weights.

    Args:
        body: what to build.
        device: where.
    """

    def __init__(self, body: Body, device: torch.device) -> None:
        torch.manual_seed(0)
        config = LlamaConfig(**body.shape, pad_token_id=0, tie_word_embeddings=True)
        with device:
            backbone = AutoModel.from_config(config, dtype=body.weights)
        half = torch.bfloat16 if body.weights is torch.float32 else torch.float32  # bf16 weights need no autocast
        self.model = RewardModel(backbone, tiny_tokenizer(), compute_dtype=half, max_length=body.longest).to(device)
        self.classifier = classifier_on(backbone).to(device)
        self.classifier.score.to(body.weights)
        self.autocast = body.weights is torch.float32
        self.micro = body.micro
        kind: Any = torch.optim.AdamW if body.optimizer == "AdamW" else torch.optim.SGD
        self.optimizer: torch.optim.Optimizer = kind(
            [*self.model.parameters(), *self.classifier.score.parameters()], lr=1e-6, fused=device.type == "cuda"
        )

    def shared(self, groups: Sequence[TokenizedGroup], *, tokens_per_pack: int = 16_384) -> Tensor:
        """Palate's step; returns the loss."""
        losses = []
        for rows in pack([group.computed_tokens for group in groups], tokens_per_pack):
            batch = self.model.collate([groups[i] for i in rows], layout="tree")
            reward_N = self.model(batch)
            loss = -F.logsigmoid(reward_N[batch.winner_C] - reward_N[batch.loser_C]).sum() / len(groups)
            loss.backward()
            losses.append(loss.detach())
        return self._finish(torch.stack(losses).sum())

    def padded(self, groups: Sequence[TokenizedGroup]) -> Tensor:
        """The step of TRL's RewardTrainer, with as many forward passes as memory asks for; returns the loss."""
        self.classifier.config._attn_implementation = self.model.own_attention
        losses = []
        for at in range(0, len(groups), self.micro):
            chosen, rejected = self._padded_rewards(groups[at : at + self.micro]).chunk(2)
            loss = -F.logsigmoid(chosen - rejected).sum() / len(groups)
            loss.backward()
            losses.append(loss.detach())
        return self._finish(torch.stack(losses).sum())

    def _padded_rewards(self, groups: Sequence[TokenizedGroup]) -> Tensor:
        """All chosen dialogues, then all rejected ones, padded on the right to the longest."""
        rows = [group.sequences[side] for side in (0, 1) for group in groups]
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        device = self.model.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.autocast):
            output = self.classifier(
                input_ids=torch.from_numpy(ids).to(device),
                attention_mask=torch.from_numpy(mask).to(device),
                use_cache=False,
            )
        reward_N: Tensor = output.logits.float().squeeze(-1)
        return reward_N

    def _finish(self, loss: Tensor) -> Tensor:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss


def work(model: RewardModel, groups: Sequence[TokenizedGroup]) -> float:
    """Operations of forward and backward that a step needs, every token counted once.

    Two a weight and token forward, four backward; a score and its use in the average are four a head's number and
    visible pair. The last layer counts where it is read.
    """
    batch = model.collate(groups, layout="tree")
    assert batch.layout is not None
    config: Any = model.backbone.config
    layers: Any = model.backbone.layers
    per_layer = sum(p.numel() for p in layers[0].parameters() if p.ndim > 1)
    read, size = batch.layout.segments, getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    rows, skipped = batch.num_tokens, 0
    if batch.layout.reading is not None:
        read, rows = batch.layout.reading.segments, len(batch.layout.reading.row_R)
        skipped = per_layer - sum(p.numel() for n, p in layers[0].named_parameters() if "k_proj" in n or "v_proj" in n)
    weights = per_layer * config.num_hidden_layers * batch.num_tokens - skipped * (batch.num_tokens - rows)
    visible = (config.num_hidden_layers - 1) * _visible(batch.layout.segments) + _visible(read)
    return 6.0 * weights + 12.0 * config.num_attention_heads * size * visible


def _visible(segments: Sequence[Segment]) -> int:
    return sum(s.length * s.num_keys - s.length * (s.length - 1) // 2 for s in segments)


def training_steps(report: Report, budget: Budget, bodies: Sequence[Body], device: torch.device, peak: float) -> None:
    """Palate's step and the padded one, in turns."""
    for number, body in enumerate(bodies):
        mine = budget.share(len(bodies) - number)
        if mine.spent:
            report.notes.append(f"{STEPS}: {body.name} left out, no time was left.")
            continue
        try:
            _train_one(report, mine, body, device, peak)
        except torch.OutOfMemoryError as error:
            report.notes.append(f"{STEPS}: {body.name} left out, out of memory: {str(error).splitlines()[0][:200]}")
        if device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


def _train_one(report: Report, budget: Budget, body: Body, device: torch.device, peak: float) -> None:
    trainer = Trainer(body, device)
    pairs = pairs_like_harmless(body.longest)
    steps = [pairs[at : at + body.pairs] for at in range(0, len(pairs) - body.pairs + 1, body.pairs)]
    subjects = {"palate": _in_turn(trainer.shared, steps), "padded": _in_turn(trainer.padded, steps)}
    memory, first = {}, {}
    for name, step in subjects.items():
        for _ in range(2):  # the first one also loads and tunes kernels
            _reset_peak(device)
            started = time.perf_counter()
            timed(step)()
            first[name] = time.perf_counter() - started
        memory[name] = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
    rounds = max(3, min(len(steps) - 2, 12, int(budget.left / sum(first.values()))))
    seconds = alternate({name: timed(step) for name, step in subjects.items()}, rounds, warm_up=0)
    needed = median(work(trainer.model, step) for step in steps[2 : 2 + rounds])
    specified = next(
        (v for k, v in _SPECIFIED.items() if device.type == "cuda" and k in torch.cuda.get_device_name()), 0
    )
    attention = path_of_body(trainer.model.backbone.config, device, torch.bfloat16)
    report.add(
        STEPS,
        body=body.name,
        trained=body.how,
        attention=str(attention),
        pairs_per_step=body.pairs,
        pairs_per_padded_pass=body.micro,
        unshared_by_computed=_ratio(steps[2 : 2 + rounds]),
        palate_pairs_per_second=body.pairs / median(seconds["palate"]),
        padded_pairs_per_second=body.pairs / median(seconds["padded"]),
        speed_up=median_ratio(seconds["palate"], seconds["padded"]),
        lowest_speed_up=min(b / a for a, b in zip(seconds["palate"], seconds["padded"], strict=True)),
        palate_use_of_measured_peak=needed / median(seconds["palate"]) / peak,
        padded_use_of_measured_peak=needed / median(seconds["padded"]) / peak,
        palate_use_of_specified_peak=needed / median(seconds["palate"]) / specified if specified else None,
        palate_peak_gib=memory["palate"],
        padded_peak_gib=memory["padded"],
        rounds=rounds,
    )


def _in_turn(step: Callable[[Sequence[TokenizedGroup]], Tensor], steps: Sequence[Any]) -> Callable[[], Tensor]:
    """The step on the next of `steps` each time, from the start again after the last."""
    count = iter(range(10**9))
    return lambda: step(steps[next(count) % len(steps)])


def _specified_peak(device: torch.device) -> float | None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((rate for gpu, rate in _SPECIFIED.items() if gpu in name), None)


def _ratio(steps: Sequence[Sequence[TokenizedGroup]]) -> float:
    groups = [group for step in steps for group in step]
    return sum(g.unshared_tokens for g in groups) / sum(g.computed_tokens for g in groups)


def _reset_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def equal_gradients(report: Report, body: Body, device: torch.device) -> None:
    """The gradient of one step's loss, shared and padded, against padded in float32, of a body of four layers."""
    shape = {**body.shape, "num_hidden_layers": min(4, body.shape["num_hidden_layers"])}
    torch.manual_seed(0)
    with device:
        backbone = AutoModel.from_config(LlamaConfig(**shape, pad_token_id=0, initializer_range=0.05))
    model = RewardModel(backbone, tiny_tokenizer()).to(device)
    nn.init.normal_(model.head.score.weight, std=0.1)
    groups = pairs_like_harmless(512)[:6]
    batches = {layout: model.collate(groups, layout=layout) for layout in ("tree", "padded")}  # type: ignore[arg-type]
    exact = _gradient(model, batches["padded"])
    for dtype in (torch.float32, torch.bfloat16):
        model.compute_dtype = dtype
        for layout, batch in batches.items():
            path = path_of_body(backbone.config, device, dtype)
            report.add(
                GRADIENTS,
                precision=str(dtype).removeprefix("torch."),
                layout=layout,
                attention=str(path) if layout == "tree" else model.own_attention,
                difference_by_norm=float((_gradient(model, batch) - exact).norm() / exact.norm()),
            )


def _gradient(model: RewardModel, batch: RewardBatch) -> Tensor:
    """Of all trainable weights, end to end."""
    reward_N = model(batch)
    loss = -F.logsigmoid(reward_N[batch.winner_C] - reward_N[batch.loser_C]).sum()
    weights = [p for p in model.parameters() if p.requires_grad]
    return torch.cat([grad.flatten() for grad in torch.autograd.grad(loss, weights)])
