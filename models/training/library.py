"""A whole library as a model learns from it: every rating, and every book, rated or not."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.catalogue import NONE, Catalogue
from models.ids import pack
from models.popular import shrunken_mean
from models.reader import LIKED_FROM
from models.training.interactions import Interactions, RatedBooks, interactions

PRIOR_WEIGHT = 5.0
PRIOR_MEAN = 3.5
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Books:
    """What is known of m books, column by column, in any order; ``None`` where unknown.

    Attributes:
        ids: Each book once.
        titles: m.
        authors: Several authors of a book are separated by commas; the first counts.
        series: m.
        positions: Of the volumes in their series.
        languages: m.
        years: Of publication.
        genres: Of each book, the ids of its genres.
    """

    ids: Sequence[UUID]
    titles: Sequence[str]
    authors: Sequence[str]
    series: Sequence[str | None]
    positions: Sequence[float | None]
    languages: Sequence[str | None]
    years: Sequence[int | None]
    genres: Sequence[Sequence[UUID]]


@dataclass(frozen=True)
class Library:
    """Ratings and books in one numbering: row i of the catalogue is book i of the interactions."""

    interactions: Interactions
    catalogue: Catalogue

    def of(self, part: Interactions) -> "Library":
        """The same books with a part of the ratings.

        What the catalogue counts is counted afresh, so that nothing of the future is known.
        """
        return Library(part, counted(self.catalogue, part))


def library(
    reader: NDArray[np.generic] | Sequence[int] | Sequence[str],
    book_id: RatedBooks,
    stars: ArrayLike,
    at: NDArray[np.int64] | Sequence[datetime],
    books: Books,
) -> Library:
    """Numbers readers and books, cold books too.

    The ratings are as ``models.training.interactions.interactions`` takes them.

    Raises:
        ValueError: The columns do not fit each other, or a book is rated that is not among the books.
    """
    numbered = interactions(reader, book_id, stars, at, books=books.ids)
    row = {UUID(bytes=key.tobytes()): i for i, key in enumerate(numbered.book_ids)}
    if len(row) > len(books.ids):
        raise ValueError(f"{len(row) - len(books.ids)} books are rated that the library does not have")
    order = np.array([row[book] for book in books.ids], dtype=np.intp)
    return Library(numbered, counted(_catalogue(books, order), numbered))


def counted(catalogue: Catalogue, ratings: Interactions) -> Catalogue:
    """The catalogue with what these ratings say of each book."""
    size = ratings.book_count
    raters = np.bincount(ratings.book, minlength=size)
    total = np.bincount(ratings.book, weights=ratings.stars, minlength=size)
    everywhere = float(ratings.stars.mean()) if len(ratings) else PRIOR_MEAN
    return replace(
        catalogue,
        raters=raters.astype(np.int32),
        likes=np.bincount(ratings.book[ratings.stars >= LIKED_FROM], minlength=size).astype(np.int32),
        mean=shrunken_mean(raters, total, everywhere, PRIOR_WEIGHT).astype(np.float32),
    )


def _catalogue(books: Books, order: NDArray[np.intp]) -> Catalogue:
    size = len(order)
    genre_ids = sorted({genre for own in books.genres for genre in own})
    column = {genre: number for number, genre in enumerate(genre_ids)}
    genres = np.zeros((size, len(genre_ids)), dtype=np.uint8)
    for row, own in zip(order, books.genres, strict=True):
        genres[row, [column[genre] for genre in own]] = 1

    def placed(values: Sequence[float | None], missing: float) -> NDArray[np.float32]:
        found = np.empty(size, dtype=np.float32)
        found[order] = [missing if value is None else value for value in values]
        return found

    def coded(values: Sequence[Hashable | None]) -> NDArray[np.int32]:
        found = np.empty(size, dtype=np.int32)
        found[order] = _codes(values)
        return found

    authors = [_key(author.split(",")[0]) for author in books.authors]
    return Catalogue(
        author=coded(authors),
        series=coded([_key(name) if name else None for name in books.series]),
        position=placed(books.positions, NONE),
        work=coded(list(zip(authors, map(_key, books.titles), strict=True))),
        language=coded(books.languages),
        year=placed(books.years, 0.0),
        genres=genres,
        genre_ids=np.asarray(pack(genre_ids)),
        raters=np.zeros(size, dtype=np.int32),
        likes=np.zeros(size, dtype=np.int32),
        mean=np.zeros(size, dtype=np.float32),
    )


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _codes(values: Sequence[T | None]) -> list[int]:
    """Equal codes for equal values, ``NONE`` for None; in the order of first appearance."""
    seen: dict[T, int] = {}
    number: Callable[[T], int] = lambda value: seen.setdefault(value, len(seen))  # noqa: E731  named for its type
    return [NONE if value is None else number(value) for value in values]
