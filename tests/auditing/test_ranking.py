"""Accuracy and slices on rewards whose faults are known."""

from pathlib import Path

import numpy as np
import pytest

from palate.auditing.limits import audit_thresholds
from palate.auditing.ranking import check_ranking, margin_scale
from palate.auditing.scorer import Floats, Scored
from palate.auditing.slices import slices_of
from palate.data.simulate import simulate
from palate.health.corpus import Corpus, build_corpus
from palate.metrics import evaluate_pairs
from palate.records import Comparison, Message, PreferenceGroup
from palate.report.findings import Finding

MADE = simulate(200, seed=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_corpus(MADE.groups, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def quality(corpus: Corpus) -> Floats:
    return np.array([response.quality for truth in MADE.truth for response in truth.responses])


def ids(check: object) -> set[str]:
    return {finding.id for finding in check.findings}  # type: ignore[attr-defined]


def test_a_good_model_has_no_finding_and_the_figures_of_the_evaluation(corpus: Corpus, quality: Floats) -> None:
    scored = Scored(corpus, quality)
    check = check_ranking(scored, audit_thresholds())
    assert ids(check) <= {"weak-slice"}
    labels, groups = corpus.comparisons, corpus.groups
    whole = evaluate_pairs(
        quality[labels.winner],
        quality[labels.loser],
        probability=labels.probability,
        length_winner=np.ones(len(labels.group), int),
        length_loser=np.ones(len(labels.group), int),
        cluster=groups.prompt_key[labels.group],
    )
    facts = check.facts
    assert facts["ranking.accuracy"] == pytest.approx(whole.accuracy)
    assert (facts["ranking.accuracy_low"], facts["ranking.accuracy_high"]) == (whole.accuracy_low, whole.accuracy_high)
    assert (facts["ranking.pairs"], facts["ranking.label_ties"]) == (whole.pairs, whole.label_ties)
    assert facts["ranking.margin_median"] == pytest.approx(whole.margin_median)
    assert margin_scale(scored) == facts["ranking.margin_scale"] > 0


def test_a_reward_turned_round_is_called_so(corpus: Corpus, quality: Floats) -> None:
    check = check_ranking(Scored(corpus, -quality), audit_thresholds())
    assert "swapped-labels" in ids(check)
    (finding,) = (finding for finding in check.findings if finding.id == "swapped-labels")
    assert finding.severity == "fail"
    assert finding.examples[0].note.startswith("margin -")


def test_a_guess_is_called_a_guess(corpus: Corpus, quality: Floats) -> None:
    noise = np.random.default_rng(1).normal(size=len(quality))
    assert "at-chance" in ids(check_ranking(Scored(corpus, noise), audit_thresholds()))
    constant = check_ranking(Scored(corpus, np.zeros(len(quality))), audit_thresholds())
    assert constant.facts["ranking.accuracy"] == 0.5
    assert constant.facts["ranking.strict_accuracy"] == 0.0


def test_a_part_that_is_turned_round_is_found(corpus: Corpus, quality: Floats) -> None:
    scored = Scored(corpus, quality)
    part = next(part for part in slices_of(scored) if part.kind == "chosen is" and part.name == "shorter")
    groups = corpus.comparisons.group[part.member_C]
    rewards = np.where(np.isin(corpus.responses.group, groups), -quality, quality)
    check = check_ranking(Scored(corpus, rewards), audit_thresholds())
    (finding,) = (finding for finding in check.findings if finding.id == "weak-slice")
    assert "chosen is: shorter" in finding.title


def weak_parts(odd: list[list[bool]], folder: Path) -> list[Finding]:
    """`weak-slice`, where the prompts of one source are ranked right or wrong as told, and nine in ten of the others.

    Args:
        odd: a prompt each: whether each of its pairs is ranked right; pairs share no response.
        folder: for texts.
    """
    prompts = [(f"odd {n}", "odd", pairs) for n, pairs in enumerate(odd)]
    prompts += [(f"plain {n}", "plain", [n % 10 > 0]) for n in range(300)]
    groups = [
        PreferenceGroup(
            name,
            (Message("user", name),),
            tuple((Message("assistant", f"{place:02} to {name}"),) for place in range(2 * len(pairs))),
            tuple(Comparison(2 * place, 2 * place + 1) for place in range(len(pairs))),
            source=source,
        )
        for name, source, pairs in prompts
    ]
    right = np.array([one for _, _, pairs in prompts for one in pairs])
    rewards = np.column_stack([right, ~right]).ravel().astype(np.float64)
    check = check_ranking(Scored(build_corpus(groups, folder), rewards), audit_thresholds())
    return [finding for finding in check.findings if finding.id == "weak-slice"]


def test_pairs_of_a_few_prompts_make_no_part_weak(tmp_path: Path) -> None:
    assert weak_parts([[False] * 45], tmp_path) == []
    assert weak_parts([[False] * 5] * 19, tmp_path) == []
    (finding,) = weak_parts([[False] * 5] * 20, tmp_path)
    assert "source: odd" in finding.title


def test_pairs_that_go_with_their_prompt_count_as_fewer(tmp_path: Path) -> None:
    together = [[n >= 6] * 6 for n in range(20)]
    assert weak_parts(together, tmp_path) == []
    (finding,) = weak_parts(
        [[right] for pairs in together for right in pairs], tmp_path
    )  # as many, each of its own prompt
    assert "accuracy is 0.700 on 120 pairs" in finding.title


def test_what_has_no_reward_is_left_out_and_counted(corpus: Corpus, quality: Floats) -> None:
    holes = quality.copy()
    holes[::7] = np.nan
    scored = Scored(corpus, holes)
    check = check_ranking(scored, audit_thresholds())
    assert check.facts["ranking.pairs"] + check.facts["ranking.unscored"] == corpus.comparisons.decided.sum()
    assert check.facts["ranking.unscored"] > 50
    nothing = check_ranking(Scored(corpus, np.full(len(quality), np.nan)), audit_thresholds())
    assert nothing.skipped


def test_slices_divide_what_is_usable(corpus: Corpus, quality: Floats, tmp_path: Path) -> None:
    scored = Scored(corpus, quality)
    by_kind: dict[str, int] = {}
    for part in slices_of(scored):
        assert part.member_C.sum() >= 20
        assert not (part.member_C & ~scored.usable_C).any()
        by_kind[part.kind] = by_kind.get(part.kind, 0) + int(part.member_C.sum())
    assert by_kind["chosen is"] == scored.usable_C.sum()
    assert "script" not in by_kind  # all of it is Latin
    assert max(by_kind.values()) <= scored.usable_C.sum()
