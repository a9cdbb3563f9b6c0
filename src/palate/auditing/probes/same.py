"""Edits after which a reader sees the same: the reward must not move."""

# ruff: noqa: RUF001 - typographic characters are what the patterns are about

import re
import unicodedata
from collections.abc import Mapping, Sequence

from palate.auditing.probes.probe import Edit, Probe, of_response
from palate.auditing.probes.prose import is_english, masked, pattern_edit, rewrite, rewrite_lines
from palate.auditing.probes.words import AMERICAN, BRITISH

_MARKERS = {"-": "*", "*": "+", "•": "-"}
_MARKER = re.compile(r"^([ \t]*)([-*•])(?=[ \t]+[^\s*+-])(?![ \t]+[\d.,]+[ \t]*$)", re.MULTILINE)
# formulas, sums that are written out and patches: there the sign is no mark of a list
_SIGNED = re.compile(r"\$\$|\\\[|\\begin\{|^[ \t]*\+", re.MULTILINE)
# not the possessive of "*Titanic*'s"
_OPENING_OR_CLOSING = re.compile(
    r"(?:(?:(?<=[\s(\[{—–-])|^)([\"'])(?=[\"']?[^\s.,;:!?)\]}\"'—–-]|\.\.\.)"
    r"|(?<=[*_\"'])(?<!\w[*_\"'])(?<!\w[*_]{2})([\"'])(?=\w)|([\"']))",
    re.MULTILINE,
)
_ATTRIBUTE = re.compile(r"<\w[^>\n]*=[\"']")
_PROSE = re.compile(r"[^\0]+")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_OPENING, _CLOSING = {'"': "“", "'": "‘"}, {'"': "”", "'": "’"}
_CURLY = re.compile("[‘’“”]")
_STRAIGHT = {"‘": "'", "’": "'", "“": '"', "”": '"'}
_COMPATIBLE = ("<compat>", "<wide>", "<narrow>")
_ENTITY = re.compile(r"&(?!#?\w+;)|(?<= )[<>](?= )")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# opening brackets: (100,200) is a point
_GROUPED = re.compile(r"(?<![\d.,(\[{])\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_INLINE = re.compile(r"\\\(((?:[^\n\0\\]|\\[^(\n\0])+?)\\\)")
_DISPLAY = re.compile(r"\\\[((?:[^\0\\]|\\[^\[\0])+?)\\\]")
_DISPLAY_DOLLAR = re.compile(r"\$\$([^$\0]+)\$\$")
_WRAP = re.compile(r"(.{60,90}?) (?=[^\W\d_])")
# not "organism", "realistic", "laboratory" or "humorous", which are spelt alike everywhere
_ENDING = r"(?=(?:e|ed|er|ers|es|ing|s|able|ation|ations|ful|hood|ite|ites)?\b)"
# "why don't you" has no long form in that order
_CONTRACTION = (
    r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should)n['’]t\b"
    r"(?! (?:I|you|he|she|it|we|they|the|this|that|these|those|there|my|your|his|her|our|their|people)\b)"
)


def _final_newline(text: str) -> str:
    return text.rstrip() if text[-1:].isspace() else text + "\n"


def _crlf(text: str) -> str | None:
    return None if "\r" in text else text.replace("\n", "\r\n")


def _unicode_form(text: str) -> str:
    apart = rewrite(text, _PROSE, lambda found: unicodedata.normalize("NFD", found[0]))
    return rewrite(text, _PROSE, lambda found: unicodedata.normalize("NFC", found[0])) if apart == text else apart


def _compatibility_form(text: str) -> str:
    """Not all of NFKC, which makes 22 of 2²: only characters that are another way of writing the same ones."""

    def plain(one: re.Match[str]) -> str:
        is_double = unicodedata.decomposition(one[0]).startswith(_COMPATIBLE)
        return unicodedata.normalize("NFKC", one[0]) if is_double else one[0]

    return rewrite(text, _BEYOND_ASCII, plain)


def _quotes(text: str) -> str:
    if _CURLY.search(text):
        return rewrite(text, _CURLY, lambda found: _STRAIGHT[found[0]])
    return text if _ATTRIBUTE.search(masked(text)) else rewrite(text, _OPENING_OR_CLOSING, _curly)


def _curly(found: re.Match[str]) -> str:
    """Behind a digit it is a closing mark only where one is open in the line, else feet, inches or minutes."""
    mark = found[0]
    if not found[3]:
        return _OPENING[mark]
    line = found.string[found.string.rfind("\n", 0, found.start()) + 1 : found.start()]
    is_measure = line[-1:].isdigit() and (mark == "'" or line.count(mark) % 2 == 0)
    return mark if is_measure else _CLOSING[mark]


def _html_entities(text: str) -> str:
    # there & stands between the columns
    return text if "\\begin{" in text else rewrite(text, _ENTITY, lambda found: _ENTITIES[found[0]])


def _list_markers(text: str) -> str:
    return text if _SIGNED.search(masked(text)) else rewrite(text, _MARKER, lambda found: found[1] + _MARKERS[found[2]])


def _hard_wrap(text: str) -> str:
    return rewrite_lines(text, lambda line: _WRAP.sub("\\1\n", line))


def _spelling(prompt: str, response: str, others: Sequence[str]) -> str | None:
    if not is_english("", response):  # "por favor", "le comité organise", also where the prompt is English
        return None
    american = _respelt(response, BRITISH)
    return _respelt(response, AMERICAN) if american == response else american


def _digit_groups(prompt: str, response: str, others: Sequence[str]) -> str | None:
    if not is_english("", response):  # 3,142 is a little more than three elsewhere
        return None
    return rewrite(response, _GROUPED, lambda found: found[0].replace(",", ""))


def _latex_delimiters(text: str) -> str:
    r"""Where $ stands already, \( must not become it: "$5 if $x$" is one formula."""
    prose = masked(text)
    if "$" in prose:
        return rewrite(text, _DISPLAY_DOLLAR, r"\\[\1\\]")
    inline = rewrite(text, _INLINE, r"$\1$")
    return rewrite(text, _DISPLAY, r"$$\1$$") if inline == text else inline


def _unnamed_fences(text: str) -> str:
    return re.sub(r"(?m)^([ \t]*(?:```|~~~))[\w+#.-]+[ \t]*$", r"\1", text)


def _fences(text: str) -> str | None:
    return None if "~~~" in text else re.sub(r"(?m)^([ \t]*)```(?=[^`\n]*$)", r"\1~~~", text)


def _respelt(text: str, words: Mapping[str, str]) -> str:
    return rewrite(text, re.compile(rf"\b({'|'.join(words)}){_ENDING}"), lambda found: words[found[1]])


def _probe(name: str, description: str, edit: Edit) -> Probe:
    return Probe(name, description, "must not move", edit)


SAME: tuple[Probe, ...] = (
    _probe("trailing-space", "a space at the end of every line", pattern_edit((r"(?<=[^\s\0])$", " "))),
    _probe("leading-newline", "an empty line before the response", of_response(lambda text: "\n" + text)),
    _probe("final-newline", "a line feed at the end, or the white space there taken away", of_response(_final_newline)),
    _probe("crlf", "lines end as on Windows", of_response(_crlf)),
    _probe(
        "blank-lines", "two empty lines between paragraphs for one", pattern_edit((r"(?<=\S)\n\n(?=\S)", r"\n\n\n"))
    ),
    _probe("hard-wrap", "long lines of text are wrapped", of_response(_hard_wrap)),
    _probe("double-space", "two spaces between sentences", pattern_edit((r"(?<=[.!?]) (?=\S)", "  "))),
    _probe(
        "no-break-space",
        "no-break spaces after single letters and numbers",
        pattern_edit((r"(?<=\s\w) (?=\w)|(?<=\d) (?=\w)", "\u00a0")),
    ),
    _probe(
        "zero-width-space",
        "invisible spaces at the ends of sentences",
        pattern_edit((r"(?<=[^\d\s][.!?])(?=\s|$)|(?<=[。！？])", "\u200b")),
    ),
    _probe("unicode-form", "accents and Hangul taken apart or put together", of_response(_unicode_form)),
    _probe("compatibility-form", "ligatures, full-width and other double forms", of_response(_compatibility_form)),
    _probe("quotes", "curly quotation marks for straight ones, or the other way", of_response(_quotes)),
    _probe("ellipsis", "one character for three dots, or the other way", pattern_edit((r"\.\.\.", "…"), ("…", "..."))),
    _probe(
        "dashes",
        "another dash between words",
        pattern_edit(
            (r"(?<=[^\s—]) ?— ?(?=[^\s—])", " – "), (" – ", " — "), (r"(?<=[^\W\d_]) --? (?=[^\W\d_])", " – ")
        ),
    ),
    _probe("html-entities", "&, < and > written as entities", of_response(_html_entities)),
    _probe("list-markers", "* for -, or + for *", of_response(_list_markers)),
    _probe(
        "list-numbers",
        "1) for 1., or the other way",
        pattern_edit((r"^([ \t]*\d{1,3})\.(?=[ \t])", r"\1)"), (r"^([ \t]*\d{1,3})\)(?=[ \t])", r"\1.")),
    ),
    _probe(
        "bold-marks",
        "__ for ** around bold",
        pattern_edit((r"(?<!\w)\*\*([^\s*](?:[^*\n]*[^\s*])?)\*\*(?!\w)", r"__\1__")),
    ),
    _probe("header-marks", "headers closed with #", pattern_edit((r"^(#{1,6}) (.*\w[?!:]?)$", r"\1 \2 \1"))),
    _probe("fence-language", "the language of a code block is not named", of_response(_unnamed_fences)),
    _probe("fence-marks", "~~~ for ``` around code blocks", of_response(_fences)),
    _probe(
        "latex-delimiters",
        "$ for \\( and $$ for \\[, or the other way",
        of_response(_latex_delimiters),
    ),
    _probe("boxed", "no \\boxed around an answer", pattern_edit((r"\\boxed\{([^{}\n]+)\}", r"\1"))),
    _probe("digit-groups", "1000000 for 1,000,000", _digit_groups),
    _probe("contractions", "do not for don't", pattern_edit((_CONTRACTION, r"\1 not"))),
    _probe("spelling", "British spelling for American, or the other way", _spelling),
)
"""A reader sees no difference, so the reward must stay where it is."""
