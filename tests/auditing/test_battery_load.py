"""The pairs themselves: enough of them, sound as data, and not to be guessed from length or style."""

from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from palate.auditing.battery import BatteryPair, adversarial, battery, quick
from palate.data.read import read_preferences
from palate.data.render import tokenize
from palate.data.turns import prompt_fault, response_fault
from palate.health.pairs import half_for_ties
from palate.health.shortcuts.held_out import held_out_margins, logistic, unit_scale
from palate.health.texts.style import FORM, WORDING, style_of
from palate.model.backbone import load_tokenizer

PAIRS = (*battery(), *adversarial())
BY_DESIGN = {"waffle"}
"""Families in which length is what is tested."""

Pairs = tuple[BatteryPair, ...]


def longer_wins(pairs: Pairs, unit: str = "characters") -> float:
    """How often the longer response is the chosen one, equal lengths half."""
    size = len if unit == "characters" else lambda text: len(text.split())
    return float(half_for_ties(np.array([size(pair.chosen) - size(pair.rejected) for pair in pairs])).mean())


def by_family(pairs: Pairs) -> dict[str, Pairs]:
    names = dict.fromkeys(pair.family for pair in pairs)
    return {name: tuple(pair for pair in pairs if pair.family == name) for name in names}


def balanced() -> Pairs:
    return tuple(pair for pair in battery() if pair.family not in BY_DESIGN)


def style_differences(pairs: Pairs) -> np.ndarray:
    """Marks of form and wording [P, marks], chosen minus rejected."""
    count = len(FORM) + len(WORDING)
    return np.array([np.subtract(style_of(p.chosen)[:count], style_of(p.rejected)[:count]) for p in pairs])


def test_there_are_enough() -> None:
    families = {name: len(own) for name, own in by_family(battery()).items()}
    assert len(battery()) >= 120
    assert len(families) >= 12
    assert all(8 <= count <= 14 for count in families.values()), families
    assert len(adversarial()) >= 30
    assert min(Counter(pair.family for pair in adversarial()).values()) >= 5


def test_they_are_what_they_say() -> None:
    assert len({pair.id for pair in PAIRS}) == len(PAIRS)
    for pair in PAIRS:
        folder, name = pair.where.split("/")[1:]
        assert name.startswith(f"{pair.family}.jsonl:")
        assert pair.id == f"{pair.family}-{int(name.split(':')[1]):02d}"
        assert folder == ("pairs" if pair in battery() else "adversarial")
        assert pair.why.endswith("."), pair.id
        assert "\n" not in pair.why, pair.id
        assert len(pair.why) <= 100, pair.id


def test_they_are_sound_preference_data() -> None:
    texts = Counter(text for pair in PAIRS for text in (pair.chosen, pair.rejected))
    for pair in PAIRS:
        group = pair.to_group()
        assert prompt_fault(group.prompt) is None, pair.id
        for response, text in zip(group.responses, (pair.chosen, pair.rejected), strict=True):
            assert response_fault(response, group.prompt) is None, pair.id
            assert text == text.strip(), pair.id
            assert texts[text] == 1, pair.id
    assert len({pair.to_group().prompt_hash for pair in PAIRS}) == len(PAIRS)


def test_palate_reads_the_files_as_they_are() -> None:
    for folder, pairs in (("pairs", battery()), ("adversarial", adversarial())):
        read = read_preferences(str(files("palate.auditing.battery").joinpath(folder)))
        assert not read.dropped
        assert len(read.groups) == len(pairs)
        assert [(group.prompt, group.responses, group.comparisons) for group in read.groups] == [
            (group.prompt, group.responses, group.comparisons) for group in (pair.to_group() for pair in pairs)
        ]


@pytest.mark.parametrize("unit", ["characters", "words"])
def test_length_gives_nothing_away(unit: str) -> None:
    assert 0.45 <= longer_wins(balanced(), unit) <= 0.55
    assert 0.4 <= longer_wins(battery(), unit) <= 0.6
    assert longer_wins(adversarial(), unit) == 0.5
    for name, pairs in by_family(PAIRS).items():
        if name not in BY_DESIGN:
            assert 0.25 <= longer_wins(pairs, unit) <= 0.75, name


