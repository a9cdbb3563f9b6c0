"""How often a model is right that sees marks of style, or the length, and nothing else.

Shape legend: A decided comparisons, F features.
"""

from dataclasses import dataclass

import numpy as np

from palate.health.corpus import Corpus
from palate.health.pairs import DecidedPairs, Share, half_for_ties, share_of, thinned
from palate.health.shortcuts.held_out import enough, held_out_margins, logistic, symmetric_auc, unit_scale
from palate.health.shortcuts.marks import frequent_codes
from palate.health.tables import Floats, Ints
from palate.health.texts.style import FORM, OPENINGS, STYLE, WORDING

MOST_PAIRS = 50_000
"""Fits of so many pairs take ten seconds, and know halves of a percent."""


@dataclass(frozen=True, slots=True)
class StyleModel:
    """A logistic regression on differences in style, judged on prompts that it has not seen.

    Attributes:
        name: what it sees.
        accuracy: how often it is right, a tie counting half.
        auc: area under its ROC curve.
    """

    name: str
    accuracy: Share
    auc: float


def style_models(corpus: Corpus, pairs: DecidedPairs) -> tuple[StyleModel, ...]:
    """Models that see length alone, form alone, form and wording, and all; none where there are too few prompts.

    Counts enter as (a - b) / (a + b + 1), as in the style control of the Chatbot Arena, and the frequent openings as
    0 or 1; all are then standardised.
    """
    pairs = thinned(pairs, MOST_PAIRS)
    if not enough(pairs.prompt):
        return ()
    style = corpus.responses.style
    length = np.log1p(corpus.responses.characters.astype(np.float64))
    length_A1 = (length[pairs.winner] - length[pairs.loser])[:, None]
    form, wording = (
        _ratios(style[:, [STYLE.index(name) for name in names]].astype(np.float64), pairs) for names in (FORM, WORDING)
    )
    openings = [
        (style[pairs.winner, column] == code).astype(np.float64) - (style[pairs.loser, column] == code)
        for column in map(STYLE.index, OPENINGS)
        for code in frequent_codes(style[:, column], pairs)
    ]
    both = np.column_stack([form, wording, *openings])
    seen = {
        "length": length_A1,
        "form": form,
        "form and wording": both,
        "form, wording and length": np.column_stack([both, length_A1]),
    }
    return tuple(_judged(name, features, pairs.prompt) for name, features in seen.items())


def _ratios(count_RF: Floats, pairs: DecidedPairs) -> Floats:
    winner, loser = count_RF[pairs.winner], count_RF[pairs.loser]
    return (winner - loser) / (winner + loser + 1)


def _judged(name: str, difference_AF: Floats, prompt_A: Ints) -> StyleModel:
    margins = held_out_margins(unit_scale(difference_AF), prompt_A, logistic)
    return StyleModel(name, share_of(half_for_ties(margins), prompt_A), symmetric_auc(margins))
