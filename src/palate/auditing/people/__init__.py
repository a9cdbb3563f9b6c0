"""Annotators in the reward: whom the model agrees with, whom it has seen, and whether it knows who they are.

votes       held-out votes that a reward can agree with
ability     agreement with each annotator, drawn towards the common one
unseen      agreement on rows, prompts and annotators that training had, and on those that it had not
reading     annotators told from hidden states
check       findings, tables and plots
"""
