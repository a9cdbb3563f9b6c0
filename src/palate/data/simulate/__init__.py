"""The built-in preference set: made, not collected, with the truth beside it.

Other people's data cannot be shipped, and real data has no known truth. This set is drawn from a seed: short
questions whose right answers a program can check, responses that are right or spoiled in a known way, and
votes of simulated annotators of stated accuracy and bias. Flaws of real data can be planted at a stated rate,
so that a check which claims to find them can be held to it.

It is built to make a model read. Right and spoiled responses are said in the same words at the same lengths,
so neither length nor word counts tell them apart, while whether an answer belongs to its question, agrees
with itself and stands in order is plain to a language model. About a seventh of the pairs is hard: a sum off by
one, a neighbouring date.

    truth        what is known about a set, and the flaws that can be asked for
    task         one question with its ways of being answered
    arithmetic, units, dates, lists, strings, facts, passages, formats, manners, refusals, missing
                 the families of questions
    defects      the ways to spoil a response, and what each is worth
    annotators   votes
    flaws        planted marks and copies
    compose      all of it together
    files        sets as JSON lines
"""

from palate.data.simulate.annotators import Annotators
from palate.data.simulate.compose import FAMILIES, simulate
from palate.data.simulate.files import read_qualities, truth_path, write_jsonl, write_truth
from palate.data.simulate.truth import (
    ComparisonTruth,
    Flaws,
    GroupTruth,
    PlantedCounts,
    ResponseTruth,
    SimulatedSet,
)

__all__ = [
    "FAMILIES",
    "Annotators",
    "ComparisonTruth",
    "Flaws",
    "GroupTruth",
    "PlantedCounts",
    "ResponseTruth",
    "SimulatedSet",
    "read_qualities",
    "simulate",
    "truth_path",
    "write_jsonl",
    "write_truth",
]
