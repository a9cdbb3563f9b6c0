"""From a difference to the fault behind it: each fault predicts what such a server would answer.

A fault explains a difference when its prediction leaves no more than half precision does, and a third of the difference
at most. What has nothing to be fitted is tried before what has, because a line fits anything a little.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from palate.golden import rewards_alone
from palate.model.reward_model import RewardModel
from palate.parity_check import edits
from palate.parity_check.edits import Edit
from palate.parity_check.figures import line, rms
from palate.parity_check.noise import Noise
from palate.parity_check.texts import Text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SAMPLE = 16
_ENOUGH = 3  # texts that agree before the others can be called the long ones
_HEAD_BIAS = (
    "margins within this process are right, thresholds and other replicas are not: look for a bias that the head was "
    "not trained with, as SGLang's classes for Qwen2 and Qwen3 draw one"
)
_RAW = "export the model with palate export, whose problem_type asks for raw rewards, or send use_activation: false"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault.

    Attributes:
        fault: its short fixed name.
        message: what the server does.
        remedy: what to do about it.
        left: root mean square of what the fault does not explain, in raw rewards; None where nothing was predicted.
    """

    fault: str
    message: str
    remedy: str
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of a server.

    Attributes:
        model: that it should serve.
        texts: that it was asked for.
        ours_N, served_N: rewards; every text has both.
        alone_N: rewards of some texts asked for in a request of their own, NaN for the others.
        noise: what a difference may be.
    """

    model: RewardModel
    texts: list[Text]
    ours_N: Floats
    served_N: Floats
    alone_N: Floats
    noise: Noise

    def fit(self, predicted: Floats, at: Ints | None = None) -> float | None:
        """What a prediction leaves of the difference at some texts, if that is little enough."""
        where = np.arange(len(self.texts)) if at is None else at
        before, left = rms((self.served_N - self.ours_N)[where]), rms(self.served_N[where] - predicted)
        # Where half precision would explain the difference, another explanation has to be much better.
        ratio = 10 if self.noise.is_half(self.served_N - self.ours_N) else 3
        return left if left <= min(self.noise.typical, before / ratio) else None


def sample_of(texts: list[Text]) -> list[int]:
    """Some texts, from the shortest on, without the longest quarter: they are to be scored often."""
    order = np.argsort([len(text.ids) for text in texts], kind="stable")[: max(len(texts) * 3 // 4, 1)]
    return [int(order[at]) for at in np.unique(np.linspace(0, len(order) - 1, _SAMPLE).astype(int))]


def diagnose(case: Case) -> list[Finding]:
    """The faults that explain the difference, nearest to the client first; one finding says so where none does."""
    if np.ptp(case.served_N) <= 1e-6 * max(1.0, np.abs(case.served_N).max()):
        value = case.served_N[0]
        message = f"every text gets the same reward, {value:.6g}"
        remedy = "ask another route: SGLang's /v1/classify takes the softmax of one label, its /classify is right"
        return [Finding("constant", message, remedy)]
    found = explain(case)
    # A sigmoid that leaves more than rounding may hide a second fault.
    if (found is None and _is_probability(case)) or (found is not None and _hides_more(case, found)):
        inner = explain(replace(case, served_N=_logit(case.served_N), alone_N=_logit(case.alone_N)))
        if inner is not None:
            return [_sigmoid(None), inner]
    if found is not None:
        return [found]
    if case.noise.is_half(case.served_N - case.ours_N):
        return []
    return [_unexplained(case)]


def explain(case: Case) -> Finding | None:
    """The one fault that explains the difference."""
    left = case.fit(1 / (1 + np.exp(-np.clip(case.ours_N, -700, 700))))
    if left is not None:
        return _sigmoid(left)
    tokenizer = case.model.tokenizer
    sample = np.array(sample_of(case.texts))
    return (
        _company(case)
        or _best(case, edits.edges(tokenizer), sample)
        or _truncation(case, sample)
        or _best(case, edits.templates(tokenizer), sample)
        or _line(case)
    )


def _is_probability(case: Case) -> bool:
    inside = (case.served_N >= 0) & (case.served_N <= 1)
    return bool(inside.all() and not ((case.ours_N >= 0) & (case.ours_N <= 1)).all())


def _hides_more(case: Case, found: Finding) -> bool:
    return found.fault == "sigmoid" and found.left is not None and found.left > case.noise.exact


def _logit(values: Floats) -> Floats:
    inside = np.clip(values, 1e-7, 1 - 1e-7)
    found: Floats = np.log(inside) - np.log1p(-inside)
    return found


def _sigmoid(left: float | None) -> Finding:
    return Finding(
        "sigmoid", "the server puts a sigmoid on the reward: margins shrink where rewards are large", _RAW, left
    )


def _company(case: Case) -> Finding | None:
    """Texts that are right alone and wrong together."""
    asked = np.isfinite(case.alone_N)
    if not asked.any() or np.abs(case.alone_N - case.ours_N)[asked].max() > case.noise.largest:
        return None
    if case.fit(case.ours_N) is not None or np.abs(case.served_N - case.ours_N)[asked].max() <= case.noise.largest:
        return None
    mixed = rms(np.sort(case.served_N) - np.sort(case.ours_N))
    if mixed <= case.noise.typical:
        message = "each text gets the reward of another one: the answers of a request are not in its order"
        return Finding("order", message, "send one text a request until the server is mended", mixed)
    message = "texts get another reward in company than alone: padding is read as text, or the wrong token is scored"
    remedy = (
        "give config.json and tokenizer one pad token that is not EOS, as palate export does; or send one a request"
    )
    return Finding("company", message, remedy)


def _best(case: Case, tried: Iterable[Edit], at: Ints) -> Finding | None:
    """The edit that predicts best, of those that predict well enough."""
    found = [finding for edit in tried if (finding := _try(case, edit, at)) is not None]
    return min(found, key=lambda finding: finding.left or 0.0, default=None)


def _try(case: Case, edit: Edit, at: Ints) -> Finding | None:
    edited = [edit.apply(case.texts[n]) for n in at]
    changed = [one for one in edited if one is not None]
    if not changed:
        return None
    rescored: Iterator[float] = iter(rewards_alone(case.model, changed))
    predicted = np.array([case.ours_N[n] if one is None else next(rescored) for n, one in zip(at, edited, strict=True)])
    left = case.fit(predicted, at)
    return None if left is None else Finding(edit.fault, edit.message, edit.remedy, left)


def _truncation(case: Case, sample: Ints) -> Finding | None:
    """Long texts that differ, short ones that do not: cut somewhere in between, if all of them agree to that."""
    length_N = np.array([len(text.ids) for text in case.texts])
    differs_N = np.abs(case.served_N - case.ours_N) > case.noise.largest
    if not differs_N.any() or 0 < (~differs_N).sum() < _ENOUGH:
        return None
    low, high = int(length_N[~differs_N].max(initial=1)), int(length_N[differs_N].min())
    if low >= high:
        return None
    at = np.flatnonzero(differs_N) if not differs_N.all() else sample
    found = _best(case, edits.cuts(case.texts, low, high), at)
    if found is not None or differs_N.all():
        return found
    message = f"texts of up to {low} tokens agree, those of {high} and more do not: the server cuts them, or reads them"
    return Finding("truncation", f"{message} otherwise", "give the server the model's whole length")


def _line(case: Case) -> Finding | None:
    offset = float((case.served_N - case.ours_N).mean())
    left = case.fit(case.ours_N + offset)
    if left is not None:
        return Finding("offset", f"every reward is {offset:+.4g} away: a constant is added", _HEAD_BIAS, left)
    slope, offset = line(case.ours_N, case.served_N)
    left = case.fit(slope * case.ours_N + offset)
    if left is None:
        return None
    message = f"rewards are on another scale: {slope:.4g} times ours {offset:+.4g}"
    return Finding("scale", message, "ask for raw rewards; a z-score or a temperature is applied on the way", left)


def _unexplained(case: Case) -> Finding:
    apart = rms(case.served_N - case.ours_N) / case.ours_N.std()
    return Finding(
        "unexplained",
        f"rewards differ by {apart:.2g} standard deviations, and none of the known faults predicts them",
        "compare the weights, the tokenizer and the chat template that the server loads with those of this directory",
    )
