"""Unit tests of a reward model: pairs written by hand, of which everybody can see which response is better.

    load     the pairs, from `pairs` and `adversarial`
    run      put to a model
    check    what it means

The pairs are palate's own and in no training set that it knows of: do not train on them.
"""

from palate.auditing.battery.check import check_battery
from palate.auditing.battery.load import BatteryPair, adversarial, battery, quick
from palate.auditing.battery.run import BatteryResult, Outcome, battery_summary, run_battery

__all__ = [
    "BatteryPair",
    "BatteryResult",
    "Outcome",
    "adversarial",
    "battery",
    "battery_summary",
    "check_battery",
    "quick",
    "run_battery",
]
