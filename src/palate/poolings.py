"""The poolings side by side: the same body, data, order and steps, one reward model each."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from palate.config import PoolingName, TrainConfig
from palate.errors import ConfigError
from palate.metrics import PairwiseReport

if TYPE_CHECKING:
    from palate.training.display import Display

POOLINGS: tuple[PoolingName, ...] = ("last", "mean", "mean-response", "attention", "cls")


@dataclass(frozen=True, slots=True)
class Contender:
    """One pooling's held-out result.

    Attributes:
        pooling: its name.
        report: held-out evaluation after training.
        seconds: of training.
        out: where its model lies.
    """

    pooling: str
    report: PairwiseReport
    seconds: float
    out: Path


def compare_poolings(
    config: TrainConfig, *, display: "Display | None" = None, on_start: Callable[[str], None] | None = None
) -> list[Contender]:
    """Train one model per pooling under `config.out`; everything but the pooling is the same.

    Raises:
        ConfigError: there is no held-out data to compare on, one pooling is asked for, there are several processes,
            or a setting is wrong.
    """
    from palate.training.run import train

    if config.eval_data is None and config.eval_fraction == 0:
        raise ConfigError("comparing needs held-out data: give --eval-data or a positive --eval-fraction")
    if config.pooling != POOLINGS[0]:  # its default
        raise ConfigError(
            f"poolings trains all of them, and not only {config.pooling}: leave --pooling out, or use train"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # a run leaves its process group at its end, and there are several
        raise ConfigError("poolings trains one model after the other in one process: start it without a launcher")
    results: list[Contender] = []
    for pooling in POOLINGS:
        if on_start is not None:
            on_start(pooling)
        ours = replace(config, pooling=pooling, out=str(Path(config.out) / pooling))
        result = train(ours, display=display)
        if result.after is None:
            raise ConfigError(
                "nothing was held out to compare on, since all groups have the same prompt: give --eval-data"
            )
        results.append(Contender(pooling, result.after, result.summary["seconds"], result.out))
    return results
