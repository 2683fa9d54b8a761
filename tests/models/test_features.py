from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import DISLIKED, FAR, FEATURES, NEVER, NEWEST, Candidates, Known, candidates
from models.linear import Factors, Neighbours
from models.sources import Stock

EVIDENCE = np.array([0, 0, 0.4, 1, 1.5], dtype=np.float32)


def known(*ratings: tuple[int, int]) -> Known:
    rows, stars = (np.array(column, dtype=np.intp) for column in zip(*ratings, strict=True))
    evidence = EVIDENCE[stars - 1]
    back = np.arange(len(rows) - 1, -1, -1)
    return Known(rows, stars, evidence, (evidence * (1.0 + back) ** -0.7).astype(np.float32))


def column(found: Candidates, name: str, row: int) -> float:
    place = np.flatnonzero(found.rows == row)
    assert len(place) == 1, f"book {row} is no candidate"
    return float(found.features[place[0], FEATURES.index(name)])


def everything_is_a_neighbour(books: int) -> Neighbours:
    index = np.tile(np.arange(books, dtype=np.int32), (books, 1))
    return Neighbours(index, np.full((books, books), 0.1, dtype=np.float32))


def looked_at(stock: Stock, reader: Known) -> Candidates:
    books = len(stock.ids)
    eligible = np.ones(books, dtype=np.bool_)
    eligible[reader.rows] = False
    flat = Factors(np.full((books, 2), 0.1, dtype=np.float32))
    return candidates(reader, everything_is_a_neighbour(books), flat, stock.catalogue, eligible)


def test_the_series_columns_tell_the_next_volume_from_the_others(stocked: Callable[..., Stock]) -> None:
    volumes = [{"series": 4, "position": place} for place in (1, 2, 3, 5)]
    stock = stocked(*volumes, {}, {"series": 7, "position": 1})
    found = looked_at(stock, known((0, 5), (1, 4), (4, 5)))
    assert [column(found, "series_gap", row) for row in (2, 3)] == [1, 3]
    assert column(found, "series_gap", 5) == FAR
    assert [column(found, "series_books", row) for row in (2, 5)] == [2, 0]
    assert [column(found, "series_back", row) for row in (2, 5)] == [1, NEVER]


def test_the_author_columns_count_what_the_reader_thought_of_them(stocked: Callable[..., Stock]) -> None:
    stock = stocked(*[{"author": author} for author in (8, 8, 9, 8, 9, 10)])
    found = looked_at(stock, known((0, 5), (1, 4), (2, 1)))
    assert [column(found, "author_books", row) for row in (3, 4, 5)] == [2, 1, 0]
    assert [column(found, "author_stars", row) for row in (3, 4, 5)] == [4.5, 1, 0]
    assert [column(found, "author_back", row) for row in (3, 4, 5)] == [1, 0, NEVER]
    assert column(found, "author_weight", 3) == pytest.approx(1.5 * 3**-0.7 + 2**-0.7, rel=1e-5)


def test_the_book_columns_are_those_of_the_catalogue(stocked: Callable[..., Stock]) -> None:
    stock = stocked({"year": 1990}, {"year": 2010, "likes": 7, "raters": 9, "mean": 4.25}, {})
    found = looked_at(stock, known((0, 5)))
    assert column(found, "likes", 1) == pytest.approx(np.log(8), rel=1e-6)
    assert column(found, "raters", 1) == pytest.approx(np.log(10), rel=1e-6)
    assert column(found, "mean", 1) == 4.25
    assert [column(found, "years_apart", row) for row in (1, 2)] == [20, NEVER]


def test_dislikes_have_a_column_of_their_own(stocked: Callable[..., Stock]) -> None:
    stock = stocked({}, {}, {})
    liked, mixed = looked_at(stock, known((0, 5))), looked_at(stock, known((0, 5), (1, DISLIKED)))
    assert column(liked, "disliked", 2) == 0
    assert column(mixed, "disliked", 2) == pytest.approx(0.1, rel=1e-6)


def test_a_volume_of_a_series_begun_is_looked_at_however_low_its_score(stocked: Callable[..., Stock]) -> None:
    books = 400
    stock = stocked({"series": 1, "position": 1}, *[{}] * (books - 2), {"series": 1, "position": 2})
    index = np.tile(np.arange(books, dtype=np.int32), (books, 1))
    weight = np.tile(np.linspace(1, 0.001, books, dtype=np.float32), (books, 1))
    flat = Factors(np.zeros((books, 2), dtype=np.float32))
    eligible = np.ones(books, dtype=np.bool_)
    eligible[0] = False
    found = candidates(known((0, 5)), Neighbours(index, weight), flat, stock.catalogue, eligible)
    assert books - 1 in found.rows
    assert len(found.rows) < books / 2


def test_only_the_newest_ratings_count() -> None:
    many = known(*[(row, 5) for row in range(NEWEST + 50)])
    assert list(many.newest().rows) == list(range(50, NEWEST + 50))
    assert many.newest().back[-1] == 0


shelves = st.lists(
    st.tuples(st.integers(0, 39), st.integers(1, 5)), min_size=1, max_size=12, unique_by=lambda rating: rating[0]
).filter(lambda shelf: any(stars > DISLIKED for _, stars in shelf))


@settings(deadline=None)
@given(shelf=shelves, barred=st.sets(st.integers(0, 39), max_size=10))
def test_whatever_is_rated_the_table_is_finite_and_its_rows_may_be_shown(
    some_stock: Stock, some_neighbours: Neighbours, shelf: list[tuple[int, int]], barred: set[int]
) -> None:
    reader = known(*shelf)
    eligible = np.ones(40, dtype=np.bool_)
    eligible[[*reader.rows, *barred]] = False
    factors = Factors(np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32))
    found = candidates(reader, some_neighbours, factors, some_stock.catalogue, eligible)
    assert found.features.shape == (len(found.rows), len(FEATURES))
    assert found.features.dtype == np.float32
    assert np.isfinite(found.features).all()
    assert eligible[found.rows].all()
    assert (found.taste > 0).all()
    assert found.parts.sum(axis=1) == pytest.approx(found.taste, abs=1e-5)
