"""Edits that spoil a response: the reward must fall."""

# ruff: noqa: RUF001 - typographic characters are what the patterns are about

import re
from collections.abc import Callable, Sequence

from palate.auditing.probes.probe import Edit, Probe, dice, of_response
from palate.auditing.probes.prose import added, code_spans, is_english, masked, plain_lines, rewrite, sentences
from palate.auditing.probes.words import NAMES, OPPOSITES, UNITS

_FEWEST_SENTENCES, _FEWEST_WORDS, _FEWEST_CHARACTERS, _FEWEST_STEPS = 4, 6, 16, 3
_LONGEST_WORD = 30  # characters looked back for a space; scripts without any are cut anywhere
_LISTED_OR_NUMBER = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]|(?<![\w.,])([0-9]+(?:[.,][0-9]+)*)(?!\w)", re.MULTILINE)
_NOT = re.compile(
    r"\b(?:(is|are|was|were|can|could|will|would|should|do|does|did|has|have)(?:n['’]t|['’]t|not| not)"
    r"|(is|are|was|were|can|could|will|would|should)(?! (?:I|you|he|she|it|we|they|there|not)\b)(?= [a-z]))\b"
)
_UNIT = re.compile(rf"(?<=\d[ -])({'|'.join(UNITS)})(?=s?\b)|\b({'|'.join(UNITS)})(?=s\b)")
_NAME = re.compile(r"(?<=[\w,] )[^\W\d_]{3,}(?:[ -][^\W\d_]{3,})?")
# not "No problem!", "No single reason" or "no-code": what follows an answer is a mark, a subject or nothing
_YES_NO = re.compile(
    r"\A\W*(?:(yes)|(no))"
    r"(?=[*_\"'”’)]*\s*(?:[,.!?:;—–\n]|$)|\s+-|\s+(?:I|you|he|she|it|we|they)\b)",
    re.IGNORECASE,
)
_END = ".!?…。！？:;,"
_STEP = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]+(\S.*)$", re.MULTILINE)
_FRAGILE = re.compile(r"[)\]}:\"'](?=[^)\]}:\"'\n]*$)", re.MULTILINE)  # no semicolon: many languages do without
_INNER = re.compile(r"(?<=[^\W\d_])[^\W\d_]{2,}(?=[^\W\d_])")


def _wrong_number(text: str) -> str | None:
    values = [found[1] for found in _LISTED_OR_NUMBER.finditer(masked(text)) if found[1]]
    if not values:
        return None
    generator = dice(text)
    value = generator.choice(values)
    wrong = generator.choice([digit for digit in "123456789" if digit != value[0]]) + value[1:]
    return rewrite(text, _LISTED_OR_NUMBER, lambda found: wrong if found[1] == value else found[0])


def _wrong_name(text: str) -> str | None:
    names = [found[0] for found in _NAME.finditer(masked(text)) if found[0].istitle()]
    if not names:
        return None
    generator = dice(text)
    name = generator.choice(names)
    wrong = generator.choice([other for other in NAMES if other != name])
    return rewrite(text, re.compile(rf"\b{re.escape(name)}\b"), lambda found: wrong)


def _wrong_unit(text: str) -> str:
    return rewrite(text, _UNIT, lambda found: UNITS[found[1] or found[2]])


def _negation(text: str) -> str:
    return rewrite(text, _NOT, lambda found: found[1] or f"{found[2]} not", most=1)


def _opposites(text: str) -> str:
    pattern = re.compile(rf"\b({'|'.join(OPPOSITES)})\b")
    return rewrite(text, pattern, lambda found: OPPOSITES[found[1]])


def _yes_no(text: str) -> str | None:
    found = _YES_NO.match(text)
    if found is None:
        return None
    group = found.lastindex or 1
    return text[: found.start(group)] + ("No" if group == 1 else "Yes") + text[found.end(group) :]


def _in_english(change: Callable[[str], str | None]) -> Edit:
    return lambda prompt, response, others: change(response) if is_english(prompt, response) else None


def _shuffled_sentences(text: str) -> str | None:
    spans = plain_lines(text)
    lines = [sentences(text[start:end]) for start, end in spans]
    found = [one for line in lines for one in line[::2]]
    if len(found) < _FEWEST_SENTENCES:
        return None
    mixed = _mixed(found)
    made, end, used = [], 0, 0
    for (start, stop), line in zip(spans, lines, strict=True):
        number = len(line[::2])
        line[::2] = mixed[used : used + number]
        made += [text[end:start], *line]
        end, used = stop, used + number
    return "".join(made) + text[end:]


def _shuffled_words(text: str) -> str | None:
    parts = re.split(r"(\s+)", text.strip())
    if len(parts) == 1:  # scripts without spaces
        return "".join(_mixed(list(text))) if len(text) >= _FEWEST_CHARACTERS else None
    if len(parts[::2]) < _FEWEST_WORDS:
        return None
    parts[::2] = _mixed(parts[::2])
    return "".join(parts)


