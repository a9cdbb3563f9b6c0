"""How far out a hidden state lies, and how many of a policy's lie further out than the reference's own.

The distance is Mahalanobis': of the reference's mean, in units of the reference's spread. What distance is too far is
not read off a chi-square distribution, which holds for normal data whose covariance is known and is wrong many times
over at the widths of reward models, but off reference prompts that the distance was not fitted to.

Prompts fall into two halves by their hash. Each half is judged by a distance fitted to the reference prompts of the
other, and by a threshold from its own reference prompts: every prompt is used for both and none judges itself,
also where the policy answered prompts of the reference.

Shape legend: R responses, M prompts, D hidden size, d kept directions, B resamples.
"""

from dataclasses import dataclass

import numpy as np

from palate.auditing.local import States
from palate.auditing.scorer import Floats
from palate.health.tables import Ints, Keys
from palate.metrics import Estimate
from palate.metrics.intervals import percentile_estimate

NOMINAL = 0.05
"""Share of the reference that is called too far out."""
DIRECTIONS = 64
"""Most directions of the states that are looked at."""
_PROMPTS_A_DIRECTION = 3  # fewer, and the spread along a direction is mostly noise


@dataclass(frozen=True, slots=True)
class Metric:
    """Where the reference lies and how it spreads.

    Attributes:
        mean: [D].
        whitening: [D, d]; what it makes of the reference's states has unit covariance.
    """

    mean: Floats
    whitening: Floats

    def coordinates(self, state: States) -> Floats:
        """[R, d], in units of the reference's spread."""
        return np.asarray((state - self.mean) @ self.whitening)

    def distance(self, state: States) -> Floats:
        """Mahalanobis distance [R]."""
        return np.asarray(np.linalg.norm(self.coordinates(state), axis=1))


def fit_metric(state: States, prompts: int, *, most: int = DIRECTIONS, seed: int = 0) -> Metric:
    """The directions in which the states [R, D] vary most, and their covariance, shrunk.

    Principal components, at most `most` and one for every three prompts; then the covariance of Ledoit and Wolf (2004),
    A well-conditioned estimator for large-dimensional covariance matrices, J. Multivariate Analysis 88.
    """
    from sklearn.covariance import LedoitWolf
    from sklearn.decomposition import PCA

    kept = max(1, min(most, prompts // _PROMPTS_A_DIRECTION, *state.shape))
    pca = PCA(kept, random_state=seed).fit(state)
    shrunk = LedoitWolf().fit(pca.transform(state).astype(np.float64))
    # eigenvalues of zero are states without any variance, which are no direction at all
    size, turn = np.linalg.eigh(shrunk.covariance_)
    real = size > 1e-12 * max(float(size.max()), 1e-300)
    whitening = pca.components_.T @ (turn[:, real] / np.sqrt(size[real]))
    return Metric(np.asarray(pca.mean_, np.float64), np.asarray(whitening))


@dataclass(frozen=True, slots=True)
class Weighed:
    """Distances of one half of a side, each prompt counting once.

    Attributes:
        distance: [R].
        prompt: [R], code of the prompt, 0 to M - 1.
        weight: [R], one over the responses of the prompt.
    """

    distance: Floats
    prompt: Ints
    weight: Floats

    @property
    def prompts(self) -> int:
        """M."""
        return int(self.prompt.max()) + 1 if len(self.prompt) else 0


def weighed(distance: Floats, prompt: Keys) -> Weighed:
    """Each prompt counts once, whatever number of responses it has."""
    _, code, counts = np.unique(prompt, return_inverse=True, return_counts=True)
    order = np.argsort(distance, kind="stable")
    return Weighed(distance[order], code[order], 1 / counts[code[order]])


def conformal_threshold(reference: Weighed, times: Floats, nominal: float = NOMINAL) -> Floats:
    """The distance that a new prompt's response exceeds with probability `nominal` at most; [B].

    The smallest t with sum of weights at distances up to t >= (1 - nominal) (M + 1); infinite where M is too small for
    any. Source: split-conformal prediction for prompts with several responses, by pooling their distributions: Dunn,
    Wasserman and Ramdas (2023), Distribution-free prediction sets for two-layer hierarchical models, JASA 118.

    Args:
        reference: sorted by distance, as `weighed` gives it; not what the distance was fitted to.
        times: [B, M], how often each prompt counts.
        nominal: the share of the reference beyond it.
    """
    up_to = np.cumsum(times[:, reference.prompt] * reference.weight, axis=1)
    needed = (1 - nominal) * (times.sum(axis=1) + 1)
    place = (up_to < needed[:, None] - 1e-9).sum(axis=1)
    return np.asarray(np.append(reference.distance, np.inf)[place])


def beyond(policy: Weighed, threshold: Floats, times: Floats) -> Floats:
    """Weight of the responses further out than `threshold` [B], with prompts counting `times` [B, M]; [B]."""
    up_to = np.cumsum(times[:, policy.prompt] * policy.weight, axis=1)
    inside = np.searchsorted(policy.distance, threshold, side="right")
    total = times.sum(axis=1)
    return np.asarray(total - np.where(inside > 0, up_to[np.arange(len(up_to)), inside - 1], 0.0))


def outlier_share(halves: list[tuple[Weighed, Weighed]], *, num_resamples: int = 1000, seed: int = 0) -> Estimate:
    """Share of the policy's responses beyond the reference's threshold, with a 95 % interval.

    Prompts are resampled on both sides, and the threshold found anew each time: with few reference prompts the
    threshold is what is least certain. `NOMINAL` is what a policy that writes like the reference comes to.

    Args:
        halves: (reference, policy) of each half of the prompts; policy prompts in one at least.
        num_resamples: B.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    sizes = [policy.prompts for _, policy in halves]
    total = sum(sizes)
    policy_times = generator.multinomial(total, np.full(total, 1 / total), size=num_resamples)
    seen, resampled, first = 0.0, np.zeros(num_resamples), 0
    for (reference, policy), size in zip(halves, sizes, strict=True):
        if not size:
            continue
        times, first = policy_times[:, first : first + size].astype(np.float64), first + size
        prompts = reference.prompts
        once, own = np.ones((1, prompts)), np.ones((1, size))
        drawn = generator.multinomial(prompts, np.full(prompts, 1 / prompts), size=num_resamples).astype(np.float64)
        seen += float(beyond(policy, conformal_threshold(reference, once), own)[0])
        resampled += beyond(policy, conformal_threshold(reference, drawn), times)
    return percentile_estimate(seen / total, resampled / total)
