"""Other scales than the raw reward, each a monotone function of it that the answer states in full.

A reward is known up to a constant, and trainers want it raw. `zscore` and `prob` are for people and thresholds.
"""

import math
from dataclasses import dataclass
from typing import Literal

from palate.model.contract import Contract
from palate.serving.faults import Fault, ServeError

ScaleName = Literal["raw", "zscore", "prob"]


@dataclass(frozen=True, slots=True)
class Scale:
    """score = (r - center) / width, through a sigmoid for `prob`.

    Attributes:
        name: as it was asked for.
        center: in raw rewards.
        width: in raw rewards.
    """

    name: ScaleName
    center: float = 0.0
    width: float = 1.0

    def apply(self, reward: float) -> float:
        """The reward on this scale.

        >>> Scale("zscore", 1.0, 2.0).apply(4.0), Scale("prob").apply(0.0)
        (1.5, 0.5)
        """
        value = (reward - self.center) / self.width
        if self.name != "prob":
            return value
        return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def scale_of(contract: Contract, name: ScaleName) -> Scale:
    """What a name means for a model.

    `raw` is the reward. `zscore` is (r - mean) / std over the responses of the training data. `prob` is
    sigmoid((r - mean) / T): under Bradley-Terry, the probability of being preferred to a response of the mean reward,
    T being the calibration temperature (Guo et al. 2017, section 4.2). Where the checkpoint knows no mean or
    temperature, 0 and 1 stand for them, and the answer says so by its `center` and `width`.

    Raises:
        ServeError: `zscore` of a model whose training rewards were not measured.
    """
    if name == "raw":
        return Scale(name)
    if name == "prob":
        return Scale(name, contract.reward_mean or 0.0, contract.temperature or 1.0)
    if contract.reward_mean is None or not contract.reward_std:
        message = "this model does not know the mean and spread of its rewards in training: ask for raw or prob"
        raise ServeError(Fault.NO_SCALE, message, param="options.scale")
    return Scale(name, contract.reward_mean, contract.reward_std)
