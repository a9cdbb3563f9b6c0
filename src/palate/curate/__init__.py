"""Mending preference data: what the checks of `palate.health` find, these commands take out or make explicit.

Nothing here invents data. A row that goes in comes out with another label, on another side, with another weight, or
not at all, and then it is counted and listed. Results are files of palate's own rows, so that one command's output is
the next one's input, and every file can be trained on, checked or aggregated again.

aggregate       several votes on each comparison to one label
tally           those votes as columns
labels          what a method gives; majority and soft labels
crowd           Dawid-Skene and MACE
bradley_terry   noisy Bradley-Terry
split           sides that share nothing
manifest        what a split promised, verified by whoever uses it
balance         the length bias taken out
"""
