"""Who made the labels, and how far they agree.

check           the findings
ballots         votes as the other modules count them
agreement       with each other, and the ceiling that this puts on accuracy
voters          each with the others
habits          sides and speed
"""
