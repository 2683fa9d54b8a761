"""Small worlds in which the right answer is known."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from models.ids import pack
from models.reader import Rating, Reader

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
def some_world(world: Callable[..., dict[str, NDArray[np.generic]]]) -> dict[str, NDArray[np.generic]]:
    """40 books with arbitrary factors of both signs."""
    return world(np.random.default_rng(7).normal(size=(40, 6)))
