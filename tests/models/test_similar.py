from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.affinity import Affinity
from models.diversity import Likeness
from models.linear import Neighbours
from models.reader import Pick
from models.sources import Similar, Stock

Book = Callable[[int], UUID]
Stocked = Callable[..., Stock]
KNOWN = 10**6  # so many raters that neighbours are trusted wholly


def similar(stock: Stock, neighbours: Neighbours | None = None) -> Similar:
    return Similar(stock, Likeness(stock.catalogue, Affinity(stock.catalogue)), neighbours)


def pointing(books: int, *rows: dict[int, float]) -> Neighbours:
    """Row by row: which books it points to, and how strongly; the rest point to none."""
    index, weight = np.zeros((books, 4), dtype=np.int32), np.zeros((books, 4), dtype=np.float32)
    for row, pointed in enumerate(rows):
        index[row, : len(pointed)] = list(pointed)
        weight[row, : len(pointed)] = list(pointed.values())
    return Neighbours(index, weight)


def numbers(picks: list[Pick]) -> list[int]:
    return [pick.book_id.int - 1 for pick in picks]


def test_between_books_that_many_have_rated_the_neighbours_decide(stocked: Stocked) -> None:
    stock = stocked({"raters": KNOWN, "author": 0}, {"raters": KNOWN, "author": 0}, *[{"raters": KNOWN}] * 3)
    source = similar(stock, pointing(5, {2: 0.1, 3: 0.4, 4: -0.3}))
    assert numbers(source.similar(0, 2)) == [3, 2]
    assert [pick.score for pick in source.similar(0, 2)] == pytest.approx([1, 0.25], abs=1e-3)


@pytest.mark.parametrize("neighbours", [pointing(5), None])
def test_a_new_book_is_like_those_of_its_series_author_and_genres(
    stocked: Stocked, neighbours: Neighbours | None
) -> None:
    stock = stocked(
        {"author": 0, "series": 0, "genres": (0,)},
        {"genres": (0,)},
        {"author": 0},
        {"author": 0, "series": 0},
        {"genres": (1,)},
    )
    source = similar(stock, neighbours)
    assert numbers(source.similar(0, 5)) == [3, 2, 1]


def test_a_new_book_beside_a_known_one_does_not_bury_its_neighbours(stocked: Stocked) -> None:
    new = [{"genres": (0,)} for _ in range(5)]
    stock = stocked({"raters": KNOWN, "genres": (0,)}, {"raters": KNOWN}, {"author": 1000}, *new)
    picks = similar(stock, pointing(8, {1: 0.4})).similar(0, 8)
    assert numbers(picks)[:2] == [1, 2]
    assert [pick.score for pick in picks[1:3]] == pytest.approx([0.25, 0.2], abs=1e-3)


def test_neither_its_own_editions_nor_two_of_another_work_are_picked(stocked: Stocked) -> None:
    stock = stocked(*({"author": 0, "work": work, "raters": row} for row, work in enumerate((0, 0, 1, 1, 2))))
    assert numbers(similar(stock).similar(0, 5)) == [2, 4]


def test_what_a_reader_has_rated_or_hidden_is_not_picked_nor_what_is_outside_of_within(
    stocked: Stocked, book: Book
) -> None:
    source = similar(stocked(*[{"author": 0}] * 5))
    assert numbers(source.similar(0, 5, barred=frozenset({book(1), book(3), book(99)}))) == [2, 4]
    assert numbers(source.similar(0, 5, within=frozenset({book(0), book(3), book(99)}))) == [3]


@given(row=st.integers(0, 39), n=st.integers(0, 45), barred=st.frozensets(st.integers(0, 45)))
def test_picks_have_no_reasons_and_scores_in_zero_to_one_that_never_rise(
    some_stock: Stock, some_neighbours: Neighbours, book: Book, row: int, n: int, barred: frozenset[int]
) -> None:
    source = similar(some_stock, some_neighbours)
    picks = source.similar(row, n, frozenset(map(book, barred)))
    scores = [pick.score for pick in picks]
    assert len(picks) <= n
    assert all(0 < score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)
    assert not set(numbers(picks)) & (barred | {row})
    assert all(pick.because == () and pick.source == "similar" for pick in picks)
    assert numbers(picks) == numbers(source.similar(row, 45, frozenset(map(book, barred))))[:n]
