"""What the data comes to in tokens: what a maximum length would drop, and what shared prompts save."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from palate.data.render import Tokenizer
from palate.data.workers import Job, tokenize_chunks
from palate.health.thresholds import Thresholds
from palate.records import PreferenceGroup
from palate.report.findings import Check, Fact, Measure, Section, Table
from palate.report.plots import Histogram

Ints = NDArray[np.int64]
NO_LIMIT = 2**31 - 1
LIMITS = (512, 1024, 2048, 4096, 8192)
"""Maximum lengths for which the table says what would be left out."""

_WHY = (
    "A model reads tokens, and sequences beyond its maximum length have to be cut or left out. Responses that share a "
    "long prompt also share its computation: the more of a sequence is prompt, the more palate saves."
)


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of each group [G].

    Attributes:
        longest: of its longest sequence, prompt included.
        unshared: of all its sequences.
        computed: with shared openings counted once.
        own: of its sequences after their prompt.
        responses: how many sequences.
        ends: how often each token id ends a sequence, white space after it aside.
    """

    longest: Ints
    unshared: Ints
    computed: Ints
    own: Ints
    responses: Ints
    ends: dict[int, int]

    def ended_by(self, specials: Iterable[int]) -> float:
        """Share of the sequences that end with one of these tokens; 1 where there are none."""
        wanted, total = set(specials), sum(self.ends.values())
        return sum(count for token, count in self.ends.items() if token in wanted) / total if total else 1.0


def count_tokens(groups: Iterable[PreferenceGroup], tokenizer: Tokenizer, *, workers: int = 1) -> TokenCounts:
    """Render and tokenize all groups, keeping nothing but counts.

    Raises:
        DataError: the chat template refuses a row.
    """
    rows: list[NDArray[np.int64]] = []
    ends: dict[int, int] = {}
    for batch in tokenize_chunks(groups, Job(tokenizer, NO_LIMIT, "drop"), workers=workers):
        columns = batch.batch
        lengths = columns.column("lengths")
        flat = lengths.flatten().to_numpy().astype(np.int64)
        starts = columns.column("response_starts").flatten().to_numpy().astype(np.int64)
        per_group = lengths.value_lengths().to_numpy().astype(np.int64)
        first = np.concatenate([[0], np.cumsum(per_group)[:-1]])
        tokens = columns.column("tokens").flatten().to_numpy()
        for token, count in zip(*np.unique(_ends(tokens, flat, tokenizer), return_counts=True), strict=True):
            ends[int(token)] = ends.get(int(token), 0) + int(count)
        rows.append(
            np.stack(
                [
                    np.maximum.reduceat(flat, first),
                    columns.column("unshared").to_numpy(),
                    columns.column("computed").to_numpy(),
                    np.add.reduceat(flat - starts, first),
                    per_group,
                ]
            )
        )
    longest, unshared, computed, own, responses = np.concatenate([np.zeros((5, 0), np.int64), *rows], axis=1)
    return TokenCounts(longest, unshared, computed, own, responses, ends)


def _ends(tokens: Ints, lengths: Ints, tokenizer: Tokenizer) -> Ints:
    """The last token of each sequence, or the one before where it is white space, as in ChatML's closing line."""
    last = np.cumsum(lengths) - 1
    blank = [token for token in np.unique(tokens[last]).tolist() if not tokenizer.decode([token]).strip()]
    ends: Ints = tokens[last - (np.isin(tokens[last], blank) & (lengths > 1))]
    return ends


def check_tokens(
    counts: TokenCounts | None, thresholds: Thresholds, *, name: str = "", specials: Iterable[int] = (), max_length: int
) -> Check:
    """Lengths, what limits would drop, what sharing saves, and how sequences end.

    Args:
        counts: of the data; None where no tokenizer was given.
        thresholds: for `over-long` and `missing-eos`.
        name: of the tokenizer.
        specials: its special tokens.
        max_length: the limit that the finding is about.
    """
    section = Section("tokens", "Tokens", _WHY, ())
    if counts is None:
        return Check(section, skipped="no tokenizer given (--tokenizer MODEL)")
    if not len(counts.longest):
        return Check(section, skipped="no groups")
    over = float(np.mean(counts.longest > max_length))
    missing = 1 - counts.ended_by(specials)
    findings = (
        *thresholds.find(
            "over-long",
            f"{over:.1%} of the groups are longer than {max_length:,} tokens.",
            Measure(over, "share of groups"),
            cure="Raise --max-length, or take --over-long truncate-prompt; by default palate train leaves them out.",
            count=int(np.sum(counts.longest > max_length)),
        ),
        *thresholds.find(
            "missing-eos",
            f"{missing:.1%} of the sequences do not end with a special token under this chat template.",
            Measure(missing, "share of sequences"),
            cure="The reward is read at the last token; a template should close the last turn. Choose another body, or "
            "mend its chat template.",
        ),
    )
    facts: dict[str, Fact] = dict(_facts(counts, name, missing))
    limits = tuple((limit, float(np.mean(counts.longest > limit))) for limit in LIMITS)
    facts["tokens.over_long"] = {str(limit): share for limit, share in limits}
    blocks = (
        _histogram(counts, max_length),
        Table(("maximum length", "share of groups left out"), limits, "what a maximum length would leave out"),
        Table(("figure", "value"), tuple(_shown(counts)), f"tokens under {name}"),
    )
    return Check(Section(section.key, section.title, section.why, blocks), findings, facts)


def _facts(counts: TokenCounts, name: str, missing: float) -> Iterator[tuple[str, float | str]]:
    yield "tokens.tokenizer", name
    for quantile in (0.5, 0.9, 0.99, 1.0):
        yield f"tokens.longest_q{quantile * 100:.0f}", float(np.quantile(counts.longest, quantile))
    yield "tokens.unshared", int(counts.unshared.sum())
    yield "tokens.computed", int(counts.computed.sum())
    yield "tokens.saving", float(counts.unshared.sum() / counts.computed.sum())
    yield "tokens.prompt_response_ratio", _ratio(counts)
    yield "tokens.missing_eos", missing


def _shown(counts: TokenCounts) -> Iterator[tuple[str, float]]:
    yield "median of the longest sequence of a group", float(np.median(counts.longest))
    yield "longest sequence", int(counts.longest.max())
    yield "prompt tokens for one response token", _ratio(counts)
    yield "tokens of separate sequences", int(counts.unshared.sum())
    yield "tokens computed with shared prompts", int(counts.computed.sum())
    yield "saving", float(counts.unshared.sum() / counts.computed.sum())


def _ratio(counts: TokenCounts) -> float:
    return float((counts.unshared.sum() - counts.own.sum()) / max(1, counts.own.sum()))


def _histogram(counts: TokenCounts, max_length: int) -> Histogram:
    edges = np.linspace(0, max(float(counts.longest.max()), 1.0), 41)
    heights, _ = np.histogram(counts.longest, edges)
    return Histogram(
        "Longest sequence of each group",
        "tokens, prompt included",
        tuple(edges.tolist()),
        (("groups", tuple(heights.astype(float).tolist())),),
        marker=float(max_length),
        marker_label=f"maximum {max_length:,}",
    )
