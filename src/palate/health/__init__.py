"""What is wrong with preference data, found before anyone trains on it.

corpus          all data as columns, texts on disk: what every check reads
columns         from groups to those columns, a chunk at a time
style, similarity
what is measured on each text
leaks, contradictions, length, artefacts, annotators, noise, tokens
the checks: functions of a corpus
thresholds      from which value a finding fails
check           all of it together
"""
