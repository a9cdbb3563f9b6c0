"""How many labels are wrong, and which, from margins of a model that has not been fitted to them.

A better response wins with the odds that the model's margin says, up to a scale a, and a share e of the labels has been
turned round whatever they say. A label then agrees with a margin m (of the labelled winner over the loser) with

    P = e + (1 - 2 e) sigma(a m),

and a and e are found by maximum likelihood: a calibrates the model, and e is how far from 1 the agreement stays where
the model is surest. Source: Copas (1988), Binary regression models for contaminated data, JRSS B 50. Confident learning
(Northcutt et al. 2021) counts the labels that a calibrated model is sure are wrong instead, and thereby takes a weak
model's own errors for the labels': on built-in sets of 2,000 pairs with 0.04, 0.05 and 0.12 wrong labels it gives
0.17, 0.18 and 0.25 with the n-gram baseline's margins, where the likelihood gives 0.03, 0.05 and 0.12.

Shape legend: D labels with a margin.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import betainc, expit

from palate.health.tables import Floats, Ints

_MOST = 0.49  # at one half a label says nothing, and a is anything
_STARTS = ((1.0, 0.03, 0.03), (3.0, 0.1, 0.1))  # scale, even, contested
_RESAMPLES, _RESAMPLED = 200, 20_000


@dataclass(frozen=True, slots=True)
class FlipModel:
    """The fit.

    Attributes:
        scale: a, log-odds for each unit of margin.
        rate: e, the share of labels turned round, averaged over the labels.
        low, high: its 95 % interval from resampled prompts.
        contested: the part of e that goes with how contested the labels are.
    """

    scale: float
    rate: float
    low: float
    high: float
    contested: float = 0.0


def fit_flips(margin_D: Floats, prompt_D: Ints, contested_D: Floats | None = None) -> FlipModel:
    """Scale of the margins and share of wrong labels.

    Args:
        margin_D: out of fold, in whatever units; not all 0.
        prompt_D: pairs of a prompt are resampled together; where there is one prompt only, labels are.
        contested_D: how much likelier than others each label is wrong by what else is known of it, such as its votes,
            with mean 1. One part of e, itself fitted, is proportional to it, and the other the same for all: people
            disagree about some labels, and others are turned round by mistake.
    """
    unit = float(np.sqrt(np.square(margin_D).mean()))
    data = _Data(margin_D / unit, contested_D, np.ones_like(margin_D))
    best = min((_maximise(data, start) for start in _STARTS), key=lambda found: found.loss)
    low, high = np.quantile(_resampled_rates(data, prompt_D, best), (0.025, 0.975))
    return FlipModel(
        scale=best.scale / unit,
        rate=best.even + best.contested,
        low=min(float(low), best.even + best.contested),
        high=max(float(high), best.even + best.contested),
        contested=best.contested,
    )


def wrong_probability(margin_D: Floats, model: FlipModel, contested_D: Floats | None = None) -> Floats:
    """[D], that the label is wrong, given the margin: e (1 - s) / (e (1 - s) + (1 - e) s) with s = sigma(a m).

    >>> fit = FlipModel(1.0, 0.1, 0.1, 0.1)
    >>> wrong_probability(np.array([-9.0, 0.0, 9.0]), fit).round(3).tolist()
    [0.999, 0.1, 0.0]
    """
    rate = _rates(model.rate - model.contested, model.contested, contested_D)
    right = expit(model.scale * margin_D)
    wrong = rate * (1 - right)
    probability: Floats = wrong / np.maximum(wrong + (1 - rate) * right, np.finfo(np.float64).tiny)
    return probability


def minority_probability(votes_for_D: Ints, votes_against_D: Ints) -> Floats:
    """[D], that most people would prefer the labelled loser, given votes of some of them.

    With nothing known of the share of people beforehand it has the distribution Beta(1 + for, 1 + against), of which
    this is the part below one half. Three votes to none leave 1/16, two to one 5/16.

    >>> minority_probability(np.array([3, 2, 0]), np.array([0, 1, 0])).tolist()
    [0.0625, 0.3125, 0.5]
    """
    found: Floats = betainc(1.0 + votes_for_D, 1.0 + votes_against_D, 0.5)
    return found


@dataclass(frozen=True, slots=True)
class _Data:
    margin_D: Floats
    contested_D: Floats | None
    weight_D: Floats


@dataclass(frozen=True, slots=True)
class _Point:
    """Where the likelihood is greatest; e of each label is `even` + `contested` times its own."""

    scale: float
    even: float
    contested: float
    loss: float


def _rates(even: float, contested: float, contested_D: Floats | None) -> Floats | float:
    """The rate e of each label."""
    return even if contested_D is None else np.minimum(_MOST, even + contested * contested_D)


def _maximise(data: _Data, start: tuple[float, float, float]) -> _Point:
    def loss(at: Floats) -> tuple[float, Floats]:
        scale, rate = np.exp(at[0]), _rates(at[1], at[2], data.contested_D)
        right_D = expit(scale * data.margin_D)
        agrees_D = np.maximum(rate + (1 - 2 * rate) * right_D, np.finfo(np.float64).tiny)
        slope_D = data.weight_D / agrees_D
        by_scale = slope_D * (1 - 2 * rate) * right_D * (1 - right_D) * data.margin_D * scale
        by_rate = slope_D * (1 - 2 * right_D)
        if data.contested_D is None:
            gradient = (by_scale.mean(), by_rate.mean(), 0.0)
        else:
            free = by_rate * (rate < _MOST)
            gradient = (by_scale.mean(), free.mean(), (free * data.contested_D).mean())
        return -float((data.weight_D * np.log(agrees_D)).mean()), -np.array(gradient)

    most = 0.0 if data.contested_D is None else _MOST
    bounds = ((-4.0, 6.0), (1e-6, _MOST), (0.0, most))
    begin = (np.log(start[0]), start[1], min(start[2], most))
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds)
    return _Point(float(np.exp(found.x[0])), float(found.x[1]), float(found.x[2]), float(found.fun))


def _resampled_rates(data: _Data, prompt_D: Ints, best: _Point) -> Floats:
    """Rates of 200 resamples of the prompts; of at most 20,000 labels, which makes the interval too wide for more."""
    rows = np.arange(len(data.margin_D))
    if len(rows) > _RESAMPLED:
        rows = np.linspace(0, len(rows), _RESAMPLED, endpoint=False).astype(np.int64)
    _, prompt = np.unique(prompt_D[rows], return_inverse=True)
    if not prompt.any():
        prompt = np.arange(len(rows))
    prompts = int(prompt.max()) + 1
    contested = None if data.contested_D is None else data.contested_D[rows]
    # a start on a bound would stay there
    start = (best.scale, max(best.even, 0.02), max(best.contested, 0.02))
    rates = []
    for drawn in np.random.default_rng(0).multinomial(prompts, np.full(prompts, 1 / prompts), size=_RESAMPLES):
        point = _maximise(_Data(data.margin_D[rows], contested, drawn[prompt].astype(np.float64)), start)
        rates.append(point.even + point.contested)
    return np.array(rates)
