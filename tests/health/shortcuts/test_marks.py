"""The randomization test against enumeration, Holm's procedure by hand, and what length explains."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from palate.health.corpus import Corpus, build_corpus
from palate.health.pairs import Share, decided_pairs
from palate.health.shortcuts.marks import Mark, adjusted, longer_advantage, marks_of, openings_of, sign_flip_p
from palate.records import Comparison, Message, PreferenceGroup


def corpus_of(folder: Path, pairs: list[tuple[str, str, str]]) -> Corpus:
    """Of prompts, chosen and rejected texts."""
    groups = (
        PreferenceGroup(
            id=str(number),
            prompt=(Message("user", prompt),),
            responses=((Message("assistant", chosen),), (Message("assistant", rejected),)),
            comparisons=(Comparison(0, 1),),
        )
        for number, (prompt, chosen, rejected) in enumerate(pairs)
    )
    return build_corpus(groups, folder)


@pytest.mark.parametrize("seed", range(6))
def test_p_values_are_those_of_all_ways_to_turn_prompts_round(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prompt = rng.integers(0, 9, 24)
    side = rng.choice([-1, 1], 24, p=[0.3, 0.7])
    net = np.array([side[prompt == one].sum() for one in np.unique(prompt)])
    sums = [abs(int((net * signs).sum())) for signs in product([-1, 1], repeat=len(net))]
    assert sign_flip_p(side, prompt) == pytest.approx(np.mean([one >= abs(net.sum()) for one in sums]))


def test_many_prompts_are_approximated() -> None:
    few = sign_flip_p(np.repeat([1, -1], [228, 172]), np.arange(400))
    many = sign_flip_p(np.repeat([1, -1], [229, 173]), np.arange(402))
    assert 0.004 < few < 0.01
    assert many == pytest.approx(few, rel=0.2)
    assert sign_flip_p(np.repeat([1, -1], 500), np.arange(1000)) == 1.0


def test_pairs_of_one_prompt_are_no_independent_evidence() -> None:
    assert sign_flip_p(np.ones(40, int), np.repeat(np.arange(4), 10)) == pytest.approx(2 * 0.5**4)


def mark(name: str, p_value: float) -> Mark:
    return Mark(name, Share(0.5, 0.4, 0.6, 9), 0.5, p_value, np.arange(9), np.ones(9, np.bool_))


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    found = adjusted([mark("a", 0.04), mark("b", 0.01), mark("c", 0.03), mark("d", 0.6)])
    assert [(one.name, round(one.p_value, 3)) for one in found] == [("b", 0.04), ("c", 0.09), ("a", 0.09), ("d", 0.6)]


def test_a_mark_counts_the_side_with_more_of_it(tmp_path: Path) -> None:
    pairs = [(f"q{n}", "**a** **b** yes", "**a** no ok") for n in range(9)] + [("q9", "plain text", "**c** text")]
    pairs += [(f"r{n}", "**a** one", "**b** two") for n in range(5)]
    corpus = corpus_of(tmp_path, pairs)
    (bold,) = marks_of(corpus, decided_pairs(corpus), ("bold", "emoji"))
    assert (bold.name, bold.wins.value, bold.rows.tolist()) == ("bold", 0.9, list(range(10)))
    assert bold.won.tolist() == [True] * 9 + [False]
    assert bold.p_value == pytest.approx(2 * 11 / 2**10)
    together = marks_of(corpus, decided_pairs(corpus), ("ornaments",))
    assert together[0].wins == bold.wins


def test_what_goes_with_length_alone_is_expected(tmp_path: Path) -> None:
    """Longer responses win 3 of 4, and have more digits because they are longer; nobody cares for digits."""
    pairs = []
    for n in range(400):
        short, long = " ".join(["7"] * 5), " ".join(["7"] * 15)
        pairs.append((f"q{n}", long, short) if n % 4 else (f"q{n}", short, long))
    corpus = corpus_of(tmp_path, pairs)
    (digits,) = marks_of(corpus, decided_pairs(corpus), ("digits",))
    assert digits.wins.value == pytest.approx(0.75)
    assert digits.expected == pytest.approx(0.75, abs=0.01)
    assert digits.beyond_length.value == pytest.approx(0.5, abs=0.01)
    advantage = longer_advantage(corpus, decided_pairs(corpus))
    assert np.unique(np.sign(advantage), return_counts=True)[1].tolist() == [100, 300]


def test_openings_are_found_by_name(tmp_path: Path) -> None:
    pairs = [(f"q{n}", "Sure, here it is.", f"Well {n} is it.") for n in range(20)]
    pairs += [(f"r{n}", f"No {n} way.", "Maybe so.") for n in range(10)]
    pairs += [(f"s{n}", "Yes.", f"Or {n} not.") for n in range(10)]
    corpus = corpus_of(tmp_path, pairs)
    openings = openings_of(corpus, decided_pairs(corpus))
    found = {one.name: one for one in openings}
    assert found['"sure"'].wins.value == found['"sure here"'].wins.value == 1
    assert found['"well"'].wins.value == 0
    assert found['"maybe so"'].wins.count == 10
    assert '"well 3"' not in found  # once
    assert (found['"yes"'].wins.count, len(found)) == (10, len(openings))  # one word is not listed as two
    assert found['"sure"'].p_value < 0.001
