"""Point clouds of an audit: each point is a response or a pair, and says which when the reader points at it."""

import numpy as np
from numpy.typing import NDArray

from palate.auditing.scorer import Scored
from palate.report.plots import Scatter

MOST = 1500
"""Points of one plot."""
_PROMPT, _RESPONSE = 60, 90  # characters that are shown of each


def reward_by_length(scored: Scored, *, seed: int = 0) -> Scatter:
    """Reward of each response over the logarithm of its length, with the line that fits all of them."""
    responses = scored.corpus.responses
    rows = np.flatnonzero(np.isfinite(scored.reward_R) & ~scored.corpus.groups.against[responses.group])
    log, reward = np.log10(1 + responses.characters[rows]), scored.reward_R[rows]
    slope, intercept = np.polyfit(log, reward, 1) if np.ptp(log) > 0 else (0.0, float(reward.mean()))
    shown, drawn = _sample(len(rows), seed)
    return Scatter(
        f"Reward and length of each response{drawn}",
        "log10 of characters",
        "reward",
        tuple(log[shown].tolist()),
        tuple(reward[shown].tolist()),
        tuple(_response_label(scored, int(row)) for row in rows[shown]),
        fit=(float(slope), float(intercept)),
    )


def chosen_by_rejected(scored: Scored, *, seed: int = 0) -> Scatter:
    """Reward of the preferred response over that of the other: right above the line y = x, wrong below it."""
    labels = scored.corpus.comparisons
    rows = np.flatnonzero(scored.usable_C)
    shown, drawn = _sample(len(rows), seed)
    picked = rows[shown]
    return Scatter(
        f"Rewards of each pair: above the line the model agrees with people{drawn}",
        "reward of the rejected response",
        "reward of the chosen response",
        tuple(scored.reward_R[labels.loser[picked]].tolist()),
        tuple(scored.reward_R[labels.winner[picked]].tolist()),
        tuple(_pair_label(scored, int(row)) for row in picked),
        fit=(1.0, 0.0),
    )


def _sample(number: int, seed: int) -> tuple[NDArray[np.int64], str]:
    """Places of at most `MOST` of them, and what the title says of it."""
    if number <= MOST:
        return np.arange(number), ""
    places = np.sort(np.random.default_rng(seed).choice(number, MOST, replace=False))
    return places, f" ({MOST:,} of {number:,}, drawn at random)"


def _response_label(scored: Scored, row: int) -> str:
    corpus = scored.corpus
    prompt = _end(corpus.prompt(int(corpus.responses.group[row])))
    return f"{prompt}\n{_begin(corpus.response(row))}\nreward {scored.reward_R[row]:+.3f}"


def _pair_label(scored: Scored, row: int) -> str:
    corpus, labels = scored.corpus, scored.corpus.comparisons
    winner, loser = int(labels.winner[row]), int(labels.loser[row])
    prompt = _end(corpus.prompt(int(labels.group[row])))
    chosen, rejected = _begin(corpus.response(winner)), _begin(corpus.response(loser))
    rewards = f"margin {scored.margin_C[row]:+.3f}"
    return f"{prompt}\nchosen: {chosen}\nrejected: {rejected}\n{rewards}"


def _begin(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _RESPONSE else f"{line[:_RESPONSE]}..."


def _end(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _PROMPT else f"...{line[-_PROMPT:]}"
