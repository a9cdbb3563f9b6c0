"""What goes into a store comes out of it, and nothing has to be in memory for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palate.data.store import TokenStore, digest, to_batch, write_batches
from palate.records import Comparison, TokenizedGroup, Vote
from palate.testing.groups import token_group, with_system_turn

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COMPARISONS = st.lists(st.builds(Comparison, st.just(0), st.just(1), NUMBERS, st.floats(0.5, 1), NUMBERS), max_size=4)


def stored(path: Path, groups: list[TokenizedGroup], *, batch: int = 3) -> TokenStore:
    write_batches(path, (to_batch(groups[at : at + batch]) for at in range(0, len(groups), batch)))
    return TokenStore.open(path)


def assert_same(ours: TokenizedGroup, theirs: TokenizedGroup) -> None:
    for name in ("id", "prompt_hash", "response_starts", "comparisons", "where", "truncated_tokens", "computed_tokens"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert len(ours.sequences) == len(theirs.sequences)
    for a, b in zip(ours.sequences, theirs.sequences, strict=True):
        assert a.dtype == b.dtype == np.int64
        np.testing.assert_array_equal(a, b)


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 40), st.lists(st.integers(1, 30), min_size=1, max_size=6)),
    comparisons=COMPARISONS,
    text=st.text(max_size=9),
    cut=st.integers(0, 10**9),
)
def test_everything_survives_to_the_last_bit(
    shape: tuple[int, list[int]],
    comparisons: list[Comparison],
    text: str,
    cut: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    group = replace(
        token_group(*shape), comparisons=tuple(comparisons), id=text, where=text[::-1] + "\ud800", truncated_tokens=cut
    )
    store = stored(tmp_path_factory.mktemp("store") / "a.arrow", [group])
    assert_same(store[0], group)
    assert len(store) == 1


GROUPS = [token_group(4 + n, tuple(range(2, 4 + n % 4)), seed=n) for n in range(11)]


def test_groups_are_found_by_index_slice_and_selection(tmp_path: Path) -> None:
    store = stored(tmp_path / "a.arrow", GROUPS)
    for at in (*range(11), -1, np.int64(3)):
        assert_same(store[at], GROUPS[at])
    assert [group.id for group in store[2::3]] == [group.id for group in GROUPS[2::3]]
    odd = store.select(np.arange(11) % 2 == 1)
    assert [group.id for group in odd.select(np.array([4, 0]))] == ["tokens-9", "tokens-1"]
    assert len(odd[:0]) == 0
    assert not odd[:0]
    for index in (11, -12):
        with pytest.raises(IndexError):
            store[index]


def test_columns_say_what_the_groups_say(tmp_path: Path) -> None:
    groups = [replace(group, truncated_tokens=at) for at, group in enumerate(GROUPS)]
    for store, own in ((s := stored(tmp_path / "a.arrow", groups), groups), (s[3:8], groups[3:8])):
        columns = store.columns
        assert columns.computed.tolist() == [group.computed_tokens for group in own]
        assert columns.unshared.tolist() == [group.unshared_tokens for group in own]
        assert columns.comparisons.tolist() == [len(group.comparisons) for group in own]
        assert columns.truncated.tolist() == [group.truncated_tokens for group in own]
        assert [f"{prompt:016x}" for prompt in columns.prompt_hash] == [group.prompt_hash for group in own]
        assert columns.digest.tolist() == [digest(group) for group in own]


def test_a_store_knows_what_all_its_sequences_begin_with(tmp_path: Path) -> None:
    groups = with_system_turn(GROUPS, 23)
    # The first batch alone has more in common; the last group's second sequence has less.
    assert stored(tmp_path / "a.arrow", [groups[0]]).opening == groups[0].shared > 23
    assert stored(tmp_path / "b.arrow", list(groups)).opening == 23
    assert stored(tmp_path / "b.arrow", list(groups))[2:5].opening == 23
    first, second, *_ = groups[3].sequences
    parted = replace(groups[3], sequences=(first, np.concatenate((second[:9], [250], second[10:]))))
    assert stored(tmp_path / "c.arrow", [*groups[:3], parted]).opening == 9
    short = replace(groups[3], sequences=(first, second[:5]))
    assert stored(tmp_path / "d.arrow", [*groups[:3], short]).opening == 4  # its last token is its own
    assert stored(tmp_path / "e.arrow", list(GROUPS)).opening == 0
    assert stored(tmp_path / "f.arrow", []).opening == 0


def test_an_empty_store_has_columns_too(tmp_path: Path) -> None:
    store = stored(tmp_path / "a.arrow", [])
    assert (len(store), store.columns.computed.dtype) == (0, np.int64)
    assert stored(tmp_path / "b.arrow", [])[:].columns.digest.dtype == np.uint64


def test_votes_are_left_out_and_nothing_else(tmp_path: Path) -> None:
    voted = replace(GROUPS[0], comparisons=(Comparison(0, 1, probability=2 / 3, votes=(Vote("a", 0),)),))
    (comparison,) = stored(tmp_path / "a.arrow", [voted])[0].comparisons
    assert comparison == Comparison(0, 1, probability=2 / 3)


def changed(group: TokenizedGroup) -> list[TokenizedGroup]:
    """The group with one thing after the other changed, all of which matter to training."""
    first, *rest = group.sequences
    token = first.copy()
    token[-1] += 1
    comparison = group.comparisons[0]
    labels = ({"winner": 1, "loser": 0}, {"margin": 0.5}, {"probability": 0.75}, {"weight": 2.0})
    return [
        replace(group, sequences=(token, *rest)),
        replace(group, sequences=(*rest, first)),
        replace(group, response_starts=(group.response_starts[0] + 1, *group.response_starts[1:])),
        *(replace(group, comparisons=(replace(comparison, **label), *group.comparisons[1:])) for label in labels),
        replace(group, comparisons=group.comparisons[:-1]),
    ]


def test_the_fingerprint_is_of_tokens_and_comparisons_in_order(tmp_path: Path) -> None:
    store = stored(tmp_path / "a.arrow", GROUPS)
    seen = {store.fingerprint(), store[::-1].fingerprint(), store[1:].fingerprint()}
    for at, other in enumerate(changed(GROUPS[3])):
        seen.add(stored(tmp_path / f"{at}.arrow", [*GROUPS[:3], other, *GROUPS[4:]]).fingerprint())
    assert len(seen) == 11
    renamed = [replace(group, id=f"{group.id}!", where="elsewhere") for group in GROUPS]
    assert stored(tmp_path / "b.arrow", renamed, batch=5).fingerprint() == store.fingerprint()


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_what_is_no_store_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    stored(path, GROUPS)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        batch = pa.record_batch({"a": [1]})
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
    with pytest.raises(ValueError, match=r".+"):
        TokenStore.open(path)
