"""Words, shingles and band keys against slow oracles; neighbours against a comparison of all pairs."""

import unicodedata
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from palate.data.simulate import simulate
from palate.health.corpus import build_corpus
from palate.health.texts import neighbours as neighbours_module
from palate.health.texts.forms import plain_text
from palate.health.texts.neighbours import NEAR, Neighbours, neighbours
from palate.health.texts.similarity import BANDS, CHUNK, ROWS, band_keys, keys_of, shingles
from palate.health.texts.words import Hashes, runs, word_hashes

quick = settings(max_examples=80, deadline=None, derandomize=True)
WORDS = [f"word{number}" for number in range(5000)]
texts_of_all_kinds = st.lists(
    st.text(
        alphabet=st.one_of(
            st.sampled_from("ab Z9_.,-+*\n\u00a0éİß½日本ア가ไท🙂\ufe0f\ud800e\u0301\u200d"),
            st.characters(),
        ),
        max_size=40,
    ),
    max_size=6,
)


def slow_words(text: str, *, signs: bool = True) -> list[str]:
    """One character after the other."""
    words, inside = [], False
    for character in unicodedata.normalize("NFKC", text).lower():
        category = unicodedata.category(character)
        sign = category == "Sm" or character in "-*/%^"
        alone = "\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff" or ord(character) >= 0x20000
        if alone or (sign and signs):
            words.append(character)
            inside = False
        elif category[0] in "LNM" and not sign:
            if inside:
                words[-1] += character
            else:
                words.append(character)
            inside = True
        else:
            inside = False
    return words


def slow_shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = slow_words(text)
    padded = ["", *words, ""]
    return frozenset(pairwise(padded)) if words else frozenset()


def slow_similarity(one: str, other: str) -> float:
    left, right = slow_shingles(one), slow_shingles(other)
    return len(left & right) / len(left | right) if left | right else 0.0


def random_text(rng: np.random.Generator, length: int) -> list[str]:
    return rng.choice(WORDS, length).tolist()


def edited(rng: np.random.Generator, words: list[str], edits: int) -> list[str]:
    """Some words exchanged, none twice."""
    words = list(words)
    for place in rng.choice(len(words), edits, replace=False):
        words[place] = f"new{rng.integers(10**9)}"
    return words


@pytest.mark.parametrize("signs", [True, False])
@quick
@given(texts=texts_of_all_kinds)
def test_words_are_those_of_a_slow_loop(signs: bool, texts: list[str]) -> None:
    fast, slow = word_hashes(texts, signs=signs), [slow_words(text, signs=signs) for text in texts]
    assert fast.counts.tolist() == [len(words) for words in slow]
    flat = [word for words in slow for word in words]
    name_of: dict[int, str] = {}
    for value, word in zip(fast.values.tolist(), flat, strict=True):
        assert name_of.setdefault(value, word) == word
    assert len(name_of) == len(set(flat))


@quick
@given(texts_of_all_kinds)
def test_shingles_are_those_of_a_slow_loop(texts: list[str]) -> None:
    fast, slow = shingles(texts), [slow_shingles(text) for text in texts]
    sets = [set(part.tolist()) for part in np.split(fast.values, fast.start[1:-1])] if texts else []
    assert [len(one) for one in sets] == [len(one) for one in slow]
    for (i, one), (j, other) in combinations(enumerate(sets), 2):
        assert len(one & other) == len(slow[i] & slow[j])


@quick
@given(texts_of_all_kinds, st.integers(1, 5))
def test_runs_are_those_of_a_slow_loop(texts: list[str], n: int) -> None:
    fast = runs(word_hashes(texts), n)
    slow = [[tuple(words[i : i + n]) for i in range(len(words) - n + 1)] for words in map(slow_words, texts)]
    assert fast.counts.tolist() == [len(one) for one in slow]
    flat = [run for one in slow for run in one]
    assert len(np.unique(fast.values)) == len(set(flat))
    assert fast.text.tolist() == [number for number, one in enumerate(slow) for _ in one]


def test_the_order_of_the_words_in_a_run_counts() -> None:
    one, other = (runs(word_hashes([text]), 3).values for text in ("a b c", "c b a"))
    assert one != other


def test_case_form_and_punctuation_do_not_count_but_arithmetic_does() -> None:
    texts = ["What's 2 + 2, then?", "WHAT'S  \uff12 + 2: THEN", "What's 2 * 2, then?", "What s 2 2 then"]
    keys = band_keys(texts)
    assert (keys[0] == keys[1]).all()
    others = Neighbours.plain(keys, texts.__getitem__).similarity(np.array([[0, 1], [0, 2], [0, 3]]))
    assert others == pytest.approx([1, 5 / 9, 5 / 8])


