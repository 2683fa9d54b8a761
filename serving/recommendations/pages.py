"""Stores the pages that signed-in readers were shown, off the path of their requests."""

import asyncio
import contextlib
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
import psycopg
import structlog

from serving.kit.auth import UserId
from serving.kit.background import beside
from serving.kit.db import Database
from serving.kit.metrics import Metrics

log = structlog.get_logger(__name__)

WAIT_SECONDS = 0.5  # between two batches: a page takes feedback within 5 s of its answer
LAST_SECONDS = 8.0  # for what is left when the service stops; a supervisor kills after ten or thirty
_BATCH: Final = 200  # pages
_ROOM: Final = 10_000  # pages in memory while Postgres is away
_TRIES: Final = 5
_RETRY_SECONDS: Final = 0.2  # before the second try, twice as long before the third, and so on
# A page that is older than this has been stored or lost; hosts' clocks may differ by a part of it.
LATEST_SECONDS: Final = 5.0
_RANDOM_BITS: Final = 74
_VERSION: Final = 7

# Readers and books may have been deleted since the page was made: what is left of it is kept.
_STORE: Final = """
WITH given AS (
    SELECT * FROM json_to_recordset(%(pages)s::json) AS g(
        id uuid, user_id uuid, recommendation_type text, model_name text, model_version text,
        filters jsonb, degraded boolean, created_at timestamptz, picks json
    )
), stored AS (
    INSERT INTO served_pages
        (id, user_id, recommendation_type, model_name, model_version, filters, degraded, created_at)
    SELECT g.id, g.user_id, g.recommendation_type, g.model_name, g.model_version, g.filters, g.degraded, g.created_at
    FROM given g JOIN users u ON u.id = g.user_id
    ON CONFLICT (id) DO NOTHING
    RETURNING id
)
INSERT INTO served_picks (page_id, rank, book_id, source, score)
SELECT s.id, p.rank, p.book_id, p.source, p.score
FROM stored s JOIN given g ON g.id = s.id
CROSS JOIN LATERAL json_to_recordset(g.picks) AS p(rank smallint, book_id uuid, source text, score float8)
JOIN books b ON b.id = p.book_id
"""


def new_page_id() -> uuid.UUID:
    """A UUID that tells when it was made (version 7: RFC 9562, section 5.7)."""
    random = secrets.randbits(_RANDOM_BITS)
    time_and_version = (time.time_ns() // 1_000_000) << 80 | _VERSION << 76
    return uuid.UUID(int=time_and_version | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1))


def may_be_on_its_way(page: uuid.UUID) -> bool:
    """Whether a page that is not stored may be yet: made here or by another worker a moment ago."""
    made = (page.int >> 80) / 1000
    return page.version == _VERSION and abs(time.time() - made) < LATEST_SECONDS


@dataclass(frozen=True)
class ServedPage:
    """A list as it was shown. ``created_at`` is ISO-8601; picks are (rank, book_id, source, score)."""

    id: uuid.UUID
    user_id: UserId
    recommendation_type: str
    model_name: str | None
    model_version: str | None
    filters: Mapping[str, object]
    degraded: bool
    created_at: str
    picks: Sequence[Mapping[str, object]]


class Pages:
    """A queue in memory and one task that writes it to Postgres in batches."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._waiting: list[ServedPage] = []
        self._came = asyncio.Event()

    def put(self, page: ServedPage) -> None:
        if len(self._waiting) >= _ROOM:
            self._lose(1, "the queue is full")
            return
        self._waiting.append(page)
        self._came.set()

    @contextlib.asynccontextmanager
    async def storing(self) -> AsyncIterator[None]:
        """Writes until the block ends, and then what is left."""
        try:
            async with beside(self._store(), "store-served-pages"):
                yield
        finally:
            await self._flush_at_last()

    async def _store(self) -> None:
        while True:
            await self._came.wait()
            await asyncio.sleep(WAIT_SECONDS)
            self._came.clear()
            await asyncio.shield(self.flush())

    async def flush(self) -> None:
        """Write all that waits."""
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            await self._write(batch)

    async def _flush_at_last(self) -> None:
        """A Postgres that is away must not keep the service from stopping."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.flush()
        except TimeoutError:
            self._lose(len(self._waiting), "stopped")

    async def _write(self, batch: Sequence[ServedPage]) -> None:
        pages = orjson.dumps(batch).decode()
        for attempt in range(1, _TRIES + 1):
            try:
                await self._database.rows(_STORE, {"pages": pages})
            except psycopg.Error as exc:
                # A reader or book deleted while the statement ran; or Postgres is away for a moment.
                reason = type(exc).__name__
                if attempt < _TRIES:
                    await asyncio.sleep(_RETRY_SECONDS * attempt)
            except asyncio.CancelledError:
                self._lose(len(batch), "stopped")
                raise
            else:
                return
        self._lose(len(batch), reason)

    def _lose(self, pages: int, reason: str) -> None:
        if pages == 0:
            return
        self._metrics.pages_lost.inc(pages)
        log.error("served pages were not stored", pages=pages, reason=reason)
