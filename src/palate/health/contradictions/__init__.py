"""Labels that cannot all be right.

check           the findings
conflicts       which comparisons contradict others, over all groups of a prompt
orders          whether comparisons have an order at all
"""
