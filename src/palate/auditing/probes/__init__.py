"""Edits of responses whose effect on the reward is known in advance, and what a reward model makes of them.

probe       what an edit is, and the three expectations
prose       where the text of a response is, and its sentences
words       English words that edits look for
same, gain, lose
            the edits, by expectation: must not move, must not gain, must lose
catalogue   all of them
run         edits of held-out responses, scored
effects     how much each edit moves the reward, with intervals
meanings    what each expectation means for training
check       findings, tables and plots
"""
