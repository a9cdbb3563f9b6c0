"""Whether length decides: how often the longer response is preferred, and by whom.

Annotators tend to prefer longer responses, a reward model learns that as if it were quality, and a policy trained on
its rewards writes ever longer texts (Singhal et al., 2310.03716). How much of the preference is deserved no data can
say by itself; that a model could be right so often by counting characters can be said.

Shape legend: A decided comparisons, V votes, B buckets of length difference.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from palate.health.corpus import Corpus
from palate.health.pairs import DecidedPairs, Share, decided_pairs, half_for_ties, share_of
from palate.health.tables import Floats, Ints
from palate.health.thresholds import Thresholds
from palate.report.findings import Block, Check, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Bars, Line, Lines

SHOWN_SOURCES = 20
EXAMPLES = 5
_BUCKETS = 10
_SMALLEST_BUCKET = 20  # pairs: below it an interval is as wide as the plot

_WHY = (
    "If the longer response usually wins, a reward model can be right by measuring length, and a policy trained on it "
    'learns to ramble. The closer the rule "the longer is better" comes to a coin toss, the less of that is learned.'
)


def check_length(corpus: Corpus, thresholds: Thresholds) -> Check:
    """How often the longer response wins, in all, by source and by how much longer it is, and how votes lean."""
    pairs = decided_pairs(corpus)
    if not len(pairs):
        return Check(Section("length", "Length", _WHY, ()), skipped="no comparison has a right answer")
    characters, words = (
        column[pairs.winner].astype(np.int64) - column[pairs.loser]
        for column in (corpus.responses.characters, corpus.responses.words)
    )
    longer = share_of(half_for_ties(characters), pairs.prompt)
    sources = _by_source(corpus, pairs, characters)
    votes = vote_lean(corpus)
    blocks: tuple[Block, ...] = (
        Table(
            ("measured in", "longer wins", "from", "to", "rank correlation"),
            tuple(
                (unit, share.value, share.low, share.high, rank_correlation(gap))
                for unit, gap, share in (
                    ("characters", characters, longer),
                    ("words", words, share_of(half_for_ties(words), pairs.prompt)),
                )
            ),
            f"{len(pairs):,} decided comparisons, equal lengths count half; {pairs.undecided:,} ties left out",
        ),
        *_source_bars(sources),
        *_bucket_lines(corpus, pairs, characters),
        *_vote_paragraph(votes),
    )
    facts: dict[str, Fact] = {
        "length.pairs": len(pairs),
        "length.undecided": pairs.undecided,
        "length.longer_wins": longer.value,
        "length.longer_wins_low": longer.low,
        "length.longer_wins_high": longer.high,
        "length.longer_wins_words": float(half_for_ties(words).mean()),
        "length.equal": float(np.mean(characters == 0)),
        "length.rank_correlation": rank_correlation(characters),
        "length.by_source": {name: share.to_fact() for name, share in sources},
        "length.vote_lean": votes.to_fact() if votes else None,
    }
    findings = (*_length_bias(corpus, thresholds, pairs, characters, longer), *_vote_bias(thresholds, votes))
    return Check(Section("length", "Length", _WHY, blocks), findings, facts)


def rank_correlation(difference_A: NDArray[np.generic]) -> float:
    """Spearman's correlation of difference in length with the label, over all pairs in both orders.

    In both orders, since which response is named first is arbitrary: (d, 1) and (-d, -1) for each pair. 0 where all
    lengths are equal. Source: Spearman (1904).

    >>> rank_correlation(np.array([3, 5, 9])), rank_correlation(np.array([-1, 1]))
    (0.87..., 0.0)
    """
    difference = difference_A.astype(np.float64)
    both = np.concatenate([difference, -difference])
    if not both.any():
        return 0.0
    ranks = rankdata(both)
    label = np.repeat([1.0, -1.0], len(difference_A))
    return float(np.corrcoef(ranks, label)[0, 1])


def vote_lean(corpus: Corpus) -> Share | None:
    """By how much more often votes go against the others when these prefer the shorter response than the longer one.

    Each vote is held against the other votes on its comparison, where those lead by two or more. If a share b of the
    votes goes to the longer response unread, and the others err at a rate e that does not depend on which side is
    longer, the two rates are b + (1 - b) e and (1 - b) e: their difference is b. What people deservedly prefer in
    longer responses does not enter, as long as the others are reliable. Where they are not, because they go by length
    as well, b comes out too small (0.3 as 0.2, of three votes), and where nearly all longer ones are better, so that
    agreement on a shorter one is more often a mistake, too large.

    Returns:
        The difference with a 95 % interval by the linearised variance over prompts (Särndal et al. 1992, section 5.5)
        and the number of votes; None where there are no votes to compare.
    """
    comparisons, votes = corpus.comparisons, corpus.votes
    own_V = ~corpus.groups.against[comparisons.group[votes.comparison]]
    side_V = np.where(votes.preferred < 0, 0, np.where(votes.preferred == comparisons.winner[votes.comparison], 1, -1))
    total_C = np.bincount(votes.comparison, weights=side_V, minlength=len(comparisons.group))
    others_V = total_C[votes.comparison] - side_V
    longer_C = np.sign(
        corpus.responses.characters[comparisons.winner].astype(np.int64)
        - corpus.responses.characters[comparisons.loser]
    )
    for_longer_V = np.sign(others_V) * longer_C[votes.comparison]
    used = np.flatnonzero(own_V & (side_V != 0) & (np.abs(others_V) >= 2) & (for_longer_V != 0))
    against = (side_V != np.sign(others_V))[used].astype(np.float64)
    shorter = for_longer_V[used] < 0
    if not shorter.any() or shorter.all():
        return None
    prompt = corpus.groups.prompt_key[comparisons.group[votes.comparison[used]]]
    rates = [float(against[side].mean()) for side in (shorter, ~shorter)]
    influence = np.where(shorter, (against - rates[0]) / shorter.sum(), -(against - rates[1]) / (~shorter).sum())
    half = 1.96 * _clustered_error(influence, prompt)
    lean = rates[0] - rates[1]
    return Share(lean, lean - half, lean + half, len(used))


def _clustered_error(influence_V: Floats, prompt_V: NDArray[np.uint64]) -> float:
    _, code = np.unique(prompt_V, return_inverse=True)
    return math.sqrt(float(np.square(np.bincount(code, weights=influence_V)).sum()))


def _by_source(corpus: Corpus, pairs: DecidedPairs, characters_A: Ints) -> list[tuple[str, Share]]:
    """Largest first; nothing where the data names at most one source."""
    codes, counts = np.unique(pairs.source, return_counts=True)
    if len(codes) < 2:
        return []
    shares = []
    for code in codes[np.argsort(-counts, kind="stable")]:
        own = pairs.source == code
        shares.append((corpus.sources[code] or "(none)", share_of(half_for_ties(characters_A[own]), pairs.prompt[own])))
    return shares


def _source_bars(sources: list[tuple[str, Share]]) -> tuple[Block, ...]:
    if not sources:
        return ()
    shown = sources[:SHOWN_SOURCES]
    more = f", the {SHOWN_SOURCES} largest of {len(sources):,}" if len(sources) > SHOWN_SOURCES else ""
    return (
        Bars(
            title=f"How often the longer response wins, by source{more}",
            axis="share of decided comparisons",
            names=tuple(name for name, _ in shown),
            values=tuple(share.value for _, share in shown),
            intervals=tuple((share.low, share.high) for _, share in shown),
            labels=tuple(f"{name}: {share} of {share.count:,}" for name, share in shown),
            reference=0.5,
            reference_label="a coin toss",
        ),
    )


def _bucket_lines(corpus: Corpus, pairs: DecidedPairs, characters_A: Ints) -> tuple[Block, ...]:
    """Ten buckets of as many pairs each, by how much longer the longer response is."""
    size = np.abs(characters_A)
    unequal = np.flatnonzero(size)
    count = min(_BUCKETS, len(unequal) // _SMALLEST_BUCKET)
    if count < 2:
        return ()
    edges = np.unique(np.quantile(size[unequal], np.linspace(0, 1, count + 1)[1:-1]))
    bucket = np.searchsorted(edges, size[unequal], side="right")
    shares, middles = [], []
    for number in np.unique(bucket):
        rows = unequal[bucket == number]
        shares.append(share_of(half_for_ties(characters_A[rows]), pairs.prompt[rows]))
        middles.append(float(np.median(size[rows])))
    line = Line(
        "the longer wins",
        tuple(middles),
        tuple(share.value for share in shares),
        tuple(share.low for share in shares),
        tuple(share.high for share in shares),
    )
    chance = Line("a coin toss", (middles[0], middles[-1]), (0.5, 0.5))
    title = "How often the longer response wins, by how much longer it is"
    return (Lines(title, "difference in characters", "share of comparisons", (line, chance), log_x=True),)


def _vote_paragraph(votes: Share | None) -> tuple[Block, ...]:
    if votes is None:
        return ()
    return (
        Paragraph(
            f"Of {votes.count:,} single votes whose fellow votes agree, those against the others go to the longer "
            f"response more often than to the shorter one, by {votes.value:+.1%} of the votes "
            f"[{votes.low:+.1%}, {votes.high:+.1%}]: about what share of votes length may have decided by itself."
        ),
    )


def _length_bias(
    corpus: Corpus, thresholds: Thresholds, pairs: DecidedPairs, characters_A: Ints, longer: Share
) -> tuple[Finding, ...]:
    """Either way: a preference for shorter responses is learned just as well."""
    ahead = longer.value >= 0.5
    name = "longer" if ahead else "shorter"
    share = longer if ahead else Share(1 - longer.value, 1 - longer.high, 1 - longer.low, longer.count)
    biased = np.flatnonzero((characters_A > 0) if ahead else (characters_A < 0))
    biased = biased[np.argsort(-np.abs(characters_A[biased]), kind="stable")]
    shown = biased[np.linspace(0, len(biased) // 2, min(EXAMPLES, len(biased)), dtype=np.int64, endpoint=False)]
    return thresholds.find(
        "length-bias",
        f"The {name} response is preferred in {share.value:.1%} of {len(pairs):,} decided comparisons.",
        Measure(share.value, f"accuracy of always choosing the {name} response", share.low, share.high),
        cure="Balance the data by length, or keep length out of the reward while training "
        "(palate train --length-control decorrelation).",
        command="palate data balance PREFS --out balanced.jsonl",
        count=len(biased),
        examples=tuple(
            corpus.example(int(pairs.comparison[row]), f"{abs(int(characters_A[row])):,} characters {name}")
            for row in shown
        ),
    )


def _vote_bias(thresholds: Thresholds, votes: Share | None) -> tuple[Finding, ...]:
    if votes is None:
        return ()
    return thresholds.find(
        "length-votes",
        f"About {votes.value:.1%} of the votes seem to go to the longer response whatever it says.",
        Measure(votes.value, "share of votes that length decides", votes.low, votes.high),
        cure="Tell annotators that length is no merit in itself, look at who votes for length in the section on "
        "annotators, and keep length out of the reward while training.",
        command="palate train --data PREFS --length-control covariate",
    )
