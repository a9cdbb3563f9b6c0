"""How far style decides: single marks, all of them together, and who wrote the response."""

from palate.health.corpus import Corpus
from palate.health.pairs import DecidedPairs, Share, decided_pairs
from palate.health.shortcuts.authors import Authors, authors_of
from palate.health.shortcuts.marks import Mark, marks_of, openings_of
from palate.health.shortcuts.style_models import StyleModel, style_models
from palate.health.texts.style import FORM, ORNAMENTS, WORDING
from palate.health.thresholds import Thresholds
from palate.report.findings import Block, Check, Fact, Finding, Measure, Paragraph, Section, Table
from palate.report.plots import Bars

SIGNIFICANT = 0.05
EXAMPLES = 5
_SHOWN = 20

_WHY = (
    'A heading, a bold word or "I hope this helps" does not make an answer right. Where such marks go with being '
    "preferred, a reward model learns to pay for them, and a policy trained on it learns to sprinkle them."
)
_NAMES = {
    "headers": "headings",
    "lists": "items of lists",
    "bold": "bold text",
    "code": "code",
    "tables": "tables",
    "links": "links",
    "emoji": "emoji",
    "paragraphs": "paragraphs",
    "digits": "digits",
    "closings": 'closings ("I hope this helps")',
    "ornaments": "ornaments (headings, bold text, emoji, closings)",
    "exclamations": "exclamation marks",
    "questions": "question marks",
    "flattery": 'praise of the question ("Great question")',
    "courtesies": "offers of more help",
    "refusals": "refusals",
    "ai": '"as an AI"',
    "apologies": "apologies",
    "hedges": 'hedges ("I think")',
    "unfinished": "unfinished ends",
}


def check_artefacts(corpus: Corpus, thresholds: Thresholds) -> Check:
    """Every mark by itself, models that see nothing but style, and the authors of the responses."""
    pairs = decided_pairs(corpus)
    if not len(pairs):
        return Check(Section("artefacts", "Style", _WHY, ()), skipped="no comparison has a right answer")
    form = marks_of(corpus, pairs, (*FORM, "ornaments"))
    wording = marks_of(corpus, pairs, WORDING)
    openings = openings_of(corpus, pairs)
    models = style_models(corpus, pairs)
    authors = authors_of(corpus, pairs)
    blocks: tuple[Block, ...] = (
        *_model_bars(models),
        *_mark_table("marks of form, which say nothing about whether an answer is right", form),
        *_mark_table("marks of wording, which may well be what people judged", wording),
        *_mark_table("how responses begin", openings),
        *_author_bars(authors),
    )
    facts: dict[str, Fact] = {
        "artefacts.pairs": len(pairs),
        "artefacts.marks": {mark.name: _fact(mark) for mark in (*form, *wording)},
        "artefacts.openings": {mark.name: _fact(mark) for mark in openings},
        "artefacts.models": {model.name: {**model.accuracy.to_fact(), "auc": model.auc} for model in models},
        "artefacts.author_pairs": authors.pairs if authors else 0,
        "artefacts.authors": {name: share.to_fact() for name, share in authors.wins} if authors else {},
        "artefacts.better_author": authors.better_wins.to_fact() if authors and authors.better_wins else None,
    }
    findings = (
        *_artefact_findings(corpus, thresholds, pairs, form),
        *_style_only(thresholds, models),
        *_identity(thresholds, authors),
    )
    return Check(Section("artefacts", "Style", _WHY, blocks), findings, facts)


def _artefact_findings(
    corpus: Corpus, thresholds: Thresholds, pairs: DecidedPairs, marks: tuple[Mark, ...]
) -> tuple[Finding, ...]:
    """One a mark that is sure and decides beyond its length; ornaments together where none of them does alone."""
    found = {mark.name: _artefact(corpus, thresholds, pairs, mark) for mark in marks if mark.p_value < SIGNIFICANT}
    if any(found.get(name) for name in ORNAMENTS):
        found.pop("ornaments", None)
    return tuple(finding for findings in found.values() for finding in findings)


