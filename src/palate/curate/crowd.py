"""Models of who is reliable, fitted by crowd-kit: Dawid-Skene and MACE.

Both see three verdicts, a tie among them, as classes without an order, and estimate at once what is right and how each
annotator goes wrong. They need annotators who vote often.

Which response is the first class? The one that most votes saw first, where they say so, so that a leaning to one side
can be told from judgement; else the one that stands first in the file, which often is the same. Only where that one
wins suspiciously often does a coin decide: many files list the chosen response first, and then judgement looks like a
habit (on simulated votes sorted that way, MACE is right 0.69 of the time instead of 0.79). The order is worth a lot
where it is real: on UKPConvArg1, MACE gives 99.7 % of the pairs their published label, with coins 96.4 %.
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palate.curate.labels import Labels, most_likely
from palate.curate.tally import HIGH, LOW, TIE, Tally
from palate.errors import PalateError
from palate.metrics import vote_counts

_RESTARTS = 3  # of MACE; on UKPConvArg1 they end within 1 log unit of each other
_SUSPICIOUS = 0.6  # share of decided comparisons that one place in the file wins; position bias alone stays below
_SIDES = ((LOW, HIGH), (HIGH, LOW))
_EXCHANGED = np.array([HIGH, LOW, TIE])


def dawid_skene(tally: Tally, seed: int = 0) -> Labels:
    """A confusion matrix for each annotator (Dawid and Skene 1979), by expectation maximisation from vote shares.

    crowd-kit's stopping rule counts the prior once for each vote instead of once for each comparison, and may stop a
    few steps early. Where annotators have few votes that is no loss: on UKPConvArg1 its 5 steps come nearer to the
    published labels than 100 do.

    Args:
        tally: the votes.
        seed: of coins.

    Raises:
        PalateError: crowd-kit is not installed.
    """
    return _fitted(tally, seed, lambda models: models.DawidSkene(n_iter=100))


def mace(tally: Tally, seed: int = 0) -> Labels:
    """Annotators who either know the verdict or answer from a habit of their own (Hovy et al. 2013), by EM.

    Fitted without priors, as the published labels of UKPConvArg1 were.

    Args:
        tally: the votes.
        seed: of coins, and of the places from which the fit starts.

    Raises:
        PalateError: crowd-kit is not installed.
    """
    # With a number, crowd-kit would begin every restart at the same place; a generator goes on.
    start = np.random.RandomState(seed)
    return _fitted(tally, seed, lambda models: models.MACE(n_restarts=_RESTARTS, method="em", random_state=start))


def _fitted(tally: Tally, seed: int, make: Callable[[Any], Any]) -> Labels:
    """Labels by one of crowd-kit's models, given its module."""
    models, pandas = _modules()
    turned_C, coins = _turned(tally, seed)
    verdict_V = np.where(turned_C[tally.comparison], _EXCHANGED[tally.verdict], tally.verdict)
    # In order of appearance, as comparisons and annotators are: MACE numbers labels so in one place and sorts them in
    # another, and takes one for the other where the two orders differ.
    verdicts, place, code_V = np.unique(verdict_V, return_index=True, return_inverse=True)
    appearance = np.argsort(place)
    label_V = np.argsort(appearance)[code_V]
    table = pandas.DataFrame({"task": tally.comparison, "worker": tally.annotator, "label": label_V})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pandas, about how crowd-kit calls it
        found = make(models).fit_predict_proba(table).reindex(range(len(tally.counts)))
    posterior_CK = np.zeros((len(tally.counts), 3))
    for column in found.columns:
        posterior_CK[:, verdicts[appearance[column]]] = found[column].to_numpy()
    return most_likely(np.where(turned_C[:, None], posterior_CK[:, _EXCHANGED], posterior_CK), coins)


def _turned(tally: Tally, seed: int) -> tuple[NDArray[np.bool_], int]:
    """[C], whether the response of higher index is the first class, and for how many of them a coin decided."""
    known_V = tally.first >= 0
    first_C2 = vote_counts(tally.comparison[known_V], tally.first[known_V], len(tally.counts), 2)
    unknown_C = first_C2[:, LOW] == first_C2[:, HIGH]
    turned_C = first_C2[:, HIGH] > first_C2[:, LOW]
    wins = [np.count_nonzero(tally.counts[unknown_C, one] > tally.counts[unknown_C, other]) for one, other in _SIDES]
    if max(wins) <= _SUSPICIOUS * sum(wins):
        return turned_C, 0
    coin_C = np.random.default_rng(seed).random(len(tally.counts)) < 0.5
    return np.where(unknown_C, coin_C, turned_C), int(np.count_nonzero(unknown_C))


def _modules() -> tuple[Any, Any]:
    try:
        return importlib.import_module("crowdkit.aggregation"), importlib.import_module("pandas")
    except ImportError as error:
        message = "this method needs crowd-kit, which is not installed: pip install 'palate[data]'"
        raise PalateError(message) from error
