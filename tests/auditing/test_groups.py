"""Best of N on groups whose order is known, and on real rankings."""

from pathlib import Path

import numpy as np
import pytest

from palate.auditing.groups import check_groups, rank_groups
from palate.auditing.scorer import Scored
from palate.data.read import read_preferences
from palate.data.simulate import simulate
from palate.health.corpus import build_corpus
from palate.metrics import ranking_quality
from palate.records import Comparison, Message, PreferenceGroup


def group(name: str, size: int, pairs: list[tuple[int, int]], prompt: str = "") -> PreferenceGroup:
    texts = [(Message("assistant", f"answer {number} to {name}"),) for number in range(size)]
    labels = tuple(Comparison(winner, loser) for winner, loser in pairs)
    return PreferenceGroup(name, (Message("user", prompt or name),), tuple(texts), labels, where=f"x:{name}")


def scored(folder: Path, groups: list[PreferenceGroup], reward: list[float]) -> Scored:
    return Scored(build_corpus(groups, folder), np.array(reward, np.float64))


def test_a_chain_of_comparisons_is_an_order(tmp_path: Path) -> None:
    # 0 > 1 > 2 > 3: wins alone would call the first three equally good
    chain = [(0, 1), (1, 2), (2, 3)]
    found = rank_groups(scored(tmp_path, [group("a", 4, chain), group("b", 4, chain)], [4, 3, 2, 1, 1, 4, 3, 2]))
    assert found.best.tolist() == [1, 0]
    assert found.chance.tolist() == [0.25, 0.25]
    assert found.kendall.tolist() == pytest.approx([1, 0])
    assert found.ndcg[0] == 1
    worth, discount = np.array([2, 1, 0, 3]), 1 / np.log2(np.arange(2, 6))
    assert found.ndcg[1] == pytest.approx(worth @ discount / (np.sort(worth)[::-1] @ discount))


def test_every_response_that_nothing_is_preferred_to_is_a_best_one(tmp_path: Path) -> None:
    found = rank_groups(scored(tmp_path, [group("a", 4, [(0, 1), (2, 3)])], [1, 0, 5, 4]))
    assert (found.best.tolist(), found.chance.tolist()) == ([1], [0.5])
    tie = rank_groups(scored(tmp_path, [group("a", 4, [(0, 1), (2, 3)])], [5, 5, 1, 0]))
    assert tie.best.tolist() == [0.5]