def _artefact(corpus: Corpus, thresholds: Thresholds, pairs: DecidedPairs, mark: Mark) -> tuple[Finding, ...]:
    beyond = mark.beyond_length
    liked = beyond.value >= 0.5
    share = beyond if liked else Share(1 - beyond.value, 1 - beyond.high, 1 - beyond.low, beyond.count)
    bearing_it_out = mark.rows[mark.won == liked]
    name = _NAMES[mark.name]
    return thresholds.find(
        "style-artifact",
        f"Of two responses the one with more {name} is {'preferred' if liked else 'rejected'} in "
        f"{mark.wins.value if liked else 1 - mark.wins.value:.1%} of {len(mark.rows):,} pairs that differ in it"
        + (f"; by their lengths it would be {_expected(mark, liked):.1%}." if abs(mark.expected - 0.5) > 0.01 else "."),
        Measure(
            share.value,
            f"share of pairs in which more {name} is {'preferred' if liked else 'rejected'}, beyond length",
            share.low,
            share.high,
        ),
        cure="Read the examples: where the mark is no merit, relabel or remove such pairs, or write the same responses "
        "with and without it.",
        count=len(bearing_it_out),
        examples=tuple(
            corpus.example(int(pairs.comparison[row]), f"more {name} in the {'chosen' if liked else 'rejected'} one")
            for row in bearing_it_out[:EXAMPLES]
        ),
    )


def _expected(mark: Mark, liked: bool) -> float:
    return mark.expected if liked else 1 - mark.expected


def _style_only(thresholds: Thresholds, models: tuple[StyleModel, ...]) -> tuple[Finding, ...]:
    return tuple(
        finding
        for model in models
        if model.name == "form and wording"
        for finding in thresholds.find(
            "style-only",
            f"A model that sees nothing but marks of style predicts {model.accuracy.value:.1%} of the choices.",
            Measure(model.accuracy.value, "held-out accuracy", model.accuracy.low, model.accuracy.high),
            cure="Look at the strongest marks below, and hold the reward model's accuracy against this figure: only "
            "what it has beyond it comes from content.",
        )
    )


def _identity(thresholds: Thresholds, authors: Authors | None) -> tuple[Finding, ...]:
    if authors is None or authors.better_wins is None:
        return ()
    share = authors.better_wins
    return thresholds.find(
        "generator-identity",
        f"Knowing only who wrote the responses predicts {share.value:.1%} of {share.count:,} choices.",
        Measure(share.value, "held-out accuracy of choosing the better author", share.low, share.high),
        cure="Compare responses of the same or of equally good authors, too: a reward model that recognises authors by "
        "their style scores high here and learns nothing about answers.",
    )


def _model_bars(models: tuple[StyleModel, ...]) -> tuple[Block, ...]:
    if not models:
        return (Paragraph("There are too few prompts to fit models of style on some and judge them on others."),)
    return (
        Bars(
            title="How often a model is right that sees nothing but",
            axis="accuracy on held-out prompts",
            names=tuple(model.name for model in models),
            values=tuple(model.accuracy.value for model in models),
            intervals=tuple((model.accuracy.low, model.accuracy.high) for model in models),
            labels=tuple(f"{model.name}: {model.accuracy}, AUC {model.auc:.3f}" for model in models),
            reference=0.5,
            reference_label="a coin toss",
        ),
    )


def _mark_table(caption: str, marks: tuple[Mark, ...]) -> tuple[Block, ...]:
    if not marks:
        return ()
    return (
        Table(
            ("mark", "pairs that differ", "more of it wins", "from", "to", "expected by length", "adjusted p"),
            tuple(
                (
                    _NAMES.get(mark.name, mark.name),
                    len(mark.rows),
                    mark.wins.value,
                    mark.wins.low,
                    mark.wins.high,
                    mark.expected,
                    mark.p_value,
                )
                for mark in marks[:_SHOWN]
            ),
            f"{caption}; the surest first",
            omitted=max(0, len(marks) - _SHOWN),
        ),
    )


def _author_bars(authors: Authors | None) -> tuple[Block, ...]:
    if authors is None:
        return ()
    shown = authors.wins[:_SHOWN]
    more = f", the {_SHOWN} most compared of {len(authors.wins):,}" if len(authors.wins) > _SHOWN else ""
    return (
        Bars(
            title=f"How often each author's response is preferred{more}",
            axis="share of comparisons with others",
            names=tuple(name for name, _ in shown),
            values=tuple(share.value for _, share in shown),
            intervals=tuple((share.low, share.high) for _, share in shown),
            labels=tuple(f"{name}: {share} of {share.count:,}" for name, share in shown),
            reference=0.5,
            reference_label="as often as not",
        ),
    )


def _fact(mark: Mark) -> Fact:
    return {**mark.wins.to_fact(), "expected": mark.expected, "p": mark.p_value}
