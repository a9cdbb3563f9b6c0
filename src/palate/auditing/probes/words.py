"""English words that edits look for, and what they put in their place."""

_COMMON = "the and to are that this with for you it what how can have not do be your which does from i'm i'll let's"
COMMON = frozenset(_COMMON.split())
"""Words that English texts cannot do without, and that texts in other languages have seldom if ever."""

BRITISH = {
    "color": "colour",
    "favor": "favour",
    "behavior": "behaviour",
    "flavor": "flavour",
    "neighbor": "neighbour",
    "humor": "humour",
    "labor": "labour",
    "organiz": "organis",
    "realiz": "realis",
    "recogniz": "recognis",
    "apologiz": "apologis",
    "summariz": "summaris",
    "emphasiz": "emphasis",
    "analyz": "analys",
    "traveling": "travelling",
    "gray": "grey",
}
"""American spellings, the beginnings of words, and the British ones."""

# "emphasis" and "analysis" are spelt alike on both sides
AMERICAN = {new: old for old, new in BRITISH.items() if old not in ("emphasiz", "analyz")}
"""The other way round."""

JARGON = {
    "use": "leverage",
    "help": "facilitate",
    "show": "elucidate",
    "need": "necessitate",
    "start": "initiate",
    "make": "effectuate",
    "get": "procure",
    "try": "endeavour",
    "about": "pertaining to",
    "because": "owing to the fact that",
    "many": "a multiplicity of",
    "good": "optimal",
    "way": "modality",
    "also": "furthermore",
    "but": "notwithstanding,",
}
"""Plain words and pompous ones."""

_PAIRS = (
    "more less, before after, always never, true false, high low, higher lower, increase decrease, hot cold, "
    "first last, good bad, best worst, better worse, safe dangerous, legal illegal, large small, most least, "
    "many few, with without, easy difficult, healthy unhealthy, possible impossible, early late, rich poor, add remove"
)
OPPOSITES = {one: other for pair in _PAIRS.split(", ") for one, other in (pair.split(), pair.split()[::-1])}
"""Each to its opposite, and back."""

UNITS = {
    "second": "month",
    "minute": "year",
    "hour": "decade",
    "day": "decade",
    "week": "second",
    "month": "minute",
    "year": "hour",
    "inch": "mile",
    "feet": "miles",
    "meter": "gram",
    "metre": "gram",
    "mile": "litre",
    "kilometer": "kilogram",
    "kilometre": "kilogram",
    "gram": "tonne",
    "kilogram": "metre",
    "pound": "mile",
    "ounce": "gallon",
    "cup": "gallon",
    "teaspoon": "gallon",
    "tablespoon": "gallon",
    "degree": "litre",
    "percent": "degrees",
    "dollar": "cent",
}
"""Units and wrong ones, both in the singular or, where they take no s, as they are."""

NAMES = ("Napoleon", "Norway", "Beethoven", "Toyota", "Cleopatra", "Antarctica")
"""Names that are hardly ever right."""
