"""What is kept for a time only goes by itself, without anybody's request."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from serving.kit import sweep
from serving.kit.db import Database
from tests.serving.conftest import Library, Running

KEPT = {
    "idempotency_keys": ("23 hours", "25 hours"),
    "token_families": ("6 days", "8 days"),
    "served_pages": ("89 days", "91 days"),
    "tombstones": ("6 days", "8 days"),
}
WRITE = {
    "idempotency_keys": "INSERT INTO idempotency_keys SELECT u.id, %s, sha256('x'), 201, '{}',"
    " clock_timestamp() - %s::interval FROM users u",
    "token_families": "WITH f AS (INSERT INTO token_families (user_id, expires_at)"
    " SELECT u.id, clock_timestamp() - %s::interval FROM users u RETURNING id)"
    " INSERT INTO refresh_tokens (family_id, token_hash) SELECT id, sha256(id::text::bytea) FROM f",
    "served_pages": "WITH p AS (INSERT INTO served_pages (user_id, recommendation_type, created_at)"
    " SELECT u.id, 'popular', clock_timestamp() - %s::interval FROM users u RETURNING id)"
    " INSERT INTO served_picks SELECT p.id, 1, b.id, 'popular', 0.5 FROM p, books b",
    "tombstones": "INSERT INTO tombstones (of, user_id, created_at)"
    " SELECT 'reviews', u.id, clock_timestamp() - %s::interval FROM users u",
}


def fill(library: Library) -> None:
    library.reader()
    library.book()
    for table, ages in KEPT.items():
        for age in ages:
            library.run(WRITE[table], *([age, age] if table == "idempotency_keys" else [age]))


def left(library: Library) -> dict[str, int]:
    tables = (*KEPT, "refresh_tokens", "served_picks")
    fresh = {"tombstones": "WHERE of = 'reviews'"}  # what is swept leaves new ones
    return {table: library.run(f"SELECT count(*) FROM {table} {fresh.get(table, '')}")[0][0] for table in tables}


ONE_EACH = dict.fromkeys((*KEPT, "refresh_tokens", "served_picks"), 1)


def test_what_has_expired_goes_while_nobody_asks(
    running: Running, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "EVERY_SECONDS", 0.05)
    fill(library)
    with running():
        until = time.monotonic() + 10
        while left(library) != ONE_EACH:
            assert time.monotonic() < until, left(library)
            time.sleep(0.05)
    assert library.run("SELECT key FROM idempotency_keys") == [("23 hours",)]


def test_more_than_one_statement_takes_goes_too_and_what_is_locked_stays(
    database_url: str, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_AT_ONCE", 2)
    library.reader()
    for key in range(5):
        library.run(WRITE["idempotency_keys"], str(key), "25 hours")

    async def once() -> None:
        database = Database(database_url, pool_size=1, statement_timeout=5)
        await database.open()
        await sweep.sweep(database)
        await database.close()

    with library.connection.transaction():
        library.run("SELECT FROM idempotency_keys WHERE key = '3' FOR UPDATE")
        asyncio.run(once())
    assert library.run("SELECT key FROM idempotency_keys") == [("3",)]


def test_a_postgres_that_is_away_is_waited_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr("serving.kit.db.WAIT_SECONDS", 0.2)
    nowhere = "postgresql://127.0.0.1:9/brs"
    with capture_logs() as lines, running({"database_url": nowhere}) as service:
        until = time.monotonic() + 10
        while sum(line["event"] == "not swept" for line in lines) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert service.get("/monitoring/health/liveness").status_code == 200
