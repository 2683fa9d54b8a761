"""The rankings that are the same for everybody: what each is by."""

import uuid
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from models.across import turns
from models.popular import Popular
from serving.kit.db import Runs
from serving.recommendations import queries, shelf_queries, trending_queries

DEPTH = 2000  # books: more than a reader has rated, so that popular books can always fill a page

Scored = list[tuple[uuid.UUID, float]]


class OfGenre(Popular):
    """Popular within one genre."""

    name = "genres"


class Trending(Popular):
    """Rated more than their own past let expect."""

    name = "trending"


class SharedTraits(Popular):
    """Of the same author, series or genres as a book."""

    name = "catalogue"


class Wanted(Protocol):
    """Which ranking: equal ones are computed once."""

    def __hash__(self) -> int: ...

    @property
    def source(self) -> type[Popular]:
        """What its picks say they come from."""
        ...

    async def books(self, run: Runs) -> Scored:
        """Best first, scores in 0..1."""
        ...


@dataclass(frozen=True)
class Window:
    """What many like, and which of the books and reviews count."""

    genre: uuid.UUID | None = None
    min_reviews: int = 1
    days_back: int | None = None
    min_rating: float | None = None
    source: type[Popular] = Popular

    async def books(self, run: Runs) -> Scored:
        return await queries.ranking(
            run,
            genre=self.genre,
            min_reviews=self.min_reviews,
            days_back=self.days_back,
            min_rating=self.min_rating,
            depth=DEPTH,
        )


@dataclass(frozen=True)
class Rise:
    """What is rated more than its own past let expect, in the last ``days_back`` days."""

    days_back: int
    min_reviews: int
    source: type[Popular] = Trending

    async def books(self, run: Runs) -> Scored:
        return await trending_queries.rising(run, days_back=self.days_back, min_reviews=self.min_reviews, depth=DEPTH)


@dataclass(frozen=True)
class Spread:
    """What many like in each of the genres that are read most, turn by turn; without genres, what many like."""

    genres: int
    source: type[Popular] = Popular

    async def books(self, run: Runs) -> Scored:
        shelves = await shelf_queries.first_of_genres(run, self.genres, DEPTH // self.genres)
        if not shelves:
            return await Window().books(run)
        score = {book: score for shelf in shelves for book, score in shelf}
        books = turns([[book for book, _ in shelf] for shelf in shelves], DEPTH)
        return list(zip(books, accumulate((score[book] for book in books), min), strict=True))


@dataclass(frozen=True)
class Beside:
    """What shares author, series or genres with a book; ``genre``: and is of that genre."""

    book: uuid.UUID
    genre: uuid.UUID | None = None
    source: type[Popular] = SharedTraits

    async def books(self, run: Runs) -> Scored:
        return await shelf_queries.beside(run, self.book, self.genre, DEPTH)
