"""Attention over a shared prompt: the tree's path against the dense oracle, and against each sequence on its own.

python -m benchmarks.kernels --prompts 128,512,1024 --own 128,512 --responses 2,4,16
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.data import integers
from benchmarks.report import RESULTS, Report, Row, alternate, timed
from palate.packing.attention import dense_tree_attention, tree_attention
from palate.packing.batch import TreeLayout
from palate.packing.collate import collate_tree
from palate.testing.groups import token_group

TABLE = "Milliseconds of one layer"
_DENSE_COPIES = 5  # [H, T, T]: scores, the same masked, their weights, and two gradients; an estimate from above

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


class _Layer(nn.Module):
    layer_idx = 0


def tree(layout: TreeLayout) -> Attention:
    """What a run uses."""
    return lambda query, key, value: tree_attention(_Layer(), query, key, value, None, palate_layout=layout)[0]


def dense(layout: TreeLayout) -> Attention:
    """One [T, T] mask."""
    return lambda query, key, value: dense_tree_attention(_Layer(), query, key, value, None, palate_layout=layout)[0]


def separate(prompt: int, own: int, responses: int) -> Attention:
    """Every sequence with its own copy of the prompt, end to end in one row and without padding: [1, T, H, D].

    On CUDA one call of variable length, elsewhere one causal call a sequence.
    """
    length = prompt + own

    def each(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        sequences = zip(*(torch.split(state, length, dim=2) for state in (query, key, value)), strict=True)
        outputs = [F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True) for q, k, v in sequences]
        return torch.cat(outputs, dim=2).transpose(1, 2)

    def together(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        from torch.nn.attention.varlen import varlen_attn

        bounds = torch.arange(responses + 1, dtype=torch.int32, device=query.device) * length
        q, k, v = (state[0].transpose(0, 1) for state in (query, key, value))
        output: Tensor = varlen_attn(q, k, v, bounds, bounds, length, length, window_size=(-1, 0), enable_gqa=True)  # type: ignore[assignment]
        return output[None]

    return together if torch.cuda.is_available() else each


def states(rows: int, options: Namespace) -> list[Tensor]:
    """Random queries, keys and values [1, H, T, D] that want gradients."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
    made = [torch.randn(1, rows, heads, options.size) for heads in (options.heads, options.kv_heads, options.kv_heads)]
    return [state.to(device, dtype).transpose(1, 2).requires_grad_() for state in made]


def forward_and_backward(attention: Attention, inputs: list[Tensor]) -> tuple[Callable[[], float], Callable[[], float]]:
    """Two measurements: forward alone, and forward with backward."""
    upstream = torch.randn_like(attention(*inputs))

    @torch.no_grad()
    def forward() -> None:
        attention(*inputs)

    return timed(forward), timed(lambda: torch.autograd.grad(attention(*inputs), inputs, upstream))


def measure(prompt: int, own: int, responses: int, options: Namespace, report: Report) -> None:
    """All three, forward and backward, in turn."""
    group = token_group(prompt, [own] * responses, vocab_size=4096)
    layout = collate_tree([group]).to("cuda" if torch.cuda.is_available() else "cpu").layout
    assert layout is not None
    tokens, unshared = group.computed_tokens, group.unshared_tokens
    inputs = states(tokens, options)
    paths = {"tree": (tree(layout), inputs), "separate": (separate(prompt, own, responses), states(unshared, options))}
    bytes_needed = _DENSE_COPIES * options.heads * tokens**2 * 4
    if bytes_needed <= options.dense_gib * 2**30:
        paths["dense"] = (dense(layout), inputs)
    else:
        report.notes.append(
            f"prompt {prompt}, responses of {own}, K = {responses}: no dense oracle, whose scores would take about "
            f"{bytes_needed / 2**30:.2g} GiB."
        )
    tasks: dict[str, Callable[[], float]] = {}
    for name, (attention, given) in paths.items():
        tasks[f"{name}_forward"], tasks[f"{name}_both"] = forward_and_backward(attention, given)
    milliseconds = {name: 1000 * median(values) for name, values in alternate(tasks, options.rounds).items()}
    report.add(
        TABLE, **_row(prompt, own, responses, milliseconds, _error(layout, inputs) if "dense" in paths else None)
    )


def _row(prompt: int, own: int, responses: int, milliseconds: dict[str, float], error: float | None) -> Row:
    names = [f"{path}_{what}" for what in ("forward", "both") for path in ("tree", "separate", "dense")]
    score_pairs = responses * (prompt + own) ** 2
    shared_pairs = (prompt + own) ** 2 + (responses - 1) * own * (2 * prompt + own)
    return {
        "prompt": prompt,
        "response": own,
        "responses": responses,
        **{name: milliseconds.get(name) for name in names},
        "speed_up_forward": milliseconds["separate_forward"] / milliseconds["tree_forward"],
        "speed_up_both": milliseconds["separate_both"] / milliseconds["tree_both"],
        "fewer_scores": score_pairs / shared_pairs,
        "largest_error": error,
    }


def _error(layout: TreeLayout, inputs: list[Tensor]) -> float:
    """Largest difference between tree and oracle, in values and gradients."""
    ours, oracle = tree(layout)(*inputs), dense(layout)(*inputs)
    upstream = torch.randn_like(ours)
    pairs = zip(
        (ours, *torch.autograd.grad(ours, inputs, upstream)),
        (oracle, *torch.autograd.grad(oracle, inputs, upstream)),
        strict=True,
    )
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def options_of(arguments: list[str] | None = None) -> Namespace:
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prompts", type=integers, default=[128, 512, 1024], help="tokens of the prompt")
    parser.add_argument("--own", type=integers, default=[128, 512], help="tokens of each response")
    parser.add_argument("--responses", type=integers, default=[2, 4, 16], help="to the prompt")
    parser.add_argument("--heads", type=int, default=9, help="of the queries; SmolLM2-135M's")
    parser.add_argument("--kv-heads", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="of a head")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="bf16" if torch.cuda.is_available() else "fp32")
    parser.add_argument("--dense-gib", type=float, default=3.0, help="the oracle is left out above this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="small shapes: does it run, not how fast")
    options = parser.parse_args(arguments)
    if options.quick:
        options.prompts, options.own, options.responses, options.rounds, options.dense_gib = [16, 64], [8], [2], 1, 4e-4
    return options


def main(arguments: list[str] | None = None) -> None:
    options = options_of(arguments)
    torch.manual_seed(0)
    settings = {key: value for key, value in vars(options).items() if key != "out"}
    report = Report("kernels", "Attention over a shared prompt", settings, list(NOTES))
    for prompt in options.prompts:
        for own in options.own:
            for responses in options.responses:
                measure(prompt, own, responses, options, report)
                report.write(options.out)  # whoever stops a long run keeps what it measured


NOTES = [
    "Milliseconds, medians of measurements in turn; `both` is forward and backward together.",
    "`separate` computes every sequence whole, prompt included, without padding: what is left of the comparison when "
    "padding is taken out. fewer_scores: products of query and key that it has for each one of the tree, masked ones "
    "included.",
    "The tree's masks are made in the warm-up, as a body makes them once for all its layers.",
    "largest_error: tree against dense, values and gradients, on standard normal inputs.",
]

if __name__ == "__main__":
    main()
