from hypothesis import given
from hypothesis import strategies as st

from palate.report.excerpts import BUDGET, SHOWN, Excerpts


@given(st.lists(st.text(max_size=20), max_size=8), st.integers(0, 10), st.integers(0, 40))
def test_nothing_is_lost_without_being_counted(texts: list[str], shown: int, budget: int) -> None:
    cut = Excerpts(shown, budget)
    kept, left_out = 0, 0
    for text in texts:
        piece = cut(text)
        kept += len(piece.rest.encode())
        if piece.more == len(piece.rest):
            assert piece.shown + piece.rest == text
        else:
            assert (piece.rest, len(piece.shown) + piece.more) == ("", len(text))
            left_out += 1
        assert piece.shown == text[:shown]
    assert kept <= budget
    assert cut.left_out == left_out


def test_the_budget_counts_bytes_and_takes_lone_surrogates() -> None:
    cut = Excerpts(0, 6)
    assert cut("\ud800\u20ac").rest == "\ud800\u20ac"
    assert cut("a").rest == ""


def test_a_short_text_costs_nothing() -> None:
    cut = Excerpts()
    for _ in range(10):
        assert cut("x" * SHOWN).more == 0
    assert cut("x" * (SHOWN + BUDGET)).rest != ""
