"""Rankings of what most readers like, each computed at most once a minute."""

import asyncio
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field

from models.popular import Popular
from serving.kit.db import Runs
from serving.recommendations import queries

FRESH_SECONDS = 60.0
DEPTH = 2000  # books: more than a reader has rated, so that popular books can always fill a page
_KEPT = 256  # sets of arguments


@dataclass(frozen=True)
class Window:
    """Which reviews count."""

    genre: uuid.UUID | None = None
    min_reviews: int = 1
    days_back: int | None = None


@dataclass
class Ranking:
    """Books with scores, best first. ``json`` collects what was shown of them, so that it is as old as the ranking."""

    books: list[tuple[uuid.UUID, float]]
    since: float
    source: Popular = field(init=False)
    json: dict[uuid.UUID, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.source = Popular(self.books)


class Popularity:
    """Keeps rankings for a minute. Requests that come while one is computed wait for it instead of computing it too."""

    def __init__(self, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._fresh_seconds = fresh_seconds
        self._rankings: OrderedDict[Window, Ranking] = OrderedDict()
        self._locks: dict[Window, asyncio.Lock] = {}

    async def ranking(self, run: Runs, window: Window) -> Ranking:
        found = self._fresh(window)
        if found is not None:
            return found
        async with self._locks.setdefault(window, asyncio.Lock()):
            found = self._fresh(window)
            if found is None:
                found = await self._computed(run, window)
        return found

    def _fresh(self, window: Window) -> Ranking | None:
        found = self._rankings.get(window)
        if found is None or time.monotonic() - found.since >= self._fresh_seconds:
            return None
        self._rankings.move_to_end(window)
        return found

    async def _computed(self, run: Runs, window: Window) -> Ranking:
        since = time.monotonic()  # before the statement: an answer is never older than it claims
        books = await queries.ranking(
            run, genre=window.genre, min_reviews=window.min_reviews, days_back=window.days_back, depth=DEPTH
        )
        self._rankings[window] = Ranking(books, since)
        while len(self._rankings) > _KEPT:
            oldest, _ = self._rankings.popitem(last=False)
            self._locks.pop(oldest, None)
        return self._rankings[window]
