"""Held-out responses, edited and scored: what the probes are judged by.

Shape legend: P probes, S source texts, E edited texts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from palate.auditing.probes.catalogue import PROBES
from palate.auditing.probes.probe import Probe
from palate.auditing.scorer import Floats, Scorer
from palate.records import Conversation, Message, PreferenceGroup

Ints = NDArray[np.int64]

_OTHERS = 8  # responses to other prompts that an edit may use
_PER_TEXT = 20  # texts looked at for each wanted one: probes of code and mathematics find few in chat data


@dataclass(frozen=True, slots=True)
class Source:
    """One response to edit.

    Attributes:
        where: `file:line`.
        prompt_hash: texts of one prompt are not independent.
        prompt: what the user said last.
        response: the last message of the response.
    """

    where: str
    prompt_hash: str
    prompt: str
    response: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Original and edited texts with their rewards.

    Attributes:
        probes: [P].
        sources: [S], those of which at least one edit was scored.
        reward_S: of the originals; NaN where there is none.
        probe_E, source_E: rows of P and S.
        text_E: the edited responses.
        reward_E: of the edited responses; NaN where there is none.
        not_applied_P: texts that a probe was tried on and had nothing to edit in.
        looked_at: responses that probes were tried on.
        left_out: groups that gave no response, by reason.
        scored_alone: sources whose texts were scored one by one, since not all of them could be scored together.
    """

    probes: tuple[Probe, ...]
    sources: tuple[Source, ...]
    reward_S: Floats
    probe_E: Ints
    source_E: Ints
    text_E: tuple[str, ...]
    reward_E: Floats
    not_applied_P: Ints
    looked_at: int
    left_out: Mapping[str, int]
    scored_alone: int

    @property
    def gain_E(self) -> Floats:
        """Reward of the edited response minus that of its original; NaN where either has none."""
        gain: Floats = self.reward_E - self.reward_S[self.source_E]
        return gain

    @property
    def never_applied(self) -> tuple[str, ...]:
        """Names of the probes that found nothing to edit."""
        found = set(self.probe_E.tolist())
        return tuple(probe.name for number, probe in enumerate(self.probes) if number not in found)


def run_probes(
    scorer: Scorer,
    groups: Sequence[PreferenceGroup],
    *,
    most: int = 200,
    seed: int = 0,
    probes: tuple[Probe, ...] = PROBES,
) -> ProbeResult:
    """Edit the best response of held-out groups and score edits beside originals.

    Each source text is one group, [original, edit, edit, ...], so that what they share is computed once. Texts are
    taken in an order that the seed draws, and from as many prompts as there are before a second one of any.

    Args:
        scorer: the reward model.
        groups: held-out data; groups without a best response, or an empty or repeated one, are left out and counted.
        most: edited texts a probe.
        seed: of the order.
        probes: what to try.

    Raises:
        PalateError: the model or server cannot be used at all.
    """
    usable, left_out = _best_responses(groups)
    order = _order(usable, seed)
    room = np.full(len(probes), most)
    not_applied_P = np.zeros(len(probes), dtype=np.int64)
    trials: list[PreferenceGroup] = []
    sources: list[Source] = []
    edits: list[tuple[int, int, str]] = []  # probe, source, text
    for looked_at, row in enumerate(order):
        if not room.any() or looked_at == _PER_TEXT * most:
            break
        group, source = usable[row]
        others = _others(usable, order, looked_at)
        made = []
        for number in np.flatnonzero(room):
            text = probes[number].apply(source.prompt, source.response, others)
            not_applied_P[number] += text is None
            if text is not None:
                made.append((int(number), len(sources), text))
        if made:
            room[[number for number, _, _ in made]] -= 1
            edits += made
            sources.append(source)
            trials.append(_trial(group, [text for _, _, text in made]))
    else:
        looked_at = len(order)
    rewards, scored_alone = _score(scorer, trials)
    probe_E, source_E = np.array([edit[:2] for edit in edits], dtype=np.int64).reshape(-1, 2).T
    return ProbeResult(
        probes=probes,
        sources=tuple(sources),
        reward_S=np.array([one[0] for one in rewards], dtype=np.float64),
        probe_E=probe_E,
        source_E=source_E,
        text_E=tuple(text for _, _, text in edits),
        reward_E=np.concatenate([np.empty(0), *(one[1:] for one in rewards)]),
        not_applied_P=not_applied_P,
        looked_at=looked_at,
        left_out=left_out,
        scored_alone=scored_alone,
    )


