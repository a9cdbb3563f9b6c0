"""Marks of style: what can be counted in a response without knowing whether it is right.

Marks of *form* (a heading, bold, "I hope this helps") say nothing by themselves about an answer, so a preference for
one is something that a reward model should not learn. Marks of *wording* (a refusal, an apology, an exclamation mark)
may well be what people judged. Both are measured; only the first are faults when they decide.
"""

import re
from zlib import crc32

FORM = ("headers", "lists", "bold", "code", "tables", "links", "emoji", "paragraphs", "digits", "closings")
"""Counts: lines that begin as a markdown header, as an item of a list, as a row of a table; pairs of `**` and of
backticks; and so on to "I hope this helps" and its like."""

ORNAMENTS = ("headers", "bold", "emoji", "closings")
"""Those of `FORM` that no question asks for: rare ones are looked at together, too."""

WORDING = (
    "exclamations",
    "questions",
    "flattery",
    "courtesies",
    "refusals",
    "ai",
    "apologies",
    "hedges",
    "unfinished",
)
"""Counts: `!`, `?`, "great question" and its like, offers of more help, phrases that refuse, "as an AI", apologies,
"I think" and its like; and whether the end is no end of a sentence."""

OPENINGS = ("opening-word", "opening")
"""Classes, not counts: the first word, and the first two; see `opening_class`."""

STYLE = (*FORM, *WORDING, *OPENINGS)

_CLOSINGS = ("hope this helps", "hope that helps", "hope it helps")
# in the order of WORDING
_PHRASES = (
    ("great question", "good question", "excellent question"),
    ("let me know if", "feel free to", "happy to help", "you're welcome", "anything else i can"),
    (
        "i can't",
        "i cannot",
        "i won't",
        "i'm not able to",
        "i am not able to",
        "i'm unable",
        "i am unable",
        "i don't feel comfortable",
        "i'm not comfortable",
    ),
    # not the bare "as an ai", which begins "as an aid" too
    ("as an ai ", "as an ai,", "as an artificial", "language model"),
    ("sorry", "apolog"),
    ("i think", "i believe", "i'm not sure", "perhaps", "maybe"),
)

_LINE_STARTS = re.compile(r"(?m)^[ \t]*(?:(#{1,6} )|([-*+•] |\d{1,3}[.)] )|(\|))")
_EMOJI = re.compile("[\u2600-\u27bf\u2b50\u2b55\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff]")
_DIGITS = b"0123456789"
_APOSTROPHE = "\u2019"
# also the closing quotation marks of other languages, and the full stops of Chinese and Japanese
_ENDS = ".!?:;)]}>\"'`*_|~\u201d\u2019\u00bb\u2026\u3002\uff01\uff1f\u300d"


def style_of(text: str) -> tuple[float, ...]:
    r"""Each of `STYLE`, in its order.

    >>> found = dict(zip(STYLE, style_of("## Sure!\n- **2** tips\n- I'm sorry"), strict=True))
    >>> {name: value for name, value in found.items() if value and name not in OPENINGS}
    {'headers': 1, 'lists': 2, 'bold': 1.0, 'digits': 1, 'exclamations': 1, 'apologies': 1, 'unfinished': 1}
    """
    headers, lists, tables = _line_starts(text)
    lowered = text.lower().replace(_APOSTROPHE, "'")
    stripped = text.rstrip()
    plain = text.encode(errors="surrogatepass")
    fences = text.count("```")
    first, second = opening_of(text)
    return (
        headers,
        lists,
        text.count("**") / 2,
        (text.count("`") - 2 * fences) / 2,
        tables,
        text.count("http") + text.count("www."),
        0 if text.isascii() else len(_EMOJI.findall(text)),
        stripped.count("\n\n"),
        len(plain) - len(plain.translate(None, _DIGITS)),
        sum(map(lowered.count, _CLOSINGS)),
        text.count("!"),
        text.count("?"),
        *(sum(map(lowered.count, phrases)) for phrases in _PHRASES),
        _is_unfinished(stripped),
        opening_class(first),
        opening_class(second),
    )


def opening_of(text: str) -> tuple[str, str]:
    """The first word, and the first two words, in lower case and without the marks around them.

    >>> opening_of("**Sure!** Here it is"), opening_of("")
    (('sure', 'sure here'), ('', ''))
    """
    words = [word.strip("*#_`\"'([-.,:;!?") for word in text[:80].lower().replace(_APOSTROPHE, "'").split()]
    words = [word for word in words if word][:2]
    return (words[0] if words else "", " ".join(words))


def opening_class(opening: str) -> float:
    """A number for an opening, 0 for none: 24 bits, what a float32 holds exactly."""
    return float(crc32(opening.encode(errors="surrogatepass")) & 0xFFFFFF) if opening else 0.0


def _line_starts(text: str) -> tuple[int, int, int]:
    """Lines that begin as headers, items of lists, rows of tables."""
    counts = [0, 0, 0]
    for found in _LINE_STARTS.finditer(text):
        counts[(found.lastindex or 1) - 1] += 1
    return counts[0], counts[1], counts[2]


def _is_unfinished(stripped: str) -> int:
    return int(bool(stripped) and stripped[-1] not in _ENDS and not _EMOJI.match(stripped[-1]))