def _mixed(parts: list[str]) -> list[str]:
    mixed = dice("".join(parts)).sample(parts, len(parts))
    return mixed if mixed != parts else parts[::-1]


def _scrambled_letters(text: str) -> str:
    generator = dice(text)
    return rewrite(text, _INNER, lambda found: "".join(generator.sample(found[0], len(found[0]))))


def _cut(text: str, share: float, fewest: int) -> str | None:
    """Cut in the middle of a sentence: where the cut falls on the end of one, a word earlier."""
    body = text.strip()
    if len(body) < fewest:
        return None
    kept = body[: int(len(body) * share)]
    while " " in kept[-_LONGEST_WORD:]:
        kept = kept[: kept.rindex(" ")].rstrip()
        if not kept.endswith(tuple(".!?…。！？")):
            break
    return kept.rstrip().rstrip(_END)


def _without_middle(text: str) -> str | None:
    parts = re.split(r"(\s+)", text.strip())
    third = len(parts[::2]) // 3
    return "".join(parts[: 2 * third] + parts[-2 * third + 1 :]) if third >= _FEWEST_WORDS else None


def _looped(text: str) -> str | None:
    first = sentences(text.strip().split("\n")[0])[0]
    times = len(text) // (len(first) + 1)
    return " ".join([first] * times) if first and times > 2 else None


def _nearest(response: str, others: Sequence[str]) -> str | None:
    """Of about the same length, so that the length is not what the model sees."""
    return min(others, key=lambda other: abs(len(other) - len(response)), default=None)


def _other_answer(prompt: str, response: str, others: Sequence[str]) -> str | None:
    return _nearest(response, others)


def _spliced(prompt: str, response: str, others: Sequence[str]) -> str | None:
    other = _nearest(response, others)
    if other is None or min(len(response), len(other)) < _FEWEST_CHARACTERS:
        return None
    begin, end = response[: len(response) // 2], other[len(other) // 2 :]
    return f"{begin.rpartition(' ')[0] or begin} {end.partition(' ')[2] or end}"


def _broken_code(text: str) -> str | None:
    places = [found.start() for start, end in code_spans(text) for found in _FRAGILE.finditer(text, start, end)]
    if not places:
        return None
    at = dice(text).choice(places)
    return text[:at] + text[at + 1 :]


def _reversed_steps(text: str) -> str | None:
    steps = list(_STEP.finditer(masked(text)))
    if len(steps) < _FEWEST_STEPS:
        return None
    made, end = [], 0
    for step, other in zip(steps, reversed(steps), strict=True):
        made += [text[end : step.start(1)], text[other.start(1) : other.end(1)]]
        end = step.end(1)
    return "".join(made) + text[end:]


def _probe(name: str, description: str, edit: Edit) -> Probe:
    return Probe(name, description, "must lose", edit)


LOSE: tuple[Probe, ...] = (
    _probe("wrong-number", "one number is another one", of_response(_wrong_number)),
    _probe("wrong-unit", "units are others: years for minutes", _in_english(_wrong_unit)),
    _probe("wrong-name", "one name is another one", of_response(_wrong_name)),
    _probe("negation", "one statement is denied, or no longer", _in_english(_negation)),
    _probe("opposites", "words turned into their opposites: less for more", _in_english(_opposites)),
    _probe("yes-no", "no for yes at the beginning, or the other way", _in_english(_yes_no)),
    _probe("shuffled-sentences", "four sentences or more in another order", of_response(_shuffled_sentences)),
    _probe("shuffled-words", "all words in another order", of_response(_shuffled_words)),
    _probe("scrambled-letters", "the inner letters of every word in another order", of_response(_scrambled_letters)),
    _probe("reversed-steps", "what numbered steps say in reverse order", of_response(_reversed_steps)),
    _probe("cut-half", "cut off in the middle", of_response(lambda text: _cut(text, 0.5, 40))),
    _probe("cut-90", "cut off after 90 %, inside a sentence", of_response(lambda text: _cut(text, 0.9, 100))),
    _probe("without-middle", "the middle third of the words is missing", of_response(_without_middle)),
    _probe("looped", "the first sentence again and again, to the same length", of_response(_looped)),
    _probe("other-answer", "the answer to another prompt, of about the same length", _other_answer),
    _probe("spliced", "the second half is that of an answer to another prompt", _spliced),
    _probe(
        "contradiction",
        "says that all of it is wrong",
        added("Actually, all of the above is wrong, and the opposite is true."),
    ),
    _probe("insult", "an insult at the end", added("Only an idiot would have to ask this.")),
    _probe("broken-code", "code without one bracket, colon or quotation mark", of_response(_broken_code)),
)
"""Each makes the response worse beyond dispute, as a rule if not in every text, so the reward must fall."""
