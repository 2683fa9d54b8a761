"""Rankings that are the same for everybody, each computed at most once a minute."""

import asyncio
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from models.across import turns
from models.popular import Popular
from serving.kit.db import Runs
from serving.recommendations import queries, shelf_queries, trending_queries

FRESH_SECONDS = 60.0
DEPTH = 2000  # books: more than a reader has rated, so that popular books can always fill a page
_KEPT = 256  # sets of arguments

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


@dataclass
class Ranking:
    """Books with scores, best first. ``json`` collects what was shown of them, so that it is as old as the ranking."""

    books: Scored
    since: float
    kind: type[Popular] = Popular
    source: Popular = field(init=False)
    json: dict[uuid.UUID, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = self.kind(self.books)


class Popularity:
    """Keeps rankings for a minute. Requests that come while one is computed wait for it instead of computing it too."""

    def __init__(self, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._fresh_seconds = fresh_seconds
        self._rankings: OrderedDict[Wanted, Ranking] = OrderedDict()
        self._locks: dict[Wanted, asyncio.Lock] = {}

    async def ranking(self, run: Runs, wanted: Wanted) -> Ranking:
        found = self._fresh(wanted)
        if found is not None:
            return found
        async with self._locks.setdefault(wanted, asyncio.Lock()):
            found = self._fresh(wanted)
            if found is None:
                found = await self._computed(run, wanted)
        return found

    def _fresh(self, wanted: Wanted) -> Ranking | None:
        found = self._rankings.get(wanted)
        if found is None or time.monotonic() - found.since >= self._fresh_seconds:
            return None
        self._rankings.move_to_end(wanted)
        return found

    async def _computed(self, run: Runs, wanted: Wanted) -> Ranking:
        since = time.monotonic()  # before the statement: an answer is never older than it claims
        self._rankings[wanted] = ranking = Ranking(await wanted.books(run), since, wanted.source)
        while len(self._rankings) > _KEPT:
            oldest, _ = self._rankings.popitem(last=False)
            self._locks.pop(oldest, None)
        return ranking