def test_keys_do_not_depend_on_the_other_texts() -> None:
    texts = [plain_text(group.prompt) for group in simulate(CHUNK + 40).groups]
    together = band_keys(texts)
    assert together.shape == (CHUNK + 40, BANDS)
    assert (together == np.concatenate([band_keys([text]) for text in texts])).all()
    assert band_keys([]).shape == (0, BANDS)


@pytest.mark.parametrize("text", ["", " \n", "?!", "🙂🙂", "\ud800"])
def test_texts_without_words_match_nothing(text: str) -> None:
    texts = [text, text, "yes", "?"]
    assert (band_keys(texts)[0] == 0).all()
    found = neighbours(band_keys(texts), texts.__getitem__)
    assert found.clusters(np.arange(4)).tolist() == [0, 1, 2, 3]
    assert found.matches(np.array([0]), np.array([1, 2, 3]))[0].tolist() == [-1]
    assert found.similarity(np.array([[0, 1]])).tolist() == [0.0]


def test_short_texts_match_only_themselves() -> None:
    texts = ["Yes", "No", "A", "B", "Yes yes", "Yes, no", "No, yes", "yes!", "日", "月", "日本", "7", "8"]
    found = neighbours(band_keys(texts), texts.__getitem__)
    assert found.clusters(np.arange(len(texts))).tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 8, 9, 10, 11, 12]


@pytest.mark.parametrize(("similarity", "least", "most"), [(0.3, 0, 0.012), (0.4, 0, 0.05), (0.8, 0.97, 1)])
def test_how_many_pairs_are_found_is_what_the_formula_says(similarity: float, least: float, most: float) -> None:
    rng, size, tries = np.random.default_rng(1), 100, 2500
    shared = round(2 * size * similarity / (1 + similarity))
    exact = shared / (2 * size - shared)
    values = rng.integers(0, 2**63, (tries, 2 * size - shared), dtype=np.uint64) * np.uint64(2)
    pairs = np.concatenate([values[:, :size], values[:, :shared], values[:, size:]], axis=1)
    keys = keys_of(Hashes(pairs.ravel(), np.arange(0, 2 * tries * size + 1, size)))
    found = (keys[0::2] == keys[1::2]).any(axis=1).mean()
    expected = 1 - (1 - exact**ROWS) ** BANDS
    assert abs(found - expected) < 4 * (expected * (1 - expected) / tries) ** 0.5 + 0.002
    assert least <= found <= most


def test_similarity_is_that_of_sets_of_word_pairs() -> None:
    rng = np.random.default_rng(2)
    base = random_text(rng, 60)
    texts = [" ".join(edited(rng, base, edits)) for edits in range(0, 40, 4)] + ["", "one"]
    pairs = np.array(list(combinations(range(len(texts)), 2)))
    fast = Neighbours.plain(band_keys(texts), texts.__getitem__).similarity(pairs)
    assert fast == pytest.approx([slow_similarity(texts[i], texts[j]) for i, j in pairs])


