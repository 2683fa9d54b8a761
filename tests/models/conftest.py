"""Small worlds in which the right answer is known."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from models.catalogue import NONE, Catalogue
from models.ids import pack
from models.linear import Neighbours
from models.reader import Rating, Reader
from models.sources import Stock

Arrays = Mapping[str, NDArray[np.generic]]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def book() -> Callable[[int], UUID]:
    """``book(3)`` is the id of the book with number 3."""
    return lambda number: UUID(int=number + 1)


@pytest.fixture(scope="session")
def world(book: Callable[[int], UUID]) -> Callable[..., dict[str, NDArray[np.generic]]]:
    """``world(factors)``: the arrays of a model with these factors (books, k); book 0 is row 0."""

    def make(
        factors: NDArray[np.floating],
        recency: float = 0.7,
        star_weights: tuple[float, ...] = (0.0, 0.0, 0.4, 1.0, 1.5),
    ) -> dict[str, NDArray[np.generic]]:
        return {
            "book_ids": pack(book(row) for row in range(len(factors))),
            "item_factors": factors.astype(np.float32),
            "star_weights": np.array(star_weights, dtype=np.float64),
            "recency": np.array(recency, dtype=np.float64),
        }

    return make


@pytest.fixture(scope="session")
def someone(book: Callable[[int], UUID]) -> Callable[..., Reader]:
    """``someone((3, 5), (7, 1))``: a reader who gave book 3 five stars and, a day later, book 7 one."""

    def make(*ratings: tuple[int, int], muted: tuple[int, ...] = (), hidden: tuple[int, ...] = ()) -> Reader:
        return Reader(
            tuple(
                Rating(book(number), stars, NOON + timedelta(days=day)) for day, (number, stars) in enumerate(ratings)
            ),
            muted=frozenset(map(book, muted)),
            hidden=frozenset(map(book, hidden)),
        )

    return make


@pytest.fixture(scope="session")
def stocked(book: Callable[[int], UUID]) -> Callable[..., Stock]:
    """``stocked({"series": 0, "position": 1}, {})``: a library of two books, the first of which is a volume 1.

    Of each book: author, series, position, work, language, year, genres (numbers), raters, likes, mean; where nothing
    is said, an author and a work of its own, no series and no genre.
    """

    def make(*books: Mapping[str, Any]) -> Stock:
        def column(name: str, default: float, dtype: type) -> NDArray[Any]:
            return np.array([told.get(name, default) for told in books], dtype=dtype)

        count = 1 + max((genre for told in books for genre in told.get("genres", ())), default=0)
        genres = np.zeros((len(books), count), dtype=np.uint8)
        for row, told in enumerate(books):
            genres[row, list(told.get("genres", ()))] = 1
        catalogue = Catalogue(
            author=np.array([told.get("author", 1000 + row) for row, told in enumerate(books)], dtype=np.int32),
            series=column("series", NONE, np.int32),
            position=column("position", NONE, np.float32),
            work=np.array([told.get("work", row) for row, told in enumerate(books)], dtype=np.int32),
            language=column("language", NONE, np.int32),
            year=column("year", 0, np.float32),
            genres=genres,
            genre_ids=np.asarray(pack(UUID(int=10**6 + genre) for genre in range(count))),
            raters=column("raters", 0, np.int32),
            likes=column("likes", 0, np.int32),
            mean=column("mean", 3.5, np.float32),
        )
        return Stock.of([book(row) for row in range(len(books))], catalogue)

    return make


@pytest.fixture(scope="session")
def some_stock(stocked: Callable[..., Stock]) -> Stock:
    """40 books: arbitrary genres, authors of several books, series with editions, gaps and halves, some never rated."""
    rng = np.random.default_rng(11)
    positions = (1, 2, 2.5, 3, 3, 5, NONE)
    books = [
        {
            "author": row // 4,
            "series": row // 8 if row % 8 < len(positions) else NONE,
            "position": positions[row % 8] if row % 8 < len(positions) else NONE,
            "work": row - (row % 8 == 4),  # the second of two volumes 3 is another edition of the first
            "genres": np.flatnonzero(rng.random(6) < 0.3),
            "raters": int(rng.integers(0, 50)) * (row % 5 > 0),
            "likes": int(rng.integers(0, 20)) * (row % 5 > 0),
        }
        for row in range(40)
    ]
    return stocked(*books)


@pytest.fixture(scope="session")
def some_neighbours() -> Neighbours:
    """Of 40 books, five others each, weights of both signs."""
    rng = np.random.default_rng(5)
    index = np.stack([rng.choice(np.delete(np.arange(40), row), 5, replace=False) for row in range(40)])
    return Neighbours(index.astype(np.int32), rng.normal(0.3, 0.5, size=(40, 5)).astype(np.float32))


@pytest.fixture(scope="session")
def some_world(world: Callable[..., dict[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
    """40 books with arbitrary factors of both signs."""
    return world(np.random.default_rng(7).normal(size=(40, 6)))
