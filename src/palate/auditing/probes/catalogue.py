"""All probes, in the order in which reports show them."""

from palate.auditing.probes.gain import GAIN
from palate.auditing.probes.lose import LOSE
from palate.auditing.probes.probe import Probe
from palate.auditing.probes.same import SAME

PROBES: tuple[Probe, ...] = (*SAME, *GAIN, *LOSE)
"""Names are unique: they are keys of the JSON."""
