"""What training data shares with held-out data, with benchmarks, and with itself.

check           the findings
repeats         within the data
shared          with held-out data
turned          responses chosen on one side and rejected on the other
contamination   with benchmarks, by runs of words
"""