def _best_responses(groups: Sequence[PreferenceGroup]) -> tuple[list[tuple[PreferenceGroup, Source]], dict[str, int]]:
    """Each group with its best response alone, and as a source; and the groups that have none, by reason."""
    usable, left_out = [], Counter[str]()
    seen = set[tuple[str, str]]()
    for group in groups:
        best = _best(group)
        response = () if best is None else group.responses[best]
        if not response:
            left_out["no comparison has a right answer"] += 1
        elif not response[-1].content.strip():
            left_out["the best response is empty"] += 1
        else:
            said = [message.content for message in (*group.prompt, *response[:-1]) if message.role == "user"]
            source = Source(group.where, group.prompt_hash, said[-1] if said else "", response[-1].content)
            if (source.prompt_hash, source.response) in seen:
                left_out["the best response is that of another group of the prompt"] += 1
                continue
            seen.add((source.prompt_hash, source.response))
            usable.append((replace(group, responses=(response,), comparisons=(), models=()), source))
    return usable, dict(left_out)


def _best(group: PreferenceGroup) -> int | None:
    """The response that wins most often, net of losses; the first of several."""
    wins = Counter[int]()
    for one in group.comparisons:
        if not one.is_tie:
            wins[one.winner] += 1
            wins[one.loser] -= 1
    return max(sorted(wins), key=lambda response: wins[response], default=None)


def _order(usable: Sequence[tuple[PreferenceGroup, Source]], seed: int) -> list[int]:
    """Rows in random order, the first text of each prompt before the second of any."""
    seen = Counter[str]()
    turn: list[tuple[int, int]] = []
    for row in np.random.default_rng(seed).permutation(len(usable)):
        prompt = usable[row][1].prompt_hash
        turn.append((seen[prompt], int(row)))
        seen[prompt] += 1
    return [row for _, row in sorted(turn, key=lambda one: one[0])]


def _others(usable: Sequence[tuple[PreferenceGroup, Source]], order: Sequence[int], at: int) -> tuple[str, ...]:
    """The responses that follow in the order and answer other prompts."""
    own = usable[order[at]][1]
    following = (usable[order[(at + step) % len(order)]][1] for step in range(1, 4 * _OTHERS))
    found = [one.response for one in following if one.prompt_hash != own.prompt_hash]
    return tuple(found[:_OTHERS])


def _trial(group: PreferenceGroup, texts: Sequence[str]) -> PreferenceGroup:
    (original,) = group.responses
    return replace(group, responses=(original, *(_ending(original, text) for text in texts)))


def _ending(response: Conversation, text: str) -> Conversation:
    return (*response[:-1], Message(response[-1].role, text))


def _score(scorer: Scorer, trials: Sequence[PreferenceGroup]) -> tuple[list[Floats], int]:
    """Rewards of each trial; where not all texts have one, as when the longest is too long, each text by itself."""
    rewards = scorer.score(trials) if trials else []
    missing = [row for row, one in enumerate(rewards) if not np.isfinite(one).all()]
    singles = [replace(trials[row], responses=(text,)) for row in missing for text in trials[row].responses]
    alone = iter(scorer.score(singles) if singles else [])
    for row in missing:
        rewards[row] = np.concatenate([next(alone) for _ in trials[row].responses])
    return rewards, len(missing)
