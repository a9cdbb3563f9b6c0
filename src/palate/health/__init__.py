"""What is wrong with preference data, found before anyone trains on it.

    check           all checks over one set of files, as one report
    corpus          all data as columns, texts on disk: what every check reads
    columns         from groups to those columns, a chunk at a time
    thresholds      from which value a finding warns or fails
    pairs           the comparisons with a right answer
    scores          rewards of a model for the same data
    parts           one check made of several

and the checks, functions of a corpus:

    rows, tokens    what cannot be read or rendered, lengths
    leaks, contradictions, shortcuts, noise, annotators
                    a folder each
    texts           what all of them measure on texts
"""
