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
    "battery": Limit(warn=0.05, fail=0.5),  # trivial pairs; worse than a coin, which ignorance alone is not
    "adversarial": Limit(warn=0.1, fail=0.7),  # fluent with a flaw against clumsy and right: goes by sound alone
    # how well it ranks
    "swapped-labels": Limit(warn=None, fail=0.499, bad="low"),  # accuracy
    "at-chance": Limit(warn=0.5, fail=None, bad="low"),  # lower end of the accuracy's interval
    "weak-slice": Limit(warn=0.03, fail=None),  # accuracy below the whole
    # choosing the best of n: judged by the harmless end of an interval over prompts
    "reward-hacking": Limit(warn=1e-6, fail=0.1),  # how far gold falls after its peak, in its standard deviations
    "hollow-gain": Limit(warn=0.25, fail=0.1, bad="low"),  # share of the gold that could be gained
    # what the reward is made of
    "miscalibrated": Limit(warn=0.05, fail=None),  # expected calibration error
    "length-bias": Limit(warn=0.15, fail=0.3),  # R^2 of the reward on log length
    "style-artifact": Limit(warn=0.3, fail=0.6),  # share of the margins' variance
    "top-pattern": Limit(warn=0.1, fail=None),  # how much oftener than people the model prefers it
    # policy outputs
    "distribution-shift": Limit(warn=0.1, fail=0.5),  # share too far out beyond the nominal; half: mostly guesses
    "response-shift": Limit(warn=0.3, fail=None),  # KS; a policy that writes its own way is no fault in itself
    "prompt-shift": Limit(warn=0.3, fail=None),  # KS; nor are other prompts, but they explain other responses
    # annotators; agreement with votes
    "annotator-gap": Limit(warn=0.1, fail=None),  # with one annotator below that with others on the same pairs
    "annotators-seen": Limit(warn=0.02, fail=None),  # with those of the training data beyond that with others
    "annotator-in-state": Limit(warn=0.05, fail=None),  # balanced accuracy beyond what chance gives
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
    "exploding-reward": Limit(warn=100.0, fail=1000.0),  # the largest reward's size
    "truncation": Limit(warn=0.01, fail=0.5),  # share of texts that are cut silently, or too long for a reward
    "refused": Limit(warn=1e-9, fail=0.5),  # share of texts that a server gives no reward, whatever their length
    "constant-output": Limit(warn=None, fail=0.5),  # 1 where all rewards are one number
    "sigmoid-output": Limit(warn=0.1, fail=0.5),  # what all rewards span, where all lie in [0, 1]
    "sigmoid-when-served": Limit(warn=0.5, fail=None),  # 1 where others will put a sigmoid on the reward
    "pad-is-eos": Limit(warn=0.5, fail=None),  # 1 where padding cannot be told from the end
    "double-bos": Limit(warn=0.5, fail=None),  # 1 where tokenizing rendered text doubles the BOS
    "missing-template": Limit(warn=0.5, fail=None),  # 1 where there is no chat template
}


def audit_thresholds(changed: Mapping[str, float] | None = None) -> Thresholds:
    """The limits of an audit, some of them set by the user; see `Thresholds`."""
    return Thresholds(changed, AUDIT_LIMITS)


COMPARE_LIMITS: dict[str, Limit] = {
    # id: what the value is; what --margin decides has no entry
    "unscored": Limit(warn=1e-9, fail=0.01),  # share of pairs that only the candidate gives no reward
    "worse-slice": Limit(warn=None, fail=0.05, bad="low"),  # p-value after Holm's correction
    "battery-worse": Limit(warn=1e-9, fail=None),  # share of hand-written pairs lost on balance
    "longer-bias": Limit(warn=0.05, fail=None),  # R^2 of the reward on log length within prompts, beyond the other's
}


def compare_thresholds(changed: Mapping[str, float] | None = None) -> Thresholds:
    """The limits of a comparison of two models, some of them set by the user; see `Thresholds`."""
    return Thresholds(changed, COMPARE_LIMITS)
