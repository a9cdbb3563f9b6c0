"""Planted marks are found and clean sets are silent; style models and authors by sets made for them."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palate.data.read import read_preferences
from palate.data.simulate import Flaws, simulate
from palate.health.corpus import Corpus, build_corpus
from palate.health.pairs import decided_pairs, thinned
from palate.health.shortcuts.artefacts import check_artefacts
from palate.health.shortcuts.authors import authors_of
from palate.health.shortcuts.held_out import held_out_margins, logistic, symmetric_auc, unit_scale
from palate.health.shortcuts.style_models import style_models
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Finding, Table

Make = Callable[[int, float], Corpus]


@pytest.fixture
def simulated(tmp_path: Path) -> Make:
    """2,000 pairs, in groups of two or of two to six responses by the seed, with marks planted at a rate."""

    def make(seed: int, rate: float) -> Corpus:
        flaws = Flaws(artefact=rate)
        made = (
            simulate(2000, responses=(2, 2), seed=seed, flaws=flaws)
            if seed % 2
            else simulate(1100, seed=seed, flaws=flaws)
        )
        return build_corpus(made.groups, tmp_path)

    return make


def found(corpus: Corpus) -> tuple[Finding, ...]:
    return check_artefacts(corpus, Thresholds()).findings


def pair(number: int, chosen: str, rejected: str, models: tuple[str, ...] = ()) -> PreferenceGroup:
    return PreferenceGroup(
        id=str(number),
        prompt=(Message("user", f"question {number}"),),
        responses=((Message("assistant", chosen),), (Message("assistant", rejected),)),
        comparisons=(Comparison(0, 1),),
        where=f"made:{number + 1}",
        models=models,
    )


@pytest.mark.parametrize("seed", range(4))
def test_marks_planted_in_two_of_a_hundred_groups_are_found(simulated: Make, seed: int) -> None:
    findings = found(simulated(seed, 0.02))
    assert {one.id for one in findings} == {"style-artifact"}
    titles = " ".join(one.title for one in findings)
    assert any(name in titles for name in ("closings", "bold", "ornaments"))
    assert all("is preferred in" in one.title for one in findings)


@pytest.mark.parametrize("seed", range(4))
def test_clean_sets_raise_nothing(simulated: Make, seed: int) -> None:
    assert found(simulated(seed, 0.0)) == ()


@pytest.mark.slow
def test_recall_and_false_alarms_over_twenty_sets(simulated: Make, capsys: pytest.CaptureFixture[str]) -> None:
    flagged = {rate: sum(bool(found(simulated(seed, rate))) for seed in range(20)) for rate in (0.0, 0.02)}
    with capsys.disabled():
        sys.stdout.write(f"\nplanted marks of style: sets of 2,000 pairs flagged of 20, by rate: {flagged}\n")
    assert flagged[0.0] == 0
    assert flagged[0.02] >= 19


def test_a_mark_that_is_disliked_is_one_too(tmp_path: Path) -> None:
    groups = [pair(n, f"Answer {n} is fine here", f"Answer {n} at www.a.org") for n in range(40)]
    finding, _ = found(build_corpus(groups, tmp_path))
    assert finding.title.startswith("Of two responses the one with more links is rejected in 100.0% of 40 pairs")
    assert finding.severity == "fail"
    assert (finding.count, len(finding.examples)) == (40, 5)
    assert "www" in dict(finding.examples[0].texts)["rejected"]


def test_what_length_explains_is_no_artefact(tmp_path: Path) -> None:
    """Longer ones win four of five and have more paragraphs; paragraphs win no more often than that."""
    short, long = "word " * 8, "word " * 20 + "\n\n" + "word " * 20
    with_and_without = (long, long.replace("\n\n", " "))
    groups = []
    for n in range(400):
        ordered = (with_and_without[n % 2], short)
        groups.append(pair(n, *(ordered if n % 5 else ordered[::-1])))
    done = check_artefacts(build_corpus(groups, tmp_path), Thresholds())
    mark = done.facts["artefacts.marks"]["paragraphs"]  # type: ignore[index,call-overload]
    assert mark["value"] == pytest.approx(0.8, abs=0.01)  # type: ignore[index,call-overload]
    assert [one.id for one in done.findings if one.id == "style-artifact"] == []


def test_wording_is_shown_and_is_no_finding(tmp_path: Path) -> None:
    groups = [pair(n, f"It is {n}.", "I'm sorry, I cannot say.") for n in range(60)]
    done = check_artefacts(build_corpus(groups, tmp_path), Thresholds())
    assert not [one for one in done.findings if one.id == "style-artifact" and "refusals" in one.title]
    tables = [block for block in done.section.blocks if isinstance(block, Table)]
    assert any("wording" in table.caption and table.rows[0][2] == 0.0 for table in tables)
    assert [one.id for one in done.findings if one.id == "style-only"] == ["style-only"]


def test_models_of_style_see_style_and_no_more(tmp_path: Path) -> None:
    """Exclamation marks decide four of five; lengths are equal, and no other mark differs."""
    texts = ("Yes, it is!", "Yes, it is.")
    groups = [pair(n, *(texts if n % 5 else texts[::-1])) for n in range(300)]
    corpus = build_corpus(groups, tmp_path)
    models = {one.name: one for one in style_models(corpus, decided_pairs(corpus))}
    assert models["length"].accuracy.value == models["form"].accuracy.value == 0.5
    assert models["length"].auc == 0.5
    both = models["form and wording"]
    assert both.accuracy.value == pytest.approx(0.8)
    assert both.accuracy.low < 0.8 < both.accuracy.high


def test_held_out_margins_come_from_other_prompts() -> None:
    """Labels that depend on the prompt alone cannot be guessed out of fold, and are learned by heart within it."""
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(40), 5)
    features = np.zeros((200, 40))
    features[np.arange(200), prompt] = rng.choice([-1.0, 1.0], 40)[prompt]
    margins = held_out_margins(features, prompt, logistic)
    assert np.abs(margins).max() == 0
    apart = held_out_margins(features, np.arange(200), logistic)
    assert (apart > 0).all()


def test_turning_pairs_round_changes_no_margin() -> None:
    rng = np.random.default_rng(1)
    features = unit_scale(rng.normal(size=(300, 4)) + 0.3)
    margins = held_out_margins(features, np.arange(300), logistic)
    turned = held_out_margins(-features, np.arange(300), logistic)
    np.testing.assert_allclose(margins, turned, atol=1e-4)
    # a pair turned round is the same pair: its label is one, and its features change sign
    assert np.sqrt(np.square(features).mean(axis=0)) == pytest.approx(np.ones(4))
    assert symmetric_auc(margins) > 0.5


def test_authors_of_known_strength(tmp_path: Path) -> None:
    """Of three authors each beats the next in 19 of 20; one pair has no names, and one the same author twice."""
    rng = np.random.default_rng(0)
    names = [("strong", "middle"), ("middle", "weak"), ("strong", "weak")]
    groups = []
    for n in range(300):
        two = names[n % 3] if rng.random() < 0.95 else names[n % 3][::-1]
        groups.append(pair(n, f"a{n}", f"b{n}", models=two))
    groups += [pair(900, "a", "b"), pair(901, "a", "b", models=("weak", "weak"))]
    corpus = build_corpus(groups, tmp_path)
    authors = authors_of(corpus, decided_pairs(corpus))
    assert authors is not None
    assert authors.pairs == 300
    wins = {name: share.value for name, share in authors.wins}
    assert wins["strong"] > 0.9 > wins["middle"] > 0.4 > 0.1 > wins["weak"]
    assert authors.better_wins is not None
    assert authors.better_wins.value == pytest.approx(0.95, abs=0.04)
    (finding,) = [one for one in found(corpus) if one.id == "generator-identity"]
    assert finding.severity == "fail"


def test_without_names_there_are_no_authors(tmp_path: Path) -> None:
    corpus = build_corpus([pair(n, "a", "b") for n in range(20)], tmp_path)
    assert authors_of(corpus, decided_pairs(corpus)) is None


def test_nothing_decided_is_skipped(tmp_path: Path) -> None:
    group = replace(pair(0, "a", "b"), comparisons=(Comparison(0, 1, probability=0.5),))
    assert check_artefacts(build_corpus([group], tmp_path), Thresholds()).skipped


def test_few_pairs_are_no_evidence_and_no_crash(tmp_path: Path) -> None:
    done = check_artefacts(build_corpus([pair(n, "**a**", "b") for n in range(3)], tmp_path), Thresholds())
    assert done.findings == ()


def test_pairs_are_thinned_evenly_and_held_out_data_is_no_part_of_them(tmp_path: Path) -> None:
    groups = [pair(n, "a", "bc") for n in range(30)]
    corpus = build_corpus(groups[:20], tmp_path, against=groups[20:])
    pairs = decided_pairs(corpus)
    assert len(pairs) == 20
    assert thinned(pairs, 5).comparison.tolist() == [0, 4, 8, 12, 16]
    assert thinned(pairs, 20) is pairs


def test_published_data(real_data: Path, tmp_path: Path) -> None:
    """PandaLM names its models, of which llama-7b wins most."""
    corpus = build_corpus(read_preferences(str(real_data / "pandalm/testset-v1.json.gz")).groups, tmp_path)
    done = check_artefacts(corpus, Thresholds())
    authors = done.facts["artefacts.authors"]
    assert max(authors, key=lambda name: authors[name]["value"]) == "llama-7b"  # type: ignore[arg-type,index,call-overload,union-attr]
