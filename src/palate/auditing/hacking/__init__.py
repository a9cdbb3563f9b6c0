"""The reward-hacking budget: how far choosing the best of n by reward improves what is really wanted.

samples   answers of a policy, pooled by prompt
gold      what says how good each of them is: numbers in the file, the simulator, another reward model
curves    proxy and gold over n in standard deviations, with what they come to
check     the section of the report, and its findings
"""

from palate.auditing.hacking.check import check_hacking
from palate.auditing.hacking.curves import Curves, draw_curves
from palate.auditing.hacking.gold import LABELS, SIMULATOR, has_labels, is_model, with_qualities
from palate.auditing.hacking.samples import Samples, read_samples

__all__ = [
    "LABELS",
    "SIMULATOR",
    "Curves",
    "Samples",
    "check_hacking",
    "draw_curves",
    "has_labels",
    "is_model",
    "read_samples",
    "with_qualities",
]
