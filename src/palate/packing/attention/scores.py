"""What a layer wants done with its scores, the same for every path."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scores:
    """How a layer turns query times key into attention weights.

    Attributes:
        scale: factor on the product of query and key.
        window: how many positions a token sees, itself included; None for all.
        softcap: scores become softcap * tanh(scores / softcap), before the mask (Gemma 2, 2408.00118, section 2).
        dropout: share of the weights dropped, 0 outside training.
    """

    scale: float
    window: int | None = None
    softcap: float | None = None
    dropout: float = 0.0
