"""May a candidate replace an incumbent? Two reward models on the same held-out pairs.

matched        the pairs that both have rewards for, each reward on its own model's scale
accuracy       which is right more often, and whether that may be chance
parts          the same on parts of the data, Holm's correction over all of them
makeup         calibration, length and style of both
battery        the hand-written pairs put to both
disagreement   how far they agree, and the pairs on which they do not
gate           the verdict
run            from two names to three files
"""
