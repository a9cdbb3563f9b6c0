"""Where the prose of a response is, and its sentences: what edits may touch without breaking code or links.

Code is masked by as many NUL characters. Patterns then run over the masked text, and what they match is at the same
place in the original.
"""

# ruff: noqa: RUF001 - typographic characters are what the patterns are about

import re
from collections.abc import Callable, Sequence

from palate.auditing.probes.probe import Edit, of_response
from palate.auditing.probes.words import COMMON

_FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_FENCED_OR_INLINE = re.compile(rf"{_FENCED.pattern}|`[^`\n]+`|https?://\S+", re.MULTILINE | re.DOTALL)
_CODE_LINE = re.compile(
    r"""\s*(?: def\ \w+\( | class\ \w+[:({] | (?:import|package|using)\ [\w.]+;?$ | from\ [\w.]+\ import\b
    | return\b[^.!?]*$ | (?:const|let|var)\ \w+\ = | \#include\b | </?\w[^>]*> | "[^"]*":\ | [\w.]+\(.*\)$
    | [\w.\[\]'"]+\ [-+*/]?=\ \S | .*(?:[;{}]|\]|\)\ ?:)$ )""",
    re.VERBOSE,
)
_PLAIN_LINE = re.compile(r"^(?!\0|[ \t]*(?:(?:[-*+•]|\d{1,3}[.)])[ \t]|>|#{1,6} |\|)| {4}|\t)[ \t]*\S.*$", re.MULTILINE)
_SENTENCE_BREAK = re.compile(
    r"((?:(?<=\w\w[.!?।؟۔])|(?<=[.!?।؟۔][\"'”’)]))(?<!Mr\.)(?<!Ms\.)(?<!Mrs\.)(?<!Dr\.)(?<!St\.)(?<!vs\.)"
    r"[ \t]+(?=[^\sa-z])"
    r"|(?<=[。！？])(?=[^\s”」』]))"
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def is_code(text: str) -> bool:
    r"""Whether a text without fences looks like a program or data: most of its lines do, and they are two or more.

    >>> is_code("def f(x):\n    return x"), is_code("It is late.\nGo home; sleep well.")
    (True, False)
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and "```" not in text and 2 * sum(bool(_CODE_LINE.match(line)) for line in lines) > len(lines)


def masked(text: str, *, inline: bool = True) -> str:
    """The text with NUL for every character of code: of fenced blocks and, with `inline`, of code spans and links."""
    if is_code(text):
        return "\0" * len(text)
    pattern = _FENCED_OR_INLINE if inline else _FENCED
    return pattern.sub(lambda found: "\0" * len(found[0]), text)


def code_spans(text: str) -> list[tuple[int, int]]:
    """Spans of fenced blocks, or of the whole text where that is code."""
    return [(0, len(text))] if is_code(text) else [found.span() for found in _FENCED.finditer(text)]


def rewrite(text: str, pattern: re.Pattern[str], new: str | Callable[[re.Match[str]], str], most: int = 0) -> str:
    r"""`pattern.sub(new, text, most)`, in prose alone.

    >>> rewrite('say "hi" as `"hi"`', re.compile('"(.*?)"'), r"<\1>")
    'say <hi> as `"hi"`'
    """
    made, end = [], 0
    for number, found in enumerate(pattern.finditer(masked(text))):
        if most and number == most:
            break
        made += [text[end : found.start()], found.expand(new) if isinstance(new, str) else new(found)]
        end = found.end()
    return "".join(made) + text[end:]


def pattern_edit(*steps: tuple[str, str]) -> Edit:
    """An edit that puts `new` for the regular expression `old` in prose: the first step that changes something."""
    compiled = [(re.compile(old, re.MULTILINE), new) for old, new in steps]

    def change(response: str) -> str | None:
        for old, new in compiled:
            if (made := rewrite(response, old, new)) != response:
                return made
        return None

    return of_response(change)


def plain_lines(text: str) -> list[tuple[int, int]]:
    """Spans of the lines of running text: no code, items of lists, headers, tables or quotations."""
    return [found.span() for found in _PLAIN_LINE.finditer(masked(text, inline=False))]


def rewrite_lines(text: str, new: Callable[[str], str]) -> str:
    """The text with each of its `plain_lines` replaced."""
    made, end = [], 0
    for start, stop in plain_lines(text):
        made += [text[end:start], new(text[start:stop])]
        end = stop
    return "".join(made) + text[end:]


def sentences(line: str) -> list[str]:
    """Sentences at even places, what is between them at odd ones.

    >>> sentences("Dr. No is 3.5 m tall. Really? 东京很大。是的。")
    ['Dr. No is 3.5 m tall.', ' ', 'Really?', ' ', '东京很大。', '', '是的。']
    """
    return _SENTENCE_BREAK.split(line)


def is_english(prompt: str, response: str) -> bool:
    """Whether one in twelve words, code aside, is one of those that English texts cannot do without.

    >>> is_english("How are you?", "東京"), is_english("Was ist das?", "Brot.")
    (True, False)
    """
    words = [word.lower().replace("’", "'") for word in _WORD.findall(f"{prompt} {masked(response)}")]
    return bool(words) and 12 * sum(word in COMMON for word in words) >= len(words)


def added(text: str, *, before: bool = False) -> Edit:
    """An edit that puts an English text before or after a response, where prompt and response look English."""

    def edit(prompt: str, response: str, others: Sequence[str]) -> str | None:
        if not is_english(prompt, response):
            return None
        return in_front(response, text) if before else after(response, text)

    return edit


def in_front(response: str, text: str) -> str:
    r"""The text before the response: in its line where it opens with prose, else in a paragraph of its own.

    >>> in_front("It is late.", "Well."), in_front("- a\n- b", "Well.")
    ('Well. It is late.', 'Well.\n\n- a\n- b')
    """
    body = response.lstrip("\n")
    opens_with_prose = any(start == 0 for start, _ in plain_lines(body)[:1])
    return text + (" " if opens_with_prose else "\n\n") + body


def after(response: str, text: str) -> str:
    r"""The text behind the response: in its line where it is one line of prose, else in a paragraph of its own.

    >>> after("It is late.", "Good night."), after("- a\n- b", "Good night.")
    ('It is late. Good night.', '- a\n- b\n\nGood night.')
    """
    body = response.rstrip()
    one_line = plain_lines(body) == [(0, len(body))]
    return body + ("" if text.startswith("\n") else " " if one_line else "\n\n") + text
