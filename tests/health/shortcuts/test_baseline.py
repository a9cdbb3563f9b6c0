"""The bag of n-grams: what it is given, what it can learn from it, and what it must not know."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palate.data.read import read_preferences
from palate.data.simulate import simulate
from palate.health.corpus import Corpus, build_corpus
from palate.health.shortcuts.baseline import check_baseline, fit_baseline
from palate.health.shortcuts.ngrams import MOST_CHARACTERS, crossed_features, response_features
from palate.health.thresholds import Thresholds
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Paragraph

WORDS = ("tea", "coal", "rain", "gold", "moss", "salt", "wood", "clay", "iron", "lamp")


def pair(number: int, prompt: str, chosen: str, rejected: str) -> PreferenceGroup:
    return PreferenceGroup(
        id=str(number),
        prompt=(Message("user", prompt),),
        responses=((Message("assistant", chosen),), (Message("assistant", rejected),)),
        comparisons=(Comparison(0, 1),),
    )


def given_away(folder: Path, share: float) -> Corpus:
    """The chosen response says "fine" where the rejected one says "bad" in a share of the pairs, else the reverse."""
    rng = np.random.default_rng(0)
    groups = []
    for n in range(400):
        texts = [f"The {rng.choice(WORDS)} is {how}" for how in ("fine", "bad ")]
        groups.append(pair(n, f"{n}: which?", *(texts if rng.random() < share else texts[::-1])))
    return build_corpus(groups, folder)


def test_what_gives_the_response_away_is_found_without_the_prompt(tmp_path: Path) -> None:
    baseline = fit_baseline(given_away(tmp_path, 0.9))
    assert baseline is not None
    assert baseline.response_only.low < 0.9 < baseline.response_only.high
    assert baseline.response_auc > 0.75
    done = check_baseline(Thresholds(), baseline)
    assert [(one.id, one.severity) for one in done.findings] == [("response-only", "fail")]
    assert np.isfinite(baseline.margins).all()
    assert np.mean(baseline.margins > 0) == pytest.approx(baseline.with_prompt.value)


def test_random_labels_are_a_coin_toss(tmp_path: Path) -> None:
    baseline = fit_baseline(given_away(tmp_path, 0.5))
    assert baseline is not None
    assert baseline.response_only.low < 0.53
    assert check_baseline(Thresholds(), baseline).findings == ()


def test_what_only_the_prompt_tells_is_not_seen_without_it(tmp_path: Path) -> None:
    """The better response names what was asked for; each word is right as often as it is wrong."""
    rng = np.random.default_rng(0)
    groups = []
    for n in range(600):
        asked, other = rng.choice(WORDS, 2, replace=False)
        groups.append(pair(n, f"{n}: tell me of the {asked}", f"About {asked}.", f"About {other}."))
    baseline = fit_baseline(build_corpus(groups, tmp_path))
    assert baseline is not None
    assert baseline.response_only.low < 0.5 < baseline.response_only.high
    assert baseline.with_prompt.value > 0.95


def test_more_pairs_than_wanted_are_thinned_and_said(tmp_path: Path) -> None:
    baseline = fit_baseline(given_away(tmp_path, 0.9), most_pairs=100)
    assert baseline is not None
    assert (baseline.response_only.count, baseline.decided) == (100, 400)
    assert np.flatnonzero(np.isfinite(baseline.margins)).tolist() == list(range(0, 400, 4))
    done = check_baseline(Thresholds(), baseline)
    assert (done.facts["baseline.pairs"], done.facts["baseline.decided"]) == (100, 400)
    assert any("100, evenly spaced, of 400" in one.text for one in done.section.blocks if isinstance(one, Paragraph))


def test_workers_change_nothing(tmp_path: Path) -> None:
    corpus = given_away(tmp_path, 0.8)
    one, two = (fit_baseline(corpus, workers=workers) for workers in (1, 2))
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one.margins, two.margins)


def test_too_little_data_is_skipped(tmp_path: Path) -> None:
    groups = [pair(n, "the same prompt", f"yes {n}", f"no {n}") for n in range(50)]
    baseline = fit_baseline(build_corpus(groups, tmp_path))
    assert baseline is None
    assert check_baseline(Thresholds(), baseline).skipped


def test_undecided_comparisons_have_no_margin(tmp_path: Path) -> None:
    groups = [pair(n, f"{n}?", f"yes {n}", f"no {n}") for n in range(40)]
    groups[7] = replace(groups[7], comparisons=(Comparison(0, 1, probability=0.5),))
    baseline = fit_baseline(build_corpus(groups, tmp_path))
    assert baseline is not None
    assert np.flatnonzero(np.isnan(baseline.margins)).tolist() == [7]


def test_features_are_those_of_the_text_alone() -> None:
    texts = ["It is black.", "", "Größe \U0001f600", "It is black."]
    rows = response_features(texts)
    assert rows.shape[0] == 4
    assert (rows[0] != rows[3]).nnz == 0
    assert rows[1].nnz == 0
    assert abs(rows[0][:, :-1].multiply(rows[0][:, :-1]).sum() - 2) < 1e-5  # two blocks of unit length
    cut = response_features(["a " * MOST_CHARACTERS, "a " * MOST_CHARACTERS + "b"])
    assert abs(cut[0][:, :-1] - cut[1][:, :-1]).max() == 0


def test_overlap_is_counted_over_distinct_words() -> None:
    rows = crossed_features([("red red green blue", "Red is red, green is not")])
    words_of_response, words_of_prompt = rows[0, -2], rows[0, -1]
    assert (words_of_response, words_of_prompt) == (pytest.approx(2 / 4), pytest.approx(2 / 3))


def test_the_built_in_set_is_told_by_its_prompts_rather_than_its_words(tmp_path: Path) -> None:
    baseline = fit_baseline(build_corpus(simulate(1000, responses=(2, 2)).groups, tmp_path))
    assert baseline is not None
    assert baseline.response_only.value < 0.64
    assert baseline.with_prompt.value > 0.7
    assert check_baseline(Thresholds(), baseline).findings == ()


def test_published_transcripts(real_data: Path, tmp_path: Path) -> None:
    data = read_preferences(str(real_data / "hh_rlhf/harmless-base/test.jsonl.gz"))
    baseline = fit_baseline(build_corpus(data.groups, tmp_path))
    assert baseline is not None
    assert 0.58 < baseline.response_only.low < baseline.response_only.high < 0.67