def test_waffle_is_long_and_never_answers() -> None:
    waffle = by_family(battery())["waffle"]
    words = [len(pair.rejected.split()) for pair in waffle]
    assert min(words) >= 300
    assert max(words) >= 800
    assert max(len(pair.chosen.split()) for pair in waffle) <= 30


def test_no_mark_of_style_gives_the_answer_away() -> None:
    difference_PM = style_differences(balanced())
    frequent = 0
    for name, difference_P in zip((*FORM, *WORDING), difference_PM.T, strict=True):
        differing = np.count_nonzero(difference_P)
        if differing >= 12:
            frequent += 1
            assert 0.3 <= np.count_nonzero(difference_P > 0) / differing <= 0.7, name
    assert frequent >= 4  # lists, bold, digits, refusals: there is style to be taken in by


def test_no_mark_of_form_gives_a_family_away() -> None:
    for family, pairs in by_family(balanced()).items():
        for name, difference_P in zip(FORM, style_differences(pairs).T, strict=False):
            differing = np.count_nonzero(difference_P)
            if differing >= 7:
                assert 0.2 <= np.count_nonzero(difference_P > 0) / differing <= 0.8, (family, name)


def test_all_marks_of_style_and_length_together_give_little_away() -> None:
    """Held-out accuracy of a linear model; its standard error is 0.034."""
    pairs = balanced()
    lengths_P2 = np.array([[pair.longer, len(pair.chosen.split()) - len(pair.rejected.split())] for pair in pairs])
    difference_PF = unit_scale(np.hstack([style_differences(pairs), lengths_P2]).astype(np.float64))
    margin_P = held_out_margins(difference_PF, np.arange(len(pairs)), logistic)
    assert half_for_ties(margin_P).mean() <= 0.6


def test_words_without_the_prompt_give_little_away() -> None:
    """A bag of words and word pairs that sees responses alone: a model that reads no prompt passes no such test."""
    pairs = balanced()
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    both = vectors.fit_transform([pair.chosen for pair in pairs] + [pair.rejected for pair in pairs])
    difference_PF = both[: len(pairs)] - both[len(pairs) :]
    margin_P = held_out_margins(
        difference_PF, np.arange(len(pairs)), lambda: LogisticRegression(C=10, fit_intercept=False)
    )
    assert half_for_ties(margin_P).mean() <= 0.65


def test_the_quick_part_keeps_every_family_and_the_balance() -> None:
    for pairs in (battery(), adversarial()):
        part = quick(pairs)
        assert part == quick(pairs)
        assert set(part) < set(pairs)
        assert [pair.family for pair in part] == sorted(pair.family for pair in part)
        for name, own in by_family(part).items():
            assert len(own) == (2 if name in BY_DESIGN else 4), name
            assert longer_wins(own) == (0 if name in BY_DESIGN else 0.5), name
    characters = [sum(len(p.chosen) + len(p.rejected) for p in pairs) for pairs in (quick(battery()), battery())]
    assert characters[0] < characters[1] / 3


def test_the_quick_part_takes_the_shortest() -> None:
    def pair(id: str, chosen: int, rejected: int) -> BatteryPair:
        return BatteryPair(id, "a", (), "x" * chosen, "x" * rejected, "", "", "")

    pairs = (pair("1", 9, 1), pair("2", 3, 1), pair("3", 4, 4), pair("4", 1, 7), pair("5", 5, 1), pair("6", 1, 8))
    assert [found.id for found in quick(pairs, each=1)] == ["2", "4"]
    assert [found.id for found in quick(pairs)] == ["2", "4", "5", "6"]


@pytest.mark.slow
def test_all_of_it_fits_and_is_cheap() -> None:
    """Tokens with SmolLM2's template, which adds some twenty to each prompt; 1,024 is the default length limit."""
    tokenizer, _ = load_tokenizer("smollm2")
    for pairs, most in ((PAIRS, 30_000), ((*quick(battery()), *quick(adversarial())), 12_000)):
        data = tokenize([pair.to_group() for pair in pairs], tokenizer, max_length=1024)
        assert not data.dropped
        assert sum(group.computed_tokens for group in data.groups) < most