def families(rng: np.random.Generator, number: int, members: Callable[[], int]) -> list[str]:
    """Texts in families that share most of their words, in random order."""
    texts = []
    for _ in range(number):
        base = random_text(rng, int(rng.integers(20, 120)))
        texts += [" ".join(edited(rng, base, int(rng.integers(0, len(base) // 8)))) for _ in range(members())]
    return [texts[place] for place in rng.permutation(len(texts))]


def test_clusters_are_those_of_comparing_all_pairs() -> None:
    rng = np.random.default_rng(3)
    texts = families(rng, 120, lambda: int(rng.integers(1, 7)))
    sets = [slow_shingles(text) for text in texts]
    near = [
        (i, j) for i, j in combinations(range(len(texts)), 2) if len(sets[i] & sets[j]) >= NEAR * len(sets[i] | sets[j])
    ]
    graph = coo_array((np.ones(len(near)), np.array(near).T), shape=(len(texts),) * 2)
    count, slow = connected_components(graph, directed=False)
    fast = neighbours(band_keys(texts), texts.__getitem__).clusters(np.arange(len(texts)))
    # whatever is joined is joined by pairs that are truly alike, and hardly any such pair is missed
    assert all(slow[row] == slow[first] for row, first in enumerate(fast))
    assert sum(fast[i] == fast[j] for i, j in near) >= 0.985 * len(near)
    assert count < len(np.unique(fast)) + 1 <= count + 4
    assert len(near) > 150


def test_rows_can_be_a_selection() -> None:
    rng = np.random.default_rng(4)
    texts = families(rng, 20, lambda: 3)
    found = neighbours(band_keys(texts), texts.__getitem__)
    rows = np.array([50, 3, 17, 40, 41, 42, 8])
    alone = [texts[row] for row in rows]
    expected = neighbours(band_keys(alone), alone.__getitem__).clusters(np.arange(7))
    assert found.clusters(rows).tolist() == expected.tolist()


def test_matches_finds_a_near_duplicate_where_there_is_one() -> None:
    rng = np.random.default_rng(5)
    ours = [random_text(rng, 40) for _ in range(400)]
    theirs = [edited(rng, ours[n], 1) if n % 2 else random_text(rng, 40) for n in range(400)]
    texts = [" ".join(words) for words in ours + theirs]
    found = neighbours(band_keys(texts), texts.__getitem__)
    match, similarity = found.matches(np.arange(400, 800), np.arange(400))
    hit = match >= 0
    assert not hit[::2].any()
    assert hit[1::2].mean() >= 0.99
    assert (match[hit] == np.flatnonzero(hit)).all()
    assert (similarity[hit] >= NEAR).all()
    assert found.matches(np.arange(3), np.empty(0, np.int64))[0].tolist() == [-1, -1, -1]


def test_boilerplate_is_left_out_of_what_makes_texts_alike() -> None:
    """A system message that all prompts share makes none of them near-duplicates, and hides none that are."""
    rng = np.random.default_rng(6)
    system = "system: " + " ".join(random_text(rng, 200))
    questions = [random_text(rng, 20) for _ in range(300)]
    questions += [edited(rng, questions[n], 1) for n in range(40)]
    others = [" ".join(random_text(rng, 30)) for _ in range(200)]
    texts = [f"{system}\n\nuser: {' '.join(words)}" for words in questions] + others
    assert slow_similarity(texts[0], texts[1]) > NEAR
    found = neighbours(band_keys(texts), texts.__getitem__)
    first = found.clusters(np.arange(len(texts)))
    assert found.boilerplate.tolist() == [True] * 340 + [False] * 200
    assert (first[300:340] == np.arange(40)).mean() >= 0.97
    assert found.similarity(np.array([[0, 1], [0, 400]])).max() < 0.1
    assert (np.delete(first, np.arange(300, 340)) == np.delete(np.arange(540), np.arange(300, 340))).all()


def test_all_of_a_small_bucket_are_compared() -> None:
    """Texts that share a key by chance do not stand between those that are alike."""
    rng = np.random.default_rng(8)
    texts = [" ".join(random_text(rng, 30)) for _ in range(8)]
    texts.append(texts[0] + " more")
    keys = np.zeros((9, BANDS), np.uint64)
    keys[:, 3] = 7
    assert neighbours(keys, texts.__getitem__).clusters(np.arange(9)).tolist() == [*range(8), 0]
    assert neighbours(keys, texts.__getitem__).matches(np.array([8]), np.arange(8)[::-1])[0].tolist() == [0]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs each comparison had."""
    counts: list[int] = []
    similarity = Neighbours._similarity

    def counted(self: Neighbours, pairs: np.ndarray) -> np.ndarray:
        counts.append(len(pairs))
        return similarity(self, pairs)

    monkeypatch.setattr(Neighbours, "_similarity", counted)
    return counts


def test_a_large_bucket_costs_no_more_comparisons_than_its_size(
    compared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(7)
    base = random_text(rng, 150)
    texts = [" ".join(edited(rng, base, 4)) for _ in range(60)] * 20
    monkeypatch.setattr(neighbours_module, "_WIDE", 10**9)  # as if it were no boilerplate
    first = neighbours(band_keys(texts), texts.__getitem__).clusters(np.arange(len(texts)))
    assert (first == 0).all()
    assert sum(compared) < len(texts) * BANDS


def test_empty_texts_are_not_even_compared(compared: list[int]) -> None:
    texts = [""] * 200
    found = neighbours(band_keys(texts), texts.__getitem__)
    assert not found.boilerplate.any()
    found.clusters(np.arange(200))
    found.matches(np.arange(100), np.arange(100, 200))
    assert sum(compared) == 0


def test_keys_are_the_same_in_other_processes(tmp_path: Path) -> None:
    """And measuring in this process first does not stop the others, as a library with threads of its own would."""
    groups = simulate(1200).groups
    here = band_keys([plain_text(group.prompt) for group in groups])
    corpus = build_corpus(groups, tmp_path, workers=2)
    assert (corpus.groups.prompt_bands == here).all()
