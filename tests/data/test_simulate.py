"""The simulated set: reproducible, sound in shape, readable only by reading, and flawed exactly as asked."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest

from palate.data.rows import group_to_row, row_to_group
from palate.data.simulate import FAMILIES, Annotators, Flaws, SimulatedSet, compose, simulate, write_jsonl
from palate.data.split import split_by_prompt
from palate.data.strengths import STRENGTH_MARGINS
from palate.errors import ConfigError, DataError
from palate.records import Comparison, Message, PreferenceGroup, Vote

CAREFUL = Annotators(position_bias=0, length_bias=0)


@cache
def default_set() -> SimulatedSet:
    return simulate()


def texts(group: PreferenceGroup) -> list[str]:
    return [response[-1].content for response in group.responses]


def lengths(group: PreferenceGroup, comparison: Comparison) -> tuple[int, int]:
    shown = texts(group)
    return len(shown[comparison.winner]), len(shown[comparison.loser])


# ---- reproducible


def digest(made: SimulatedSet) -> str:
    return hashlib.sha256(repr((made.groups, made.truth)).encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "77"])
def test_same_seed_gives_the_same_set_in_another_process(hash_seed: str) -> None:
    code = (
        "import hashlib; from palate.data.simulate import Flaws, simulate; "
        "m = simulate(150, seed=5, flaws=Flaws(0.1, 0.1, 0.5, 0.1, 0.1, 0.1)); "
        "print(hashlib.sha256(repr((m.groups, m.truth)).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == digest(simulate(150, seed=5, flaws=Flaws(0.1, 0.1, 0.5, 0.1, 0.1, 0.1)))


def test_another_seed_gives_another_set() -> None:
    assert digest(simulate(50, seed=1)) != digest(simulate(50, seed=2))


# ---- shape


def test_default_set_has_the_promised_size() -> None:
    groups = default_set().groups
    assert len(groups) == 1200
    assert 2000 <= sum(len(group.comparisons) for group in groups) <= 2500


def test_families_are_all_there_and_even() -> None:
    counts = Counter(truth.family for truth in default_set().truth)
    assert set(counts) == set(FAMILIES)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_every_number_of_responses_occurs_and_no_other() -> None:
    assert set(Counter(len(group.responses) for group in default_set().groups)) == {2, 3, 4, 5, 6}
    assert {len(group.responses) for group in simulate(40, responses=(3, 3)).groups} == {3}


def test_nothing_is_repeated_unless_asked_for() -> None:
    groups = default_set().groups
    assert len({group.id for group in groups}) == len(groups)
    assert len({group.prompt_hash for group in groups}) == len(groups)
    assert all(len(set(texts(group))) == len(group.responses) for group in groups)


def test_comparisons_of_a_group_hang_together() -> None:
    for group in default_set().groups:
        reached = {0}
        for _ in group.responses:
            for pair in ({c.winner, c.loser} for c in group.comparisons):
                reached |= pair if pair & reached else set()
        assert reached == set(range(len(group.responses)))
        assert len(group.comparisons) == len(group.responses) - 1


def test_texts_are_short_and_finished() -> None:
    groups = default_set().groups
    prompts = [len(group.prompt[0].content.split()) for group in groups]
    responses = [len(text.split()) for group in groups for text in texts(group)]
    assert min(prompts) >= 5
    assert max(prompts) <= 35
    assert max(responses) <= 50
    assert 8 <= np.median(responses) <= 16
    assert not any("{answer}" in text or "{}" in text for group in groups for text in texts(group))


def test_truth_is_aligned_with_the_groups() -> None:
    made = default_set()
    for group, truth in zip(made.groups, made.truth, strict=True):
        assert truth.id == group.id
        assert len(truth.responses) == len(group.responses)
        for comparison, behind in zip(group.comparisons, truth.comparisons, strict=True):
            first, second = (truth.responses[index].quality for index in (comparison.winner, comparison.loser))
            assert behind.gap == pytest.approx(abs(first - second), abs=1e-3)
            assert behind.better == (comparison.winner if first >= second else comparison.loser)


@pytest.mark.parametrize(
    "arguments",
    [
        {"families": ("cooking",)},
        {"families": ()},
        {"num_prompts": 0},
        {"responses": (1, 2)},
    ],
)
def test_impossible_wishes_are_refused(arguments: dict) -> None:
    with pytest.raises(ConfigError):
        simulate(**arguments)


def test_a_family_without_fresh_prompts_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    only = compose._DRAW["facts"](Random(0))
    monkeypatch.setitem(compose._DRAW, "facts", lambda rng: only)
    with pytest.raises(ConfigError, match="facts has no more prompts"):
        simulate(200, families=("facts",))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_can_stand_alone(family: str) -> None:
    for seed in range(5):
        assert len(simulate(2, seed=seed, families=(family,)).groups) == 2


@pytest.mark.parametrize("flaw", ["length_bias", "flipped", "dominant", "leaks", "duplicates", "artefact"])
def test_a_rate_above_one_is_refused_by_name(flaw: str) -> None:
    with pytest.raises(ConfigError, match=flaw):
        Flaws(**{flaw: 1.2})


# ---- a model has to read


def labelled(groups: tuple[PreferenceGroup, ...]) -> list[tuple[str, str, str]]:
    found = []
    for group in groups:
        shown = texts(group)
        pairs = [(c.winner, c.loser) for c in group.comparisons if not c.is_tie]
        found += [(group.prompt[0].content, shown[winner], shown[loser]) for winner, loser in pairs]
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_length_says_nothing(seed: int) -> None:
    pairs = labelled(simulate(seed=seed).groups)
    longer = np.mean([0.5 if len(won) == len(lost) else len(won) > len(lost) for _, won, lost in pairs])
    assert 0.45 < longer < 0.55


@pytest.mark.parametrize("with_prompt", [False, True])
def test_word_counts_say_little(with_prompt: bool) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    training, held_out = split_by_prompt(default_set().groups, 0.2)
    vectorizer = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\b\w+\b")

    def sides(groups: tuple[PreferenceGroup, ...]) -> tuple[list[str], list[str]]:
        pairs = labelled(groups)
        lead = [f"{prompt} " if with_prompt else "" for prompt, _, _ in pairs]
        return (
            [p + won for p, (_, won, _) in zip(lead, pairs, strict=True)],
            [p + lost for p, (_, _, lost) in zip(lead, pairs, strict=True)],
        )

    won, lost = sides(training)
    vectorizer.fit(won + lost)
    difference = vectorizer.transform(won) - vectorizer.transform(lost)
    sign = np.where(np.arange(len(won)) % 2, -1, 1)
    model = LogisticRegression(C=0.1, fit_intercept=False, max_iter=300).fit(difference.multiply(sign[:, None]), sign)
    won, lost = sides(held_out)
    margin = (vectorizer.transform(won) - vectorizer.transform(lost)) @ model.coef_[0]
    assert len(margin) > 400
    assert np.mean(margin > 0) < 0.70


def test_most_pairs_are_plain_and_some_are_hard() -> None:
    defects: Counter[str] = Counter()
    for group, truth in zip(default_set().groups, default_set().truth, strict=True):
        for comparison, behind in zip(group.comparisons, truth.comparisons, strict=True):
            worse = comparison.loser if behind.better == comparison.winner else comparison.winner
            defects[truth.responses[worse].defect] += 1
    subtle = sum(defects[name] for name in ("wrong", "unit-wrong", "count-wrong", "contradiction"))
    assert 0.12 < subtle / defects.total() < 0.28


# ---- annotators


def votes_by_annotator(made: SimulatedSet, *, clear: bool) -> dict[str, list[bool]]:
    """Whether each vote that was not a shrug went to the better response, where the gap is clear or is none."""
    right: dict[str, list[bool]] = {}
    for group, truth in zip(made.groups, made.truth, strict=True):
        for comparison, behind in zip(group.comparisons, truth.comparisons, strict=True):
            if (behind.gap >= 0.25) if clear else (behind.gap < 0.05):
                for vote in (vote for vote in comparison.votes if vote.preferred is not None):
                    right.setdefault(vote.annotator, []).append(vote.preferred == behind.better)
    return right


def test_annotators_are_as_accurate_as_stated() -> None:
    right = votes_by_annotator(simulate(2000, annotators=CAREFUL), clear=True)
    assert sorted(right) == [f"ann-{number:02d}" for number in range(1, 6)]
    for name, votes in right.items():
        assert np.mean(votes) == pytest.approx(CAREFUL.competence_of(name), abs=0.02)


def test_annotators_guess_where_nothing_is_better() -> None:
    right = votes_by_annotator(simulate(2000, annotators=CAREFUL), clear=False)
    assert 0.35 < np.mean([vote for votes in right.values() for vote in votes]) < 0.75


def test_labels_are_mostly_right_and_sometimes_tied() -> None:
    made = default_set()
    pairs = [
        (comparison, behind)
        for group, truth in zip(made.groups, made.truth, strict=True)
        for comparison, behind in zip(group.comparisons, truth.comparisons, strict=True)
    ]
    assert any(comparison.is_tie for comparison, _ in pairs)
    right = np.mean([comparison.winner == behind.better for comparison, behind in pairs if not comparison.is_tie])
    assert 0.94 < right < 0.99
    for comparison, _ in pairs:
        share = sum(0.5 if v.preferred is None else v.preferred == comparison.winner for v in comparison.votes) / 3
        assert comparison.probability == pytest.approx(share)
        assert len({vote.annotator for vote in comparison.votes}) == 3


def test_position_bias_favours_the_response_shown_first() -> None:
    made = simulate(400, annotators=Annotators(position_bias=0.6, length_bias=0))
    votes = [(v.preferred, c) for g in made.groups for c in g.comparisons for v in c.votes if v.preferred is not None]
    first = np.mean([preferred == min(c.winner, c.loser) for preferred, c in votes])
    assert first == pytest.approx(0.6 + 0.4 * 0.5, abs=0.05)


def test_an_impossible_panel_is_refused() -> None:
    for wrong in ({"votes": 6}, {"competence": (0.4, 0.9)}, {"length_bias": 0.8, "position_bias": 0.4}):
        with pytest.raises(ConfigError):
            Annotators(**wrong)


# ---- planted flaws, at the rate asked for


def test_no_flaw_is_planted_by_default() -> None:
    planted = default_set().planted
    assert (planted.length_votes, planted.flipped, planted.leaks, planted.duplicates, planted.artefacts) == (0,) * 5


def test_length_bias_sends_that_share_of_votes_to_the_longer() -> None:
    planted = simulate(flaws=Flaws(length_bias=0.5), annotators=CAREFUL)
    pairs = [(g, c) for g in planted.groups for c in g.comparisons if len(set(lengths(g, c))) == 2]
    votes = [(g, v.preferred, c) for g, c in pairs for v in c.votes if v.preferred is not None]
    longer = np.mean([len(texts(g)[won]) == max(lengths(g, c)) for g, won, c in votes])
    assert longer == pytest.approx(0.5 + 0.5 * 0.5, abs=0.04)
    assert planted.planted.length_votes / planted.planted.votes == pytest.approx(0.5, abs=0.03)


def test_flipped_labels_are_wrong_labels() -> None:
    perfect = Annotators(competence=(1, 1), position_bias=0, length_bias=0)
    made = simulate(flaws=Flaws(flipped=0.2), annotators=perfect)
    assert made.planted.flipped / made.planted.comparisons == pytest.approx(0.2, abs=0.03)
    for group, truth in zip(made.groups, made.truth, strict=True):
        for comparison, behind in zip(group.comparisons, truth.comparisons, strict=True):
            if behind.gap >= 0.25 and not comparison.is_tie:
                assert (comparison.winner != behind.better) == behind.flipped


@pytest.mark.parametrize("share", [0.4, 0.8])
def test_one_annotator_dominates_as_asked(share: float) -> None:
    made = simulate(flaws=Flaws(dominant=share))
    voters = Counter(vote.annotator for group in made.groups for c in group.comparisons for vote in c.votes)
    assert voters["ann-01"] / voters.total() == pytest.approx(share, abs=0.04)
    assert voters["ann-01"] == made.planted.dominant_votes
    assert len(voters) == 5


def test_leaked_prompts_come_back_with_other_responses() -> None:
    made = simulate(300, flaws=Flaws(leaks=0.1))
    groups = {group.id: group for group in made.groups}
    leaked = [truth for truth in made.truth if truth.leaked_from]
    assert len(leaked) == made.planted.leaks == 30
    assert len({group.prompt_hash for group in made.groups}) == 300
    for truth in leaked:
        again, original = groups[truth.id], groups[truth.leaked_from]
        assert again.prompt == original.prompt
    assert sum(groups[t.id].responses != groups[t.leaked_from].responses for t in leaked) >= 28


def test_duplicates_are_copies_under_another_id() -> None:
    made = simulate(300, flaws=Flaws(duplicates=0.1))
    groups = {group.id: group for group in made.groups}
    copied = [truth for truth in made.truth if truth.duplicate_of]
    assert len(groups) == 330
    assert len(copied) == made.planted.duplicates == 30
    for truth in copied:
        assert replace(groups[truth.id], id=truth.duplicate_of) == groups[truth.duplicate_of]


def test_the_artefact_marks_the_best_response_alone() -> None:
    made = simulate(flaws=Flaws(artefact=0.3))
    marks = ("I hope this helps!", "**Answer**", "- ")

    def marked(text: str) -> bool:
        return text.endswith(marks[0]) or text.startswith(marks[1:])

    assert made.planted.artefacts / len(made.groups) == pytest.approx(0.3, abs=0.04)
    for group, truth in zip(made.groups, made.truth, strict=True):
        if not truth.kind.startswith("formats"):  # a bullet may be asked for there
            best = {n for n, response in enumerate(truth.responses) if not response.defect}
            found = {n for n, text in enumerate(texts(group)) if marked(text) and "\n" not in text}
            assert len(found) == truth.artefact
            assert found <= best


# ---- rows


def test_rows_give_the_groups_back(tmp_path: Path) -> None:
    made = simulate(60)
    write_jsonl(made, tmp_path / "made.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text(encoding="utf-8").splitlines()]
    assert tuple(replace(row_to_group(row, "made.jsonl:1"), where="") for row in rows) == made.groups
    strengths = {c["strength"] for row in rows for c in row["comparisons"]}
    assert strengths == {"slightly better", "better", "much better"} <= set(STRENGTH_MARGINS)


def test_every_field_of_a_group_survives_its_row() -> None:
    group = PreferenceGroup(
        id="g",
        prompt=(Message("system", "Be kind."), Message("user", "Hé?")),
        responses=((Message("assistant", "a"),), (Message("tool", "t"), Message("assistant", "b"))),
        comparisons=(Comparison(1, 0, margin=0.5, probability=0.75, weight=2.0, votes=(Vote("w", None),)),),
        where="f:3",
    )
    assert row_to_group(json.loads(json.dumps(group_to_row(group))), "f:3") == group


def test_strength_becomes_a_margin_only_when_asked() -> None:
    comparison = {"winner": 0, "loser": 1, "strength": "better"}
    row = {"prompt": "?", "responses": ["a", "b"], "comparisons": [comparison]}
    assert row_to_group(row, "f:1").comparisons[0].margin == 0
    assert row_to_group(row, "f:1", STRENGTH_MARGINS).comparisons[0].margin == 2 / 3
    row["comparisons"] = [{**comparison, "margin": 0.2}]
    assert row_to_group(row, "f:1", STRENGTH_MARGINS).comparisons[0].margin == 0.2


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"responses": ["a"]}, "too-few-responses", "responses"),
        ({"responses": "ab"}, "wrong-type", "responses"),
        ({"responses": ["a", 3]}, "wrong-type", "responses[1]"),
        ({"responses": ["a", [{"role": "user", "content": "x"}]]}, "unknown-role", "responses[1]"),
        ({"prompt": 7}, "wrong-type", "prompt"),
        ({"prompt": [{"role": "human", "content": "x"}]}, "unknown-role", "prompt"),
        ({"id": 1.5}, "wrong-type", "id"),
        ({"comparisons": None}, "wrong-type", "comparisons"),
        ({"comparisons": [3]}, "wrong-type", "comparisons[0]"),
        ({"comparisons": [{"winner": 0, "loser": 0}]}, "bad-index", "comparisons[0]"),
        ({"comparisons": [{"winner": 0, "loser": 2}]}, "bad-index", "comparisons[0].loser"),
        ({"comparisons": [{"winner": True, "loser": 0}]}, "bad-index", "comparisons[0].winner"),
        ({"comparisons": [{"winner": 0, "loser": 1, "margn": 1}]}, "unknown-field", "comparisons[0]"),
        ({"comparisons": [{"winner": 0, "loser": 1, "margin": float("nan")}]}, "wrong-type", "comparisons[0].margin"),
        ({"comparisons": [{"winner": 0, "loser": 1, "weight": -1}]}, "out-of-range", "comparisons[0].weight"),
        (
            {"comparisons": [{"winner": 0, "loser": 1, "probability": 0.2}]},
            "out-of-range",
            "comparisons[0].probability",
        ),
        (
            {"comparisons": [{"winner": 0, "loser": 1, "strength": "meh"}]},
            "unknown-strength",
            "comparisons[0].strength",
        ),
        (
            {"comparisons": [{"winner": 0, "loser": 1, "votes": [{"annotator": "w"}]}]},
            "wrong-type",
            "comparisons[0].votes",
        ),
        (
            {"comparisons": [{"winner": 0, "loser": 1, "votes": [{"annotator": "w", "preferred": 2}]}]},
            "bad-index",
            "comparisons[0].votes",
        ),
    ],
)
def test_a_malformed_row_is_named(change: dict, reason: str, field: str) -> None:
    row = {"id": "g", "prompt": "?", "responses": ["a", "b", "c"][:2], "comparisons": []} | change
    with pytest.raises(DataError, match="f:9") as caught:
        row_to_group(row, "f:9", STRENGTH_MARGINS)
    assert (caught.value.reason, caught.value.field) == (reason, field)


@pytest.mark.parametrize("name", ["responses", "comparisons"])
def test_a_missing_column_is_named(name: str) -> None:
    row = {"prompt": "?", "responses": ["a", "b"], "comparisons": []}
    del row[name]
    with pytest.raises(DataError) as caught:
        row_to_group(row, "f:9")
    assert (caught.value.reason, caught.value.field) == ("missing-field", name)
