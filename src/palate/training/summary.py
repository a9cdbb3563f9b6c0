"""`summary.json`: what a run did, in numbers that other programs read."""

import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from palate.atomic import write_text
from palate.evaluation import count_reasons
from palate.metrics import PairwiseReport
from palate.model.contract import package_versions
from palate.model.reward_model import RewardModel
from palate.packing.attention import path_of_body
from palate.training.checkpoints import Progress
from palate.training.prepared import PreparedData


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of all groups of a run, both sides, once.

    Attributes:
        unshared: that separate, unpadded passes would compute.
        computed: that this run's layout computes, each group alone.
        opening: of them, those that all groups begin with, which a pack computes once.
    """

    unshared: int
    computed: int
    opening: int

    @property
    def ratio(self) -> float:
        """Unshared tokens for every computed one."""
        return self.unshared / max(self.computed, 1)


def count_tokens(data: PreparedData, *, shared: bool) -> TokenCounts:
    """Sum over the groups of both sides; `shared` says whether the layout shares prompts."""
    sides = (data.training.columns, data.evaluation.columns)
    unshared = sum(int(side.unshared.sum()) for side in sides)
    computed = sum(int(side.computed.sum()) for side in sides) if shared else unshared
    return TokenCounts(unshared, computed, data.opening)


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory held at once: of the GPU where the model is on one, else the process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux


def summarise(
    *,
    progress: Progress,
    data: PreparedData,
    model: RewardModel,
    after: PairwiseReport | None,
    length_effect: float | None,
    fill: float,
) -> dict[str, Any]:
    """The summary's values, of the whole run, however often it was resumed."""
    tokens = count_tokens(data, shared=model.layout == "tree")
    return {
        "first_loss": progress.first_loss,
        "eval": after.to_json() if after else None,
        "eval_before": progress.before.to_json() if progress.before else None,
        "best": {"step": progress.best_step, "accuracy": progress.best_accuracy},
        "tokens": {
            "unshared": tokens.unshared,
            "computed": tokens.computed,
            "ratio": tokens.ratio,
            "opening": tokens.opening,
            "trained": progress.tokens,
            "fill": fill,
        },
        "pairs": progress.pairs,
        "steps": progress.step,
        "skipped_steps": progress.skipped,
        "groups": {
            "training": len(data.training),
            "evaluation": len(data.evaluation),
            "truncated": data.truncated,
            "ignored_labels": data.ignored_labels,
        },
        "seconds": progress.seconds,
        "pairs_per_second": progress.pairs / progress.seconds,
        "tokens_per_second": progress.tokens / progress.seconds,
        "peak_memory_bytes": peak_memory_bytes(model.device),
        "length_effect": length_effect,
        "dropped": count_reasons(data.dropped),
        "data_fingerprint": data.fingerprint,
        "layout": model.layout,
        "attention": str(path_of_body(model.backbone.config, model.device, model.compute_dtype))
        if model.layout == "tree"
        else model.own_attention,
        "products": model.products,
        "precision": str(model.compute_dtype).removeprefix("torch."),
        "reward_mean": model.contract.reward_mean if model.contract else None,
        "reward_std": model.contract.reward_std if model.contract else None,
        "versions": package_versions(),
    }


def write_summary(path: Path, values: dict[str, Any]) -> None:
    """Write it atomically."""
    write_text(path, json.dumps(values, indent=2) + "\n")


def read_summary(path: Path) -> dict[str, Any]:
    """Read it back."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
