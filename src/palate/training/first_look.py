"""What a run shows before it starts: one example as the model reads it, and how its first step is packed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from rich.text import Text

from palate.packing.bins import Indices
from palate.records import TokenizedGroup

_SHOWN_CHARACTERS = 400  # of either end of a long text


def rendered_example(group: TokenizedGroup, tokenizer: Any, *, pooling: str) -> Group:
    """One group as the model reads it: the shared tokens once, each response, and the scored tokens marked."""
    first = group.sequences[0]
    title = f"one example as the model reads it ({group.where or group.id}); scored tokens are in brackets"
    shared = _marked(tokenizer, first[: group.shared], _scored(pooling, len(first), group.response_starts[0]))
    lines = [Text(title, style="bold"), _shortened(shared)]
    for number, (sequence, start) in enumerate(zip(group.sequences, group.response_starts, strict=True), start=1):
        scored = _scored(pooling, len(sequence), start)
        own = _marked(
            tokenizer, sequence[group.shared :], range(scored.start - group.shared, scored.stop - group.shared)
        )
        lines.append(Text.assemble((f"response {number}: ", "cyan"), _shortened(own)))
    return Group(*lines)


def _marked(tokenizer: Any, tokens: NDArray[np.int64], scored: range) -> Text:
    """The tokens' text, those in `scored` in brackets; a lone token is quoted, since it is often a line break."""
    low, high = (min(max(end, 0), len(tokens)) for end in (scored.start, scored.stop))
    before, inside, after = (tokenizer.decode(part) for part in (tokens[:low], tokens[low:high], tokens[high:]))
    marked = f"[{inside!r}]" if len(scored) == 1 else f"[{inside}]"
    if low == high:
        marked = ""
    return Text.assemble(before, (marked, "bold black on green"), after)


def _shortened(text: Text) -> Text:
    """Its two ends, where it is long."""
    if len(text) <= 2 * _SHOWN_CHARACTERS:
        return text
    left_out = len(text) - 2 * _SHOWN_CHARACTERS
    return Text.assemble(
        text[:_SHOWN_CHARACTERS], (f" [... {left_out:,} characters ...] ", "dim"), text[-_SHOWN_CHARACTERS:]
    )


def _scored(pooling: str, length: int, start: int) -> range:
    match pooling:
        case "last":
            return range(length - 1, length)
        case "cls":
            return range(1)
        case "mean":
            return range(length)
    return range(start, length)


def batch_table(groups: Sequence[TokenizedGroup], packs: Sequence[Indices], loads: Sequence[int], budget: int) -> Table:
    """How the first optimiser step is packed: one line a pack, with what sharing and packing save.

    Args:
        groups: of the step.
        packs: positions in `groups`, none of them empty.
        loads: tokens computed of each pack.
        budget: tokens of a pack.
    """
    full = sum(loads) / sum(max(budget, load) for load in loads)
    title = f"the first step, packed: {full:.0%} of {budget:,} tokens a pack"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("pack", "groups", "responses", "comparisons", "tokens computed", "unshared", "padded"):
        table.add_column(name, justify="right")
    for number, (items, load) in enumerate(zip(packs, loads, strict=True), start=1):
        chosen = [groups[i] for i in items]
        lengths = [len(sequence) for group in chosen for sequence in group.sequences]
        table.add_row(
            str(number),
            str(len(chosen)),
            str(len(lengths)),
            str(sum(len(group.comparisons) for group in chosen)),
            f"{load:,}",
            f"{sum(lengths):,}",
            f"{max(lengths) * len(lengths):,}",
        )
    return table
