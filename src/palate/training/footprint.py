"""Memory: what a pack needs, and what there is."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import psutil
import torch

from palate.model.reward_model import RewardModel
from palate.records import TokenizedGroup
from palate.training.live import LiveBytes


def peak_bytes(model: RewardModel, groups: Sequence[TokenizedGroup]) -> int:
    """Most bytes that one pack needs at once, forward and backward, beside the gradients of a pack before it.

    Raises:
        torch.OutOfMemoryError: a CUDA device has no more; what was allocated is given back.
    """
    device, training = model.device, model.training
    cuda = device.type == "cuda"
    counting = nullcontext() if cuda else LiveBytes()
    model.train()
    try:
        with torch.random.fork_rng([device] if cuda else []), counting as live:
            before = 0
            if cuda:
                torch.cuda.reset_peak_memory_stats(device)
                before = torch.cuda.memory_allocated(device)
            # The first pass leaves gradients behind, as a step's packs do for those that follow.
            for pack in [min(groups, key=model.cost)], groups:
                model(model.collate(pack)).sum().backward()
        return live.peak if live is not None else int(torch.cuda.max_memory_allocated(device)) - before
    finally:
        model.zero_grad(set_to_none=True)
        model.train(training)


def free_bytes(device: torch.device) -> int:
    """Bytes that may still be allocated: of a GPU's memory, or of the host's within the container's limit."""
    if device.type == "cuda":
        cached = int(torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    ours = psutil.Process().memory_info().rss
    limits = [limit - ours for limit in _container_limits(Path("/sys/fs/cgroup"))]
    return int(max(0, min(psutil.virtual_memory().available, *limits)))


def _container_limits(root: Path) -> list[int]:
    """Limits of the control group that a container sees, of either version; none outside of one."""
    limits: list[int] = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(int((root / name).read_text()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return limits
