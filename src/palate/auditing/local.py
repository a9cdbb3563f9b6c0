"""A checkpoint in this process as a scorer, whose rewards are kept between audits.

A reward depends on the weights, the template and tokenizer, the length limit, the precision and the text: their hash
is the name under which it is kept, so an audit that is run again, or with more data, computes only what is new. The
same holds of the hidden state that the reward is read from, where a check asks for it.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from palate.auditing.scorer import Floats
from palate.data.render import tokenize_each
from palate.model.contract import package_versions, template_hash, tokenizer_hash, weights_hash
from palate.model.reward_model import RewardModel
from palate.records import DroppedRow, PreferenceGroup, TokenizedGroup
from palate.scoring import ScoringRun, score_groups

States = NDArray[np.float32]
"""Pooled hidden states of a group's responses, [K, D]: what the head reads."""
_KEPT_EVERY = 1024  # groups; what an interrupted audit loses


class LocalScorer:
    """A reward model through palate's packs, each prompt computed once.

    Args:
        model: the reward model.
        name: its directory or id.
        tokens_per_pack: budget of one forward pass.
        memory: where rewards are kept; None keeps none.
        on_progress: told how many groups are done, and whether they were only looked up.
    """

    def __init__(
        self,
        model: RewardModel,
        name: str,
        *,
        tokens_per_pack: int = 4096,
        memory: "RewardMemory | None" = None,
        on_progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        self.model = model
        self._name = name
        self._tokens_per_pack = tokens_per_pack
        self._memory = memory
        self._on_progress = on_progress
        self.over_long = 0
        """Groups that had no reward because a sequence was too long."""

    @property
    def name(self) -> str:
        """Directory or id."""
        return self._name

    def score(self, groups: Sequence[PreferenceGroup]) -> list[Floats]:
        """See `Scorer`; NaN for groups with a sequence of more than the model's `max_length` tokens."""
        keys = [group_key(group) for group in groups]
        known = self._memory.recall(keys) if self._memory is not None else {}
        self._on_progress(sum(key in known for key in keys))
        new = {key: group for key, group in zip(keys, groups, strict=True) if key not in known}
        computed: dict[str, Floats] = {}
        for at in range(0, len(new), _KEPT_EVERY):
            part = list(new)[at : at + _KEPT_EVERY]
            rewards = dict(zip(part, self._compute([new[key] for key in part]), strict=True))
            if self._memory is not None:
                self._memory.keep(rewards)
            computed |= rewards
        results = [known[key] if key in known else computed[key] for key in keys]
        self.over_long += sum(bool(np.isnan(one).all()) for one in results)
        return results

    def score_with_states(self, groups: Sequence[PreferenceGroup]) -> tuple[list[Floats], list[States]]:
        """Rewards [K] and pooled states [K, D] of each group, from one forward pass; NaN where there is no reward.

        A group whose reward is known but not its states is computed again.
        """
        keys = [group_key(group) for group in groups]
        known = self._memory.recall_states(keys) if self._memory is not None else {}
        new = [group for key, group in zip(keys, groups, strict=True) if key not in known]
        rows = LocalScorer(self.model, self._name, tokens_per_pack=self._tokens_per_pack, on_progress=self._on_progress)
        with _states_for_rewards(self.model) as seen:
            places = rows.score(new)
        reward_N, state_ND = seen.gathered(self.model.head.score.in_features)
        computed: dict[str, tuple[Floats, States]] = {}
        for group, place_K in zip(new, places, strict=True):
            row_K = np.nan_to_num(place_K, nan=-1).astype(np.int64)  # -1: the NaN at the end
            computed[group_key(group)] = reward_N[row_K], state_ND[row_K]
        if self._memory is not None:
            self._memory.keep_states(computed)
        self._on_progress(len(groups) - len(new))
        results = [known[key] if key in known else computed[key] for key in keys]
        self.over_long += sum(bool(np.isnan(rewards).all()) for rewards, _ in results)
        return [rewards for rewards, _ in results], [states for _, states in results]

    def _compute(self, groups: list[PreferenceGroup]) -> list[Floats]:
        results = list(tokenize_each(groups, self.model.tokenizer, max_length=self.model.max_length, over_long="drop"))
        self._on_progress(sum(isinstance(result, DroppedRow) for result in results))
        fits = (result for result in results if isinstance(result, TokenizedGroup))
        rewards = score_groups(
            self.model,
            fits,
            tokens_per_pack=self._tokens_per_pack,
            on_progress=self._on_progress,
            require_finite=False,
            run=ScoringRun(),
        )
        return [
            np.full(len(group.responses), np.nan) if isinstance(result, DroppedRow) else _numbers(next(rewards))
            for group, result in zip(groups, results, strict=True)
        ]


def _numbers(rewards: NDArray[np.float32]) -> Floats:
    """What the model computed. Not-a-number becomes infinity: NaN is kept for texts that were not computed."""
    return np.where(np.isnan(rewards), np.inf, rewards.astype(np.float64))


class _Seen:
    """What went into the head and what came out of it, a forward pass at a time."""

    def __init__(self) -> None:
        self.rewards: list[Tensor] = []
        self.states: list[Tensor] = []
        self.rows = 0

    def keep(self, _head: nn.Module, inputs: tuple[Tensor, ...], reward_N: Tensor) -> Tensor:
        """Remember both; in place of the rewards go their row numbers, which say what belongs to which response."""
        self.rewards.append(reward_N.detach().float().cpu())
        self.states.append(inputs[0].detach().float().cpu())
        first, self.rows = self.rows, self.rows + len(reward_N)
        # float32 holds whole numbers up to 2^24, more responses than fit into memory with their states
        return torch.arange(first, self.rows, dtype=torch.float32, device=reward_N.device)

    def gathered(self, size: int) -> tuple[Floats, States]:
        """Rewards [N + 1] and states [N + 1, D], in the order of passes, and a row of NaN."""
        reward_N = np.concatenate([*(_numbers(rewards.numpy()) for rewards in self.rewards), [np.nan]])
        return reward_N, torch.cat([*self.states, torch.full((1, size), torch.nan)]).numpy()


@contextmanager
def _states_for_rewards(model: RewardModel) -> Iterator[_Seen]:
    """While it is open, the model's rewards are row numbers of what is gathered.

    Scoring packs, cuts and orders as it likes; whatever it does with a reward it does with a row number, and no second
    way of scoring is needed to get at the states.
    """
    seen = _Seen()
    hook = model.head.register_forward_hook(seen.keep)
    try:
        yield seen
    finally:
        hook.remove()


def group_key(group: PreferenceGroup) -> str:
    """Identity of a prompt and its responses, roles and all."""
    turns = [[(m.role, m.content) for m in conversation] for conversation in (group.prompt, *group.responses)]
    return hashlib.sha256(json.dumps(turns).encode()).hexdigest()


def model_key(model: RewardModel) -> str:
    """Identity of everything but the text that a reward depends on."""
    parts = (
        weights_hash(model.backbone.state_dict()),
        _own_hash(model.head),
        _own_hash(model.pooling),
        template_hash(model.tokenizer),
        tokenizer_hash(model.tokenizer),
        model.pooling_name,
        str(model.max_length),
        str(model.compute_dtype),
        json.dumps(package_versions(), sort_keys=True),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _own_hash(module: nn.Module) -> str:
    """Of all that a module computes with: weights, biases, queries, and buffers that are not saved."""
    return weights_hash({**dict(module.named_parameters()), **dict(module.named_buffers())})


class RewardMemory:
    """Rewards of one model on disk, in a small database under palate's cache folder.

    Args:
        folder: where the databases lie.
        key: of the model, see `model_key`.
    """

    def __init__(self, folder: Path, key: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / f"{key[:32]}.sqlite", timeout=60)
        self._database.execute("CREATE TABLE IF NOT EXISTS rewards (key TEXT PRIMARY KEY, rewards BLOB)")
        self._database.execute("CREATE TABLE IF NOT EXISTS states (key TEXT PRIMARY KEY, states BLOB)")

    def recall(self, keys: Sequence[str]) -> dict[str, Floats]:
        """The rewards that are known."""
        found: dict[str, Floats] = {}
        for key in keys:
            row = self._database.execute("SELECT rewards FROM rewards WHERE key = ?", (key,)).fetchone()
            if row is not None:
                found[key] = np.frombuffer(row[0], np.float64)
        return found

    def keep(self, rewards: dict[str, Floats]) -> None:
        """Remember them, all or none."""
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO rewards VALUES (?, ?)",
                [(key, np.asarray(value, np.float64).tobytes()) for key, value in rewards.items()],
            )

    def recall_states(self, keys: Sequence[str]) -> dict[str, tuple[Floats, States]]:
        """Rewards and states, of groups of which both are known."""
        found: dict[str, tuple[Floats, States]] = {}
        for key, rewards in self.recall(keys).items():
            row = self._database.execute("SELECT states FROM states WHERE key = ?", (key,)).fetchone()
            if row is not None:
                found[key] = rewards, np.frombuffer(row[0], np.float32).reshape(len(rewards), -1)
        return found

    def keep_states(self, computed: dict[str, tuple[Floats, States]]) -> None:
        """Remember both, all or none."""
        self.keep({key: rewards for key, (rewards, _) in computed.items()})
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO states VALUES (?, ?)",
                [(key, np.asarray(states, np.float32).tobytes()) for key, (_, states) in computed.items()],
            )