def test_whole_orders_give_the_figures_of_the_metric(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    groups, gold, names = [], [], []
    for number in range(60):
        size = int(rng.integers(3, 6))
        worth = rng.permutation(size)
        pairs = [(i, j) for i in range(size) for j in range(size) if worth[i] > worth[j]]
        groups.append(group(str(number), size, pairs))
        gold += worth.tolist()
        names += [number] * size
    reward = np.array(gold) + rng.normal(size=len(gold))
    check = check_groups(scored(tmp_path, groups, reward.tolist()))
    expected = ranking_quality(reward, gold, names)
    facts = check.facts
    for name, one in (("accuracy", expected.best), ("ndcg", expected.ndcg), ("kendall", expected.kendall)):
        assert facts[f"best_of_n.{name}"] == pytest.approx(one.value)
        assert facts[f"best_of_n.{name}_low"] == pytest.approx(one.low, abs=0.02)
        assert facts[f"best_of_n.{name}_high"] == pytest.approx(one.high, abs=0.02)
    assert facts["best_of_n.chance"] == pytest.approx(expected.chance)
    by_n = facts["best_of_n.by_n"]
    assert sum(one["groups"] for one in by_n.values()) == facts["best_of_n.groups"] == 60
    mean = sum(one["groups"] * one["accuracy"] for one in by_n.values()) / 60
    assert mean == pytest.approx(facts["best_of_n.accuracy"])


def test_groups_of_a_prompt_are_resampled_together(tmp_path: Path) -> None:
    chain = [(0, 1), (1, 2)]
    apart, alike = ([group(f"{n}", 3, chain, prompt=p) for n in range(40)] for p in ("", "all ask this"))
    half = [group(f"{n}", 3, chain, prompt=f"asked by {n % 8}") for n in range(40)]
    reward = [value for n in range(40) for value in ((3, 2, 1) if n % 8 < 4 else (1, 2, 3))]
    width = []
    for groups in (apart, half):
        facts = check_groups(scored(tmp_path, groups, reward)).facts
        width.append(facts["best_of_n.accuracy_high"] - facts["best_of_n.accuracy_low"])
    assert width[1] > 1.6 * width[0]
    assert check_groups(scored(tmp_path, alike, reward)).facts["best_of_n.groups"] == 40


def test_what_cannot_be_ranked_is_counted_and_pairs_alone_are_skipped(tmp_path: Path) -> None:
    circle, chain = [(0, 1), (1, 2), (2, 0)], [(0, 1), (1, 2)]
    groups = [group("a", 3, chain), group("b", 3, chain), group("c", 3, circle), group("d", 2, [(0, 1)])]
    groups.append(group("e", 4, [*circle, (3, 0)]))
    nan = float("nan")
    check = check_groups(scored(tmp_path, groups, [3, 2, 1, nan, 2, 1, 3, 2, 1, 1, 2, 0, 1, 2, 3]))
    assert not check.skipped
    facts = check.facts
    assert (facts["best_of_n.groups"], facts["best_of_n.unscored"], facts["best_of_n.undecided"]) == (2, 1, 1)
    assert (facts["best_of_n.circular"], facts["best_of_n.accuracy"]) == (1, 1)
    pairs = check_groups(scored(tmp_path, [group("d", 2, [(0, 1)])], [1, 2]))
    assert "only pairs" in pairs.skipped
    assert pairs.facts == {}


def test_the_simulator_knows_the_best_one(tmp_path: Path) -> None:
    made = simulate(150, seed=2, responses=(4, 6))
    corpus = build_corpus(made.groups, tmp_path)
    quality = np.array([response.quality for truth in made.truth for response in truth.responses])
    facts = check_groups(Scored(corpus, quality)).facts
    assert facts["best_of_n.groups"] == 150
    assert facts["best_of_n.accuracy_low"] > 2 * facts["best_of_n.chance"]
    backwards = check_groups(Scored(corpus, -quality)).facts
    assert backwards["best_of_n.kendall_high"] < 0 < facts["best_of_n.kendall_low"]
    assert backwards["best_of_n.ndcg"] < facts["best_of_n.ndcg_chance"] < facts["best_of_n.ndcg"]


@pytest.mark.parametrize(
    ("source", "groups", "sizes"),
    [
        ("oasst/en_100_tree.jsonl.gz", 154, {"3", "4", "5", "6", "7", "8", "9"}),
        ("squality_human_eval/all-responses.jsonl.gz", 100, {"3"}),
    ],
)
def test_real_rankings(real_data: Path, tmp_path: Path, source: str, groups: int, sizes: set[str]) -> None:
    corpus = build_corpus(read_preferences(str(real_data / source), on_bad_row="skip").groups, tmp_path)
    longer = check_groups(Scored(corpus, corpus.responses.characters.astype(np.float64))).facts
    assert longer["best_of_n.groups"] == groups
    assert set(longer["best_of_n.by_n"]) <= sizes
    assert longer["best_of_n.accuracy_low"] <= longer["best_of_n.accuracy"] <= longer["best_of_n.accuracy_high"]
    assert longer["best_of_n.kendall_low"] > 0  # people prefer what is longer
    noise = check_groups(Scored(corpus, np.random.default_rng(0).normal(size=len(corpus.responses.group)))).facts
    assert noise["best_of_n.kendall_low"] < 0 < noise["best_of_n.kendall_high"]
    assert noise["best_of_n.accuracy"] == pytest.approx(noise["best_of_n.chance"], abs=0.12)
