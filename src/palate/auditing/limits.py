"""From which value a finding of an audit warns or fails; those about training data are judged as by data checks."""

from collections.abc import Mapping

from palate.health.thresholds import LIMITS, Limit, Thresholds

AUDIT_LIMITS: dict[str, Limit] = LIMITS | {
    # id: what the value is
    "inflated": Limit(warn=0.01, fail=0.05),  # held-out accuracy beyond that on prompts that did not leak
    # probes: effect of the worst edit in a typical text, in median margins
    "probe-move": Limit(warn=0.1, fail=1.0),  # size of the effect of an edit that changes nothing
    "probe-gain": Limit(warn=0.1, fail=1.0),  # gain by an edit that adds nothing
    "probe-lose": Limit(warn=-0.1, fail=1.0),  # effect of an edit that spoils
    # battery: share of pairs lost, equal rewards counting half
    "battery": Limit(warn=0.05, fail=0.4),  # trivial pairs; a coin loses half of them
    "adversarial": Limit(warn=0.1, fail=0.5),  # fluent with a flaw against clumsy and right
    # how well it ranks
    "swapped-labels": Limit(warn=None, fail=0.499, bad="low"),  # accuracy
    "at-chance": Limit(warn=0.5, fail=None, bad="low"),  # lower end of the accuracy's interval
    "weak-slice": Limit(warn=0.03, fail=None),  # accuracy below the whole
    # what the reward is made of
    "miscalibrated": Limit(warn=0.05, fail=None),  # expected calibration error
    "length-bias": Limit(warn=0.15, fail=0.3),  # R^2 of the reward on log length
    "style-artifact": Limit(warn=0.3, fail=0.6),  # share of the margins' variance
    # mechanics; shifts are in standard deviations of the reward
    "missing-head": Limit(warn=None, fail=0.5),  # 1 where there is no head
    "dropout-on": Limit(warn=1e-4, fail=0.02),  # shift when the same text is scored again
    "batch-dependence": Limit(warn=0.01, fail=0.1),  # shift with other company
    "padding-side": Limit(warn=0.01, fail=0.1),  # shift when transformers pads
    "served-differently": Limit(warn=0.01, fail=0.1),  # shift between transformers' classifier and the last token
    "template-mismatch": Limit(warn=None, fail=0.5),  # 1 where template or tokenizer is another than in training
    "head-mismatch": Limit(warn=None, fail=0.5),  # 1 where the head is another than in training
    "head-bias": Limit(warn=1e-9, fail=None),  # size of the constant
    "non-finite": Limit(warn=None, fail=1e-9),  # share of rewards
    "constant-output": Limit(warn=None, fail=0.5),  # 1 where all rewards are one number
    "sigmoid-output": Limit(warn=None, fail=0.5),  # 1 where all rewards lie in [0, 1]
    "sigmoid-when-served": Limit(warn=0.5, fail=None),  # 1 where others will put a sigmoid on the reward
    "pad-is-eos": Limit(warn=0.5, fail=None),  # 1 where padding cannot be told from the end
    "double-bos": Limit(warn=0.5, fail=None),  # 1 where tokenizing rendered text doubles the BOS
    "missing-template": Limit(warn=0.5, fail=None),  # 1 where there is no chat template
}


def audit_thresholds(changed: Mapping[str, float] | None = None) -> Thresholds:
    """The limits of an audit, some of them set by the user; see `Thresholds`."""
    return Thresholds(changed, AUDIT_LIMITS)
