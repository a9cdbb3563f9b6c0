"""What is read off a response, and which phrases are looked at."""

from pathlib import Path

import pytest

from palate.auditing.patterns.marks import COUNTED, READ, Pattern, edge_phrases, patterns_of
from palate.health.corpus import Corpus, build_corpus
from palate.health.texts.style import STYLE
from palate.records import Comparison, Message, PreferenceGroup


def corpus(folder: Path, texts: list[str]) -> Corpus:
    groups = [
        PreferenceGroup(
            str(n),
            (Message("user", f"q{n}"),),
            ((Message("assistant", text),), (Message("assistant", f"plain word {n}"),)),
            (Comparison(0, 1),),
        )
        for n, text in enumerate(texts)
    ]
    return build_corpus(groups, folder)


def rows(patterns: tuple[Pattern, ...], name: str) -> list[int]:
    return next((pattern.rows.tolist() for pattern in patterns if pattern.name == name), [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a code block", "Do this:\n```python\npass\n```"),
        ("a numbered list", "Steps:\n 1. Boil.\n 2) Eat."),
        ("a citation", "It is so [3]."),
        ("a citation", "It is so (Smith and Jones, 1999)."),
        ("a citation", "According to the report, it is."),
        ('agreement at the start ("Sure")', "**Sure!** Here it is."),
        ("a question at the end", "It is. Is that clear? \n"),
        ("a summary at the end", "Much.\n\nIn summary, it is."),
    ],
)
def test_each_mark_is_seen_where_it_is_and_nowhere_else(name: str, text: str) -> None:
    assert READ[name](text)
    assert not READ[name]("Plain. Surely 3 (2001) of them, overall. [ok]")


def test_marks_of_the_corpus_and_those_read_here_are_patterns(tmp_path: Path) -> None:
    found = patterns_of(corpus(tmp_path, ["## Head\n\nYes?", "As an AI, I cannot.", "none"]))
    assert rows(found, "headings") == [0]
    assert rows(found, '"as an AI"') == [2]
    assert rows(found, "a question at the end") == [0]
    assert set(COUNTED) <= set(STYLE)


def test_frequent_phrases_are_patterns_and_the_longest_stands_for_equals(tmp_path: Path) -> None:
    texts = [f"Great question! Number {n} is it." for n in range(6)]
    found = patterns_of(corpus(tmp_path, [*texts, "That is it."]))
    names = {pattern.name for pattern in found}
    assert 'the beginning "great question number"' in names
    assert 'the beginning "great"' not in names  # the same responses
    assert not any("that is" in name for name in names)  # once
    assert rows(found, 'the ending "is it"') == [0, 2, 4, 6, 8, 10, 12]


def test_curly_apostrophes_are_apostrophes() -> None:
    assert edge_phrases("I\u2019m sorry.") == edge_phrases("I'm sorry.")
    assert edge_phrases("") == []
