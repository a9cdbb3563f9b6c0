"""Marks of style, each on texts that have it, nearly have it, and have it several times."""

import pytest

from palate.health.texts.style import FORM, OPENINGS, ORNAMENTS, STYLE, WORDING, opening_class, opening_of, style_of


def marks(text: str) -> dict[str, float]:
    """The marks that a text has, without its opening."""
    found = dict(zip(STYLE, style_of(text), strict=True))
    return {name: value for name, value in found.items() if value and name not in OPENINGS}


def test_names_are_distinct_and_each_has_a_value() -> None:
    assert len(set(STYLE)) == len(STYLE) == len(style_of("")) == len(FORM) + len(WORDING) + len(OPENINGS)
    assert set(ORNAMENTS) < set(FORM)


def test_an_empty_text_and_a_plain_one_have_no_marks() -> None:
    assert style_of("") == (0,) * len(STYLE)
    assert style_of(" \n ") == (0,) * len(STYLE)
    assert marks("It is black.") == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# One\ntext\n### Two.", {"headers": 2}),
        ("#hashtag and # no header.", {}),
        ("- one\n* two\n+ three\n• four\n1. five\n12) six.", {"lists": 6, "digits": 3}),
        ("  - indented.", {"lists": 1}),
        ("-5 is less than 3.14.", {"digits": 4}),
        ("**one** and **two**.", {"bold": 2}),
        ("`one` and `two`.", {"code": 2}),
        ("```\nx = 1\n```", {"code": 1, "digits": 1}),
        ("| a | b |\n|---|---|\n| 1 | 2 |", {"tables": 3, "digits": 2}),
        ("See https://a.org, http://b.org and www.c.org.", {"links": 3}),
        ("Well done \U0001f389\U0001f600", {"emoji": 2}),
        ("Größe, 東京.", {}),
        ("One.\n\nTwo.\n\nThree.\n\n", {"paragraphs": 2}),
        ("I hope this helps!", {"closings": 1, "exclamations": 1}),
        ("What? Really?!", {"questions": 2, "exclamations": 1}),
        ("Great question. It is 7.", {"flattery": 1, "digits": 1}),
        ("Feel free to ask, let me know if not.", {"courtesies": 2}),
        ("I can't do that. I cannot.", {"refusals": 2}),
        ("I can\u2019t do that.", {"refusals": 1}),
        ("As an AI, I am a language model.", {"ai": 2}),
        ("It serves as an aid.", {}),
        ("I'm sorry, I apologize.", {"apologies": 2}),
        ("I think so, perhaps.", {"hedges": 2}),
        ("It breaks off in the", {"unfinished": 1}),
        ("It ends\u2026", {}),
        ("She said \u201cyes.\u201d", {}),
    ],
)
def test_marks(text: str, found: dict[str, float]) -> None:
    assert marks(text) == found


def test_text_that_is_not_unicode_is_measured_too() -> None:
    assert marks("A lone \ud83d surrogate!") == {"exclamations": 1}


def test_openings_are_words_without_what_surrounds_them() -> None:
    assert opening_of("I\u2019m sorry, but") == opening_of("I'm sorry. But") == ("i'm", "i'm sorry")
    assert opening_of("- **Sure!** Here") == ("sure", "sure here")
    assert opening_of("Yes") == ("yes", "yes")
    assert opening_of("!!! ...") == ("", "")


def test_classes_of_openings_fit_into_float32_and_differ() -> None:
    words = [f"word{number}" for number in range(2000)]
    classes = {opening_class(word) for word in words}
    assert len(classes) >= 1999
    assert all(0 < one < 2**24 and one == int(one) for one in classes)
    assert opening_class("") == 0
