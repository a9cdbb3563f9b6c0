"""What every loss refuses, since it would be silently wrong."""

from torch import Tensor


def check(reward: Tensor, *others: Tensor | None) -> None:
    """Refuse rewards in 16 bits and labels of another shape.

    A [C] against a [C, 1] would silently become [C, C], and rewards in 16 bits turn close margins into ties
    before any loss sees them.

    Raises:
        TypeError: the rewards are in 16 bits.
        ValueError: the shapes differ.
    """
    if not reward.dtype.is_floating_point or reward.dtype.itemsize < 4:
        raise TypeError(f"rewards are {reward.dtype}: compute the head in float32, casting them here is too late")
    for other in others:
        if other is not None and other.shape != reward.shape:
            shapes = f"{tuple(reward.shape)} and {tuple(other.shape)}"
            raise ValueError(f"rewards and labels must all have the shape [C], got {shapes}")
