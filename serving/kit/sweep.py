"""Throws away what is kept for a time only. Nothing waits for it: what has expired counts as gone already."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

import psycopg
import structlog

from serving.kit.background import beside
from serving.kit.db import Database
from serving.kit.idempotency import KEPT

log = structlog.get_logger(__name__)

EVERY_SECONDS = 300.0
_AT_ONCE: Final = 500  # rows: no statement holds many locks, or for long
_EXPIRED: Final[Mapping[str, str]] = {
    "idempotency_keys": f"created_at < clock_timestamp() - {KEPT}",
    # With its refresh tokens. A week longer than it lives, in which its reader is told that it has expired.
    "token_families": "expires_at < clock_timestamp() - interval '7 days'",
    "served_pages": "created_at < clock_timestamp() - interval '90 days'",  # with its picks and feedback
    # What an extraction has not seen by then it makes good by reading everything.
    "tombstones": "created_at < clock_timestamp() - interval '7 days'",
}


def _statement(table: str) -> str:
    """Several workers sweep at once, and readers are at work: whatever is locked is left for the next time."""
    return f"""
WITH expired AS MATERIALIZED (
    SELECT ctid FROM {table} WHERE {_EXPIRED[table]} LIMIT {_AT_ONCE} FOR UPDATE SKIP LOCKED
)
DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM expired)) RETURNING 1
"""  # noqa: S608  constants of this module


async def sweep(database: Database) -> None:
    for table in _EXPIRED:
        while len(await database.rows(_statement(table))) == _AT_ONCE:
            pass


def sweeping(database: Database) -> AbstractAsyncContextManager[None]:
    """Sweeps every few minutes until the block ends."""
    return beside(_sweep_for_ever(database), "sweep")


async def _sweep_for_ever(database: Database) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await sweep(database)
        except psycopg.Error as exc:
            log.warning("not swept", reason=type(exc).__name__)
