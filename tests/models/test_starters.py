from collections.abc import Callable
from time import perf_counter
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models import starters
from models.affinity import Affinity
from models.catalogue import Catalogue
from models.linear import Neighbours
from models.reader import Pick, Reader
from models.sources import Stock
from models.starters import Starters

Book = Callable[[int], UUID]
Someone = Callable[..., Reader]
Stocked = Callable[..., Stock]


def numbers(picks: list[Pick]) -> list[int]:
    return [pick.book_id.int - 1 for pick in picks]


@pytest.fixture(scope="session")
def three_tastes(stocked: Stocked) -> Starters:
    """Three groups of four books; in each the first is the best known, and every book tells of its group."""
    books = [{"raters": 100 - 3 * (row // 4) - row % 4} for row in range(12)]
    index = [[other for other in range(12) if other // 4 == row // 4 and other != row] for row in range(12)]
    neighbours = Neighbours(np.array(index, dtype=np.int32), np.full((12, 3), 0.2, dtype=np.float32))
    stock = stocked(*books)
    return Starters(stock, Affinity(stock.catalogue), neighbours)


def test_one_of_each_taste_is_asked_before_a_second_of_any(three_tastes: Starters) -> None:
    assert numbers(three_tastes.picks(Reader(), 3)) == [0, 4, 8]


@pytest.mark.parametrize(("rated", "first"), [(0, 4), (5, 0), (8, 0)])
def test_what_a_rating_has_told_is_not_asked_again(
    three_tastes: Starters, someone: Someone, rated: int, first: int
) -> None:
    asked = numbers(three_tastes.picks(someone((rated, 1)), 2))
    assert asked[0] == first
    assert rated // 4 not in {row // 4 for row in asked}


def test_a_muted_book_has_told_nothing_but_is_not_asked(three_tastes: Starters, someone: Someone) -> None:
    assert numbers(three_tastes.picks(someone((0, 5), muted=(0,)), 3)) == [1, 4, 8]


def test_hidden_books_and_those_outside_of_within_are_not_asked(
    three_tastes: Starters, someone: Someone, book: Book
) -> None:
    assert numbers(three_tastes.picks(someone(hidden=(0, 4)), 3)) == [1, 5, 8]
    assert set(numbers(three_tastes.picks(Reader(), 5, frozenset({book(3), book(7)})))) == {3, 7}


def test_nothing_is_asked_when_all_is_known(stocked: Stocked, someone: Someone) -> None:
    stock = stocked(*[{"raters": 5}] * 3)
    index = np.array([[1, 2], [0, 2], [0, 1]], dtype=np.int32)
    first_tells_all = Neighbours(index, np.array([[1, 1], [0.1, 0.1], [0.1, 0.1]], dtype=np.float32))
    source = Starters(stock, Affinity(stock.catalogue), first_tells_all)
    assert source.picks(someone((0, 5)), 5) == []
    assert len(source.picks(someone((1, 5)), 5)) == 2


def test_of_a_series_one_volume_is_asked_about_and_none_of_one_that_the_reader_knows(
    stocked: Stocked, someone: Someone
) -> None:
    stock = stocked(*({"raters": 100 - row, "series": row // 2} for row in range(4)), {"raters": 5})
    source = Starters(stock, Affinity(stock.catalogue))
    assert numbers(source.picks(Reader(), 5)) == [0, 2, 4]
    assert numbers(source.picks(someone((1, 5)), 5)) == [2, 4]


def test_of_two_books_that_tell_the_same_the_better_known_is_asked(stocked: Stocked) -> None:
    stock = stocked({"raters": 10, "likes": 5}, {"raters": 100, "likes": 50})
    assert numbers(Starters(stock, Affinity(stock.catalogue)).picks(Reader(), 1)) == [1]


def test_genres_tell_where_nobody_has_rated_anything(stocked: Stocked) -> None:
    stock = stocked(*({"genres": (genre,)} for genre in (0, 0, 1, 1)))
    assert numbers(Starters(stock, Affinity(stock.catalogue)).picks(Reader(), 2)) == [0, 2]


def told(stock: Stock, neighbours: Neighbours) -> NDArray[np.float64]:
    """c as the docstring has it, every pair by itself."""
    size = len(stock.ids)
    vectors = Affinity(stock.catalogue).vectors
    c = 0.1 * (vectors @ vectors.T).astype(np.float64)
    usual = float(np.median(neighbours.weight.max(axis=1)))
    for row, slot in np.ndindex(neighbours.index.shape):
        other = int(neighbours.index[row, slot])
        weight = min(1.0, max(0.0, 0.3 * float(neighbours.weight[row, slot]) / usual))
        c[row, other] = max(float(c[row, other]), weight)
    c[np.arange(size), np.arange(size)] = 1
    return c


@settings(deadline=None, max_examples=25)
@given(rated=st.lists(st.integers(0, 39), max_size=6, unique=True))
def test_each_step_adds_the_most_as_the_formula_has_it(
    some_stock: Stock, some_neighbours: Neighbours, someone: Someone, rated: list[int]
) -> None:
    catalogue = some_stock.catalogue
    c = told(some_stock, some_neighbours)
    part = (catalogue.raters + 1) / (catalogue.raters + 1).sum()
    tells = (0.4 * (catalogue.raters + 1) / (catalogue.raters.max() + 1))[:, None] * c
    known = c[rated].max(axis=0, initial=0.0)

    def value(asked: list[int]) -> float:
        return float(part @ (1 - (1 - known) * (1 - tells[asked]).prod(axis=0)))

    def alike(row: int, other: int) -> bool:
        same_series = catalogue.series[row] == catalogue.series[other] >= 0
        return bool(catalogue.work[row] == catalogue.work[other] or same_series)

    asked: list[int] = []
    gains: list[float] = []
    picks = Starters(some_stock, Affinity(catalogue), some_neighbours).picks(someone(*((row, 3) for row in rated)), 6)
    for row in numbers(picks):
        open_ = [one for one in range(40) if not any(alike(one, other) for other in rated + asked)]
        gain = {one: value([*asked, one]) - value(asked) for one in open_}
        assert gain[row] == pytest.approx(max(gain.values()), rel=1e-4)
        asked.append(row)
        gains.append(gain[row])
    assert [pick.score for pick in picks] == pytest.approx([gain / gains[0] for gain in gains], rel=1e-3)


def many(books: int) -> tuple[Stock, Neighbours]:
    rng = np.random.default_rng(0)
    raters = np.sort(rng.pareto(1.0, books) * 10).astype(np.int32)[::-1].clip(max=20_000)
    catalogue = Catalogue(
        author=rng.integers(0, books // 2, books).astype(np.int32),
        series=np.full(books, -1, dtype=np.int32),
        position=np.full(books, -1, dtype=np.float32),
        work=np.arange(books, dtype=np.int32),
        language=np.zeros(books, dtype=np.int32),
        year=np.zeros(books, dtype=np.float32),
        genres=(rng.random((books, 40)) < 0.1).astype(np.uint8),
        genre_ids=np.zeros((40, 16), dtype=np.uint8),
        raters=raters,
        likes=(raters * 0.7).astype(np.int32),
        mean=np.full(books, 3.9, dtype=np.float32),
    )
    index = rng.integers(0, books, size=(books, 100)).astype(np.int32)
    return Stock.of([UUID(int=row + 1) for row in range(books)], catalogue), Neighbours(
        index, rng.exponential(0.02, size=(books, 100)).astype(np.float32)
    )


def test_ten_thousand_books_take_milliseconds_and_most_are_never_asked_about(someone: Someone) -> None:
    stock, neighbours = many(10_000)
    source = Starters(stock, Affinity(stock.catalogue), neighbours)
    reader = someone(*((row, 4) for row in range(0, 9000, 300)))

    def asked() -> tuple[float, list[Pick]]:
        begun = perf_counter()
        picks = source.picks(reader, 20)
        return perf_counter() - begun, picks

    with threadpool_limits(1):  # on busy cores the threads of a small product wait for each other
        runs: list[tuple[float, Any]] = [asked() for _ in range(10)]
    assert min(seconds for seconds, _ in runs) < 0.03
    assert len(runs[0][1]) == 20
    assert max(numbers(runs[0][1])) < starters.ASKED
