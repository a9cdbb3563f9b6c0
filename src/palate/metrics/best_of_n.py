"""What the best of n samples is worth, for every n up to the number that there are.

Of n samples for a prompt, best-of-n takes the one with the highest reward. Drawing n anew for each n would be noisy and
dear; all choices of n among the samples that there are can be averaged over exactly.

Shape legend: S samples, P prompts, N values of n.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from palate.metrics.columns import Floats, finite_column
from palate.metrics.intervals import Names, cluster_codes


def best_of_n_value(proxy: ArrayLike, value: ArrayLike, prompt: Names, numbers: Sequence[int]) -> Floats:
    """Expected value of the sample with the highest proxy reward among n of a prompt's, [P, N].

    Of all C(N_p, n) choices of n among a prompt's N_p samples, C(i - 1, n - 1) have the i-th in ascending proxy reward
    as their best, so that the mean over all of them is sum_i C(i - 1, n - 1) / C(N_p, n) value_(i): unbiased, and less
    noisy than any single choice (Hilton and Gao 2022, Measuring Goodhart's law). Samples of equal proxy reward share
    their weights evenly, as if the order among them were drawn.

    Args:
        proxy: [S], what is chosen by.
        value: [S], what it is worth: gold, or the proxy itself.
        prompt: [S], names.
        numbers: values of n, each at least 1 and at most the samples of any prompt.

    Returns:
        Prompts in order of appearance.

    Raises:
        ValueError: unequal lengths, no samples, values that are not finite, or an n that does not fit.

    >>> best_of_n_value([0.0, 1.0, 2.0], [10.0, 40.0, 20.0], ["a", "a", "a"], [1, 2, 3]).round(2).tolist()
    [[23.33, 26.67, 20.0]]
    """
    proxy_S = finite_column(proxy, "proxy")
    value_S = finite_column(value, "value", len(proxy_S))
    code_S = cluster_codes(prompt, len(proxy_S))
    samples_P = np.bincount(code_S)
    if not 1 <= min(numbers) <= max(numbers) <= samples_P.min():
        raise ValueError(
            f"n is {min(numbers)} to {max(numbers)}: it must lie in [1, {samples_P.min()}], samples a prompt"
        )
    order_S = np.lexsort((proxy_S, code_S))
    proxy_S, value_S, code_S = proxy_S[order_S], value_S[order_S], code_S[order_S]
    start_P = np.cumsum(samples_P) - samples_P
    rank_S, size_S = np.arange(1, len(code_S) + 1) - start_P[code_S], samples_P[code_S]
    tied_S = np.cumsum((np.diff(code_S, prepend=-1) != 0) | (np.diff(proxy_S, prepend=np.nan) != 0)) - 1
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, samples_P.max() + 1)))])
    found = []
    for n in numbers:
        below_S = np.maximum(rank_S - n, 0)
        log_weight_S = log_factorial[rank_S - 1] - log_factorial[below_S] - log_factorial[n - 1]
        log_weight_S -= log_factorial[size_S] - log_factorial[size_S - n] - log_factorial[n]
        weight_S = np.where(rank_S >= n, np.exp(log_weight_S), 0.0)
        even_S = (np.bincount(tied_S, weights=weight_S) / np.bincount(tied_S))[tied_S]
        found.append(np.add.reduceat(even_S * value_S, start_P))
    return np.stack(found, axis=1)


def best_of_n_kl(n: ArrayLike) -> Floats:
    """Divergence of best-of-n from the policy, ln n - (n - 1)/n nats, of the shape of `n`.

    Exact for continuous rewards, and an upper bound in general (Beirami et al. 2401.01879).

    >>> best_of_n_kl([1, 2, 16]).round(3).tolist()
    [0.0, 0.193, 1.835]
    """
    number = np.asarray(n, dtype=np.float64)
    return np.asarray(np.log(number) - (number - 1) / number)


def doublings(last: int) -> NDArray[np.int64]:
    """1, 2, 4 and so on, and the last.

    >>> doublings(11).tolist()
    [1, 2, 4, 8, 11]
    """
    return np.unique([*(2**k for k in range(last.bit_length())), last])
