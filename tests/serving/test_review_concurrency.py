"""Many readers write at once, through HTTP, into a real Postgres: nothing is lost, nothing is counted twice."""

import asyncio
import collections
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from serving.app import create_app
from serving.kit.auth import SessionId, UserId
from serving.settings import ServiceSettings
from tests.serving.conftest import Library, at_once, bearer

Headers = dict[str, str]
_RECOUNT = """
SELECT b.total_reviews, b.average_rating, b.stars_1, b.stars_2, b.stars_3, b.stars_4, b.stars_5,
       coalesce((SELECT sum(n) FROM book_days d WHERE d.book_id = b.id), 0),
       coalesce((SELECT sum(sum) FROM book_days d WHERE d.book_id = b.id), 0),
       count(r.id), round(avg(r.rating), 2),
       count(*) FILTER (WHERE r.rating = 1), count(*) FILTER (WHERE r.rating = 2), count(*) FILTER (WHERE r.rating = 3),
       count(*) FILTER (WHERE r.rating = 4), count(*) FILTER (WHERE r.rating = 5),
       count(r.id), coalesce(sum(r.rating), 0)
FROM books b LEFT JOIN reviews r ON r.book_id = b.id GROUP BY b.id
"""


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> FastAPI:
    settings = ServiceSettings(database_pool_size=60, rate_limits=False)
    return create_app(settings, database_url=database_url, tracking_uri=None, bundles=tmp_path)


def signed_in(app: FastAPI, library: Library, n: int) -> list[Headers]:
    """Sessions of new readers, without the work of hashing passwords."""
    headers = []
    for reader in (library.reader() for _ in range(n)):
        rows = library.run(
            "INSERT INTO token_families (user_id, expires_at) VALUES (%s, now() + interval '1 day') RETURNING id",
            reader,
        )
        headers.append(bearer(app.state.tokens.access(UserId(reader), SessionId(rows[0][0]))))
    return headers


def through(app: FastAPI, work: Callable[[httpx2.AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with at_once(app) as client:
            await work(client)

    asyncio.run(run())


def counts_are_exact(library: Library) -> bool:
    rows = library.run(_RECOUNT)
    assert rows
    for row in rows:
        assert row[:9] == row[9:]
    return True


def test_twelve_identical_reviews_at_once_make_one(app: FastAPI, library: Library) -> None:
    book = library.book()
    library.rated(book, 1, 2)
    (headers,) = signed_in(app, library, 1)
    statuses: list[int] = []
    refusals: set[str] = set()

    async def work(client: httpx2.AsyncClient) -> None:
        body = {"rating": 5, "review_text": "I read it in one night."}
        sent = [client.post(f"/api/v1/books/{book}/reviews", json=body, headers=headers) for _ in range(12)]
        for answer in await asyncio.gather(*sent):
            statuses.append(answer.status_code)
            if answer.status_code != 201:
                refusals.add(answer.json()["errors"]["code"])

    through(app, work)
    assert sorted(statuses) == [201] + [409] * 11
    assert refusals == {"DUPLICATE_REVIEW"}
    assert library.run("SELECT average_rating, total_reviews, stars_5 FROM books") == [(Decimal("2.67"), 3, 1)]
    assert counts_are_exact(library)


@pytest.mark.slow
def test_after_2000_mixed_writes_by_50_readers_on_20_books_the_counts_equal_a_recount(
    app: FastAPI, library: Library
) -> None:
    books, readers = library.books(20), signed_in(app, library, 50)
    statuses: collections.Counter[tuple[str, int]] = collections.Counter()

    async def write(client: httpx2.AsyncClient, headers: Headers, chance: random.Random) -> None:
        mine: dict[object, str] = {}
        shelf = chance.sample(books, 5)
        for _ in range(20):
            book = chance.choice(shelf)
            # Two at a time, so that a reader's own writes meet as well.
            kinds = [chance.choice(("POST", "PUT", "PUT", "DELETE")) if book in mine else "POST" for _ in range(2)]
            sent: list[Awaitable[httpx2.Response]] = []
            for kind in kinds:
                path = f"/api/v1/books/{book}/reviews" if kind == "POST" else f"/api/v1/reviews/{mine[book]}"
                body = None if kind == "DELETE" else {"rating": chance.randint(1, 5)}
                sent.append(client.request(kind, path, json=body, headers=headers))
            for kind, answer in zip(kinds, await asyncio.gather(*sent), strict=True):
                statuses[kind, answer.status_code] += 1
                if answer.status_code == 201:
                    mine[book] = answer.json()["data"]["id"]
                elif answer.status_code == 204:
                    del mine[book]

    async def work(client: httpx2.AsyncClient) -> None:
        # Two requests each: half the pool stays free, so that a slow machine makes nobody wait until the 503 is due.
        places = asyncio.Semaphore(15)

        async def in_turn(place: int, headers: Headers) -> None:
            async with places:
                await write(client, headers, random.Random(place))

        await asyncio.gather(*(in_turn(place, headers) for place, headers in enumerate(readers)))

    through(app, work)
    assert statuses.total() == 2000
    assert set(statuses) <= {
        ("POST", 201), ("POST", 409), ("PUT", 200), ("PUT", 404), ("DELETE", 204), ("DELETE", 404),
    }  # fmt: skip
    assert min(statuses["POST", 201], statuses["PUT", 200], statuses["DELETE", 204]) > 200
    assert counts_are_exact(library)
