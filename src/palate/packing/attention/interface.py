"""The tree layout's attention as transformers calls it, and the choice of the path that computes it.

Registered under two names: `palate_tree` takes the fastest path that does what the layer wants on the device at
hand, `palate_tree_dense` is the oracle. Both follow transformers' attention-function signature; the layout travels
as the keyword argument `palate_layout` of the body's forward. Arguments that change the numbers and that a path
does not implement are refused, never ignored.
"""

from typing import Any

from torch import Tensor, nn

from palate.errors import ModelError
from palate.packing.attention.cascade import attend_cascade
from palate.packing.attention.choice import choose_path
from palate.packing.attention.dense import attend_dense
from palate.packing.attention.flex import attend_flex
from palate.packing.attention.scores import Scores
from palate.packing.attention.segments import attend_segments
from palate.packing.attention.varlen import attend_varlen
from palate.packing.batch import Segment, TreeLayout

TREE = "palate_tree"
TREE_DENSE = "palate_tree_dense"


def tree_attention(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    *,
    palate_layout: TreeLayout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """Attention of a packed row by the fastest path for it, see `choose_path`.

    Args:
        module: the attention layer; its `layer_idx` is noted in the layout.
        query_BHTD: [1, heads, T, head size].
        key_BHTD: [1, key-value heads, T, head size]; heads may be shared (grouped-query attention).
        value_BHTD: as the keys.
        attention_mask: must be None: the layout says who sees whom.
        palate_layout: the row's layout.
        scaling: of the scores; 1 / sqrt(head size) when None.
        dropout: attention dropout, zero outside training.
        sliding_window: how many positions a token sees, itself included.
        softcap: see `Scores`.
        unused: what transformers passes along; refused where it would change the result.

    Returns:
        [1, T, heads, head size] and None for the attention weights. In the layer of `palate_layout.reading`, rows
        that are not read are zero, or computed all the same.

    Raises:
        ModelError: no layout came along, or the body wants something that this path does not do.
    """
    layout, layer = _admit(module, palate_layout, attention_mask, unused)
    scale = query_BHTD.shape[-1] ** -0.5 if scaling is None else scaling
    want = Scores(scale, sliding_window, softcap, dropout)
    output = attend(query_BHTD, key_BHTD, value_BHTD, layout, layout.segments_of(layer), want)
    return output.transpose(1, 2), None


def attend(
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    layout: TreeLayout,
    segments: tuple[Segment, ...],
    want: Scores,
) -> Tensor:
    """[1, H, T, head size] by the path chosen for this layout, device and precision."""
    device, dtype, head_size, value_size = value_BHTD.device, value_BHTD.dtype, key_BHTD.shape[-1], value_BHTD.shape[-1]
    cache_key = ("path", segments is layout.segments, device, dtype, head_size, value_size, want)
    if cache_key not in layout.cache:
        path = choose_path(device, dtype, want, head_size=head_size, value_size=value_size, segments=segments)
        layout.cache[cache_key] = path.name
    match layout.cache[cache_key]:
        case "varlen":
            return attend_varlen(query_BHTD, key_BHTD, value_BHTD, layout, segments, want)
        case "cascade":
            return attend_cascade(query_BHTD, key_BHTD, value_BHTD, layout, segments, want)
        case "flex":
            return attend_flex(query_BHTD, key_BHTD, value_BHTD, layout, want)
    return attend_segments(query_BHTD, key_BHTD, value_BHTD, layout, segments, want)


def dense_tree_attention(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BHTD: Tensor,
    value_BHTD: Tensor,
    attention_mask: Tensor | None,
    *,
    palate_layout: TreeLayout | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **unused: Any,
) -> tuple[Tensor, None]:
    """The same result from one [T, T] mask: the oracle of `tree_attention`, with the same arguments."""
    layout, _ = _admit(module, palate_layout, attention_mask, unused)
    scale = query_BHTD.shape[-1] ** -0.5 if scaling is None else scaling
    want = Scores(scale, sliding_window, softcap, dropout)
    return attend_dense(query_BHTD, key_BHTD, value_BHTD, layout, want).transpose(1, 2), None


def _admit(
    module: nn.Module, layout: TreeLayout | None, attention_mask: Tensor | None, unused: dict[str, Any]
) -> tuple[TreeLayout, int]:
    if layout is None:
        raise ModelError("the body did not hand the tree layout to its attention; train it with --layout padded")
    if attention_mask is not None:
        raise ModelError("the body built an attention mask of its own beside the tree layout; use --layout padded")
    for name in ("s_aux", "position_bias", "head_mask"):
        if unused.get(name) is not None:
            raise ModelError(f"the body's attention needs {name!r}, which the tree layout does not do: --layout padded")
    if unused.get("is_causal") is False or getattr(module, "is_causal", True) is False:
        raise ModelError("the body's attention is not causal, so prompts cannot be shared: use --layout padded")
    layer = int(getattr(module, "layer_idx", -1))
    layout.layers_seen.add(layer)
    return layout, layer


def no_mask(*_args: Any, **_kwargs: Any) -> None:
    """Transformers' mask function for the tree layout: there is none to build."""
