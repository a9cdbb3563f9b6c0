"""Whether a policy writes what the reward model knows: policy outputs against the data that its labels cover.

sides       responses of one side as columns
distance    how far out a state lies, and the share of the policy's that lie too far
exchange    tests that exchange whole prompts between the sides: KS, PSI, energy distance
shift       both sides column by column
states      both sides by hidden states
compare     all of it: responses and prompts
check       findings and figures
figures     tables and plots
scored      policy outputs and the reference, read and scored
"""

from palate.auditing.drift.scored import drift_of, read_outputs, score_all
from palate.auditing.drift.sides import side_of

__all__ = ["drift_of", "read_outputs", "score_all", "side_of"]
