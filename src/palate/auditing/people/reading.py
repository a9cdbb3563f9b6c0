"""Whether annotators can be told from hidden states.

A state that says who labelled a pair is a state in which "what this annotator likes" is known, and a model that learned
people instead of the task has to know that. The probe is a logistic regression on the state of the response that an
annotator preferred minus that of the other, judged on prompts that it was not fitted to.

Shape legend: V votes, D hidden size, A annotators.
"""

from dataclasses import dataclass

import numpy as np

from palate.auditing.scorer import Floats
from palate.health.tables import Ints, Keys
from palate.metrics import Estimate, cluster_bootstrap, cluster_sums

ENOUGH = 20
"""Votes that an annotator needs."""
PEOPLE = 10
"""So many annotators, those with the most votes, are told apart."""
_PROMPTS, _FOLDS, _MOST, _DIRECTIONS = 20, 5, 300, 64
_SHUFFLES = 999


@dataclass(frozen=True, slots=True)
class Probe:
    """How well annotators are told apart.

    Attributes:
        accuracy: balanced: the mean over annotators of the share of their votes that are given to them; 95 % interval
            over prompts.
        chance: one over the number of annotators.
        chance_high: what 97.5 % of shuffles of the annotators stay below.
        p_value: share of shuffles that do as well.
        annotators, votes, prompts: what it was found on.
    """

    accuracy: Estimate
    chance: float
    chance_high: float
    p_value: float
    annotators: int
    votes: int
    prompts: int


def votes_to_tell(annotator: Ints, *, seed: int = 0) -> Ints:
    """Rows of the votes [V] that a probe looks at: of the `PEOPLE` busiest annotators, at most `_MOST` of each.

    Args:
        annotator: [V].
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    people, votes = np.unique(annotator, return_counts=True)
    busiest = people[np.argsort(-votes, kind="stable")][:PEOPLE]
    busiest = busiest[votes[np.searchsorted(people, busiest)] >= ENOUGH]
    drawn = [generator.permutation(np.flatnonzero(annotator == one))[:_MOST] for one in busiest]
    return np.sort(np.concatenate([np.empty(0, np.int64), *drawn]))


def probe_annotators(difference: Floats, annotator: Ints, prompt: Keys, *, seed: int = 0) -> Probe | str:
    """The probe, or why there is none.

    Shuffles put prompts in another order against the predictions, and the annotators of each prompt among each other:
    votes on a prompt, which often are of the same people, stay together.

    Args:
        difference: [V, D], state of the preferred response minus that of the other, of `votes_to_tell`.
        annotator: [V].
        prompt: [V].
        seed: of draws, folds and shuffles.
    """
    label = np.unique(annotator, return_inverse=True)[1]
    cluster = np.unique(prompt, return_inverse=True)[1]
    people, prompts = len(np.unique(label)), len(np.unique(cluster))
    if people < 2:
        return f"fewer than two annotators have {ENOUGH} votes"
    if prompts < _PROMPTS:
        return f"the votes are on {prompts} prompts; {_PROMPTS} are needed"
    together = np.argsort(cluster, kind="stable")
    label, cluster = label[together], cluster[together]
    right = _predictions(difference[together], label, cluster, seed)[:, None] == np.arange(people)
    number, generator = np.bincount(label), np.random.default_rng(seed)

    def balanced(labels: Ints) -> float:
        return float((right[np.arange(len(labels)), labels] / number[labels]).sum() / people)

    shuffles = np.array([balanced(label[_shuffled(cluster, generator)]) for _ in range(_SHUFFLES)])
    seen = balanced(label)
    hits = right[np.arange(len(label)), label]
    columns = np.eye(people)[label]
    sums = cluster_sums(np.concatenate([columns * hits[:, None], columns], axis=1), cluster.tolist())
    return Probe(
        cluster_bootstrap(_mean_of_shares, sums),
        1 / people,
        float(np.quantile(shuffles, 0.975)),
        float((1 + (shuffles >= seen - 1e-12).sum()) / (1 + _SHUFFLES)),
        people,
        len(label),
        prompts,
    )


def _shuffled(cluster: Ints, generator: np.random.Generator) -> Ints:
    """[V], prompts in another order, and the votes of each in another order; `cluster` ascends."""
    places = generator.permutation(int(cluster[-1]) + 1)
    return np.lexsort((generator.random(len(cluster)), places[cluster]))


def _predictions(difference: Floats, label: Ints, cluster: Ints, seed: int) -> Ints:
    """[V], who is thought to have cast each vote, by probes fitted to other prompts."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline

    predicted = np.zeros(len(label), np.int64)
    for fitted, judged in GroupKFold(_FOLDS, shuffle=True, random_state=seed).split(difference, label, cluster):
        kept = min(_DIRECTIONS, len(fitted) // _FOLDS, difference.shape[1])
        probe = make_pipeline(
            PCA(max(1, kept), whiten=True, random_state=seed),
            LogisticRegression(C=0.1, class_weight="balanced", max_iter=200),
        )
        predicted[judged] = probe.fit(difference[fitted], label[fitted]).predict(difference[judged])
    return predicted


def _mean_of_shares(sums: Floats) -> Floats:
    """Balanced accuracy of hits and votes [..., 2 A]; annotators without votes in a resample do not count."""
    hits, votes = np.split(sums, 2, axis=-1)
    seen = votes > 0
    shares = np.divide(hits, votes, out=np.zeros_like(hits), where=seen)
    return np.asarray(shares.sum(axis=-1) / seen.sum(axis=-1))
