import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from palate.data.seen import SeenIds


@given(st.lists(st.text(max_size=2)))
def test_it_remembers_what_a_set_remembers(texts: list[str]) -> None:
    seen, oracle = SeenIds(), set()
    for text in texts:
        assert seen.add(text) == (text not in oracle)
        oracle.add(text)
    assert len(seen) == len(oracle)


def test_it_remembers_many_and_stays_small() -> None:
    seen = SeenIds()
    order = np.random.default_rng(0).permutation(50_000).tolist()
    assert all(seen.add(f"file.jsonl:{number}") for number in order)
    assert not any(seen.add(f"file.jsonl:{number}") for number in range(50_000))
    assert len(seen._table) * seen._table.itemsize < 24 * 50_000


def test_it_takes_text_that_utf8_cannot_hold() -> None:
    seen = SeenIds()
    assert seen.add("\ud800")
    assert not seen.add("\ud800")
