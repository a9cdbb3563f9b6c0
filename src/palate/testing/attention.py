"""For tests of attention paths: packs of every kind of tree, random states, and the CUDA kernel written out slowly."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palate.records import TokenizedGroup
from palate.testing.groups import full_ranking, token_group, with_system_turn

Three = tuple[Tensor, Tensor, Tensor]


def branching_group(prompt: int, openings: Sequence[Sequence[int]], *, seed: int = 0) -> TokenizedGroup:
    """A group in which some responses share openings, and some of those share more.

    Args:
        prompt: tokens of the prompt.
        openings: per response, the number of tokens of each of its parts; two responses share their leading parts
            as long as their numbers are equal, and the last part is always a response's own.
        seed: of the token ids.

    >>> group = branching_group(2, [(3, 2), (3, 4), (3, 4, 1), (5,)])
    >>> [len(sequence) for sequence in group.sequences], group.computed_tokens
    ([7, 9, 10, 7], 21)
    """
    rng = np.random.default_rng(seed)
    start = rng.integers(3, 259, prompt)
    parts: dict[tuple[int, ...], NDArray[np.int64]] = {}
    sequences = []
    for number, sizes in enumerate(openings):
        shared = [tuple(sizes[: depth + 1]) for depth in range(len(sizes) - 1)]
        for path in shared:
            parts.setdefault(path, rng.integers(3, 200, path[-1]))
        own = ([200 + number], rng.integers(3, 200, sizes[-1] - 1))  # a first token that no other response has
        sequences.append(np.concatenate((start, *(parts[path] for path in shared), *own)).astype(np.int64))
    return TokenizedGroup(
        id=f"branching-{seed}",
        prompt_hash=f"{seed:016x}",
        sequences=tuple(sequences),
        response_starts=(prompt,) * len(sequences),
        comparisons=full_ranking(len(sequences)),
        where=f"branching:{seed + 1}",
    )


def pack_zoo() -> dict[str, tuple[TokenizedGroup, ...]]:
    """Packs of every kind: pairs, mixed numbers of responses, nothing shared, openings, trees, many responses."""
    three, five = token_group(5, (12, 1, 4), seed=1), token_group(9, (2, 3, 4, 5, 6), seed=2)
    return {
        "pairs": (token_group(20, (7, 9)), token_group(3, (1, 1), seed=1)),
        "mixed K": (token_group(20, (7, 9)), three, five),
        "nothing shared": (token_group(0, (6, 11)), token_group(4, (2,), seed=1), token_group(0, (3, 1, 5), seed=2)),
        "common opening": (token_group(4, (9, 12, 10), opening=6),),
        "tree": (branching_group(5, [(4, 3), (4, 6, 2), (7,), (4, 6, 1), (1,)]), token_group(3, (5, 2), seed=1)),
        "system turn": with_system_turn((token_group(20, (7, 9)), three, token_group(0, (4,), seed=3), five), 30),
        "K=64": (token_group(3, (4,), seed=1), token_group(17, [1 + i % 5 for i in range(64)], seed=2)),
    }


def random_states(num_rows: int, heads: tuple[int, int], size: int, *, seed: int = 0) -> Three:
    """Queries, keys and values [1, heads, rows, size] of standard normal float32, on the CPU, with gradients.

    Args:
        num_rows: T.
        heads: of queries, and of keys and values.
        size: of a head.
        seed: of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, number, num_rows, size) for number in (heads[0], heads[1], heads[1])]
    query, key, value = (torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)
    return query, key, value


def layer(index: int = 0) -> nn.Module:
    """What an attention function needs of an attention layer."""
    module = nn.Module()
    module.layer_idx = index  # type: ignore[assignment]
    return module


def emulated_varlen_attn(  # noqa: PLR0913, the kernel's signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False,
) -> Tensor:
    """`torch.nn.attention.varlen.varlen_attn` written out, anywhere and in any precision.

    Each sequence by plain softmax; key j is seen by query i of q queries and k keys when
    i + k - q - left <= j <= i + k - q + right (FlashAttention 2.1 and later: aligned at the lower right),
    a bound of -1 being none.
    """
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert enable_gqa or query.shape[1] == key.shape[1]
    assert (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max())) == (max_q, max_k)
    assert (int(cu_seq_q[-1]), int(cu_seq_k[-1])) == (len(query), len(key))
    left, right = window_size
    outputs = []
    for q0, q1, k0, k1 in zip(cu_seq_q, cu_seq_q[1:], cu_seq_k, cu_seq_k[1:], strict=False):
        share = query.shape[1] // key.shape[1]
        k, v = (t[k0:k1].repeat_interleave(share, dim=1) for t in (key, value))
        at_q = torch.arange(int(q1 - q0), device=query.device)[:, None] + int((k1 - k0) - (q1 - q0))
        at_k = torch.arange(int(k1 - k0), device=query.device)[None, :]
        seen = torch.ones(len(at_q), at_k.shape[1], dtype=torch.bool, device=query.device)
        seen &= at_k >= at_q - left if left >= 0 else seen
        seen &= at_k <= at_q + right if right >= 0 else seen
        scores = torch.einsum("qhd,khd->hqk", query[q0:q1], k) * (query.shape[-1] ** -0.5 if scale is None else scale)
        weights = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1, dtype=torch.float32).to(v.dtype)
        outputs.append(torch.einsum("hqk,khd->qhd", weights, v))
    return torch.cat(outputs)
