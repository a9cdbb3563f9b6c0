"""Labels that are probably wrong.

check           the ranking for review, and the findings
flips           how many are wrong, and which, from the margins of a model
"""
