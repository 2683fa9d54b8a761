import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.linear import Factors, Linear, Neighbours

BOOKS = 40


@pytest.fixture(scope="session", params=["factors", "neighbours"])
def linear(request: pytest.FixtureRequest, some_neighbours: Neighbours) -> Linear:
    """Every model of taste keeps the same promises."""
    factors = np.random.default_rng(3).normal(size=(BOOKS, 6)).astype(np.float32)
    return Factors(factors) if request.param == "factors" else some_neighbours


rated = st.lists(
    st.tuples(st.integers(0, BOOKS - 1), st.floats(0, 2, width=32)), max_size=12, unique_by=lambda one: one[0]
)


@settings(deadline=None)
@given(rated=rated)
def test_a_score_is_the_sum_of_its_contributions(linear: Linear, rated: list[tuple[int, float]]) -> None:
    rows = np.array([row for row, _ in rated], dtype=np.intp)
    weights = np.array([weight for _, weight in rated], dtype=np.float32)
    picks = np.arange(BOOKS)
    scores = linear.scores(rows, weights)
    parts = linear.contributions(rows, weights, picks)
    assert linear.book_count == BOOKS
    assert scores.shape == (BOOKS,)
    assert parts.shape == (BOOKS, len(rows))
    assert parts.sum(axis=1) == pytest.approx(scores, abs=1e-4)


@settings(deadline=None)
@given(rated=rated, seed=st.integers(0, 9))
def test_contributions_to_some_books_are_those_to_all(
    linear: Linear, rated: list[tuple[int, float]], seed: int
) -> None:
    rows = np.array([row for row, _ in rated], dtype=np.intp)
    weights = np.array([weight for _, weight in rated], dtype=np.float32)
    picks = np.random.default_rng(seed).permutation(BOOKS)[:7]
    whole = linear.contributions(rows, weights, np.arange(BOOKS))
    assert linear.contributions(rows, weights, picks) == pytest.approx(whole[picks], abs=1e-6)


def test_a_short_row_of_neighbours_says_nothing_about_the_book_it_is_filled_with() -> None:
    neighbours = Neighbours(
        np.array([[1, 0], [0, 0], [0, 1]], dtype=np.int32), np.array([[0.5, 0], [0, 0], [0.2, 0.1]], dtype=np.float32)
    )
    one = np.ones(1, dtype=np.float32)
    assert neighbours.scores(np.array([0]), one) == pytest.approx([0, 0.5, 0])
    assert neighbours.scores(np.array([1]), one) == pytest.approx([0, 0, 0])
    assert neighbours.contributions(np.array([0, 2]), np.ones(2, np.float32), np.array([0, 1])) == pytest.approx(
        np.array([[0, 0.2], [0.5, 0.1]])
    )
