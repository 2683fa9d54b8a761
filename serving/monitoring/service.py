"""Whether the service can do its work, and what it has to say about itself."""

import asyncio
import functools
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
import psycopg

from data.build import commit_of_checkout
from data.database import fits, head
from serving.kit.db import Database, Runs
from serving.kit.envelope import timestamp
from serving.kit.limits import Limiter
from serving.monitoring import machine, queries
from serving.monitoring.observer import Observer

PATIENCE_SECONDS = 2.0  # a probe's own patience is short; a request may wait longer for a connection
FULL_DISK = 0.02  # of its bytes free; below that a model may not fit any more


@functools.cache
def _head() -> str:
    return head()


async def checks(run: Runs) -> Mapping[str, bool]:
    """What readiness needs: Postgres, and a schema that this code can work on."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            revision = await queries.revision(run)
    except (psycopg.OperationalError, TimeoutError):
        return {"postgres": False, "schema": False}
    return {"postgres": True, "schema": fits(revision)}


@dataclass(frozen=True)
class Parts:
    """What the detailed health looks at. ``limiter`` is ``None`` when limits are off."""

    database: Database
    observer: Observer
    limiter: Limiter | None
    bundles: Path


async def health(parts: Parts) -> tuple[bool, Mapping[str, object]]:
    """Whether the service can do its work, and how each part does.

    Parts that the service can do without (the model, Redis, room on the disk) make it degraded, not unable.
    """
    began = time.perf_counter()
    needed = await checks(parts.database)
    postgres_ms = round((time.perf_counter() - began) * 1000, 2)
    redis = await _redis(parts.limiter)
    disk = machine.disk(parts.bundles)
    model = parts.observer.model()
    has_room = disk["free_bytes"] > FULL_DISK * disk["total_bytes"]
    is_able = all(needed.values())
    is_whole = is_able and redis != "down" and model is not None and has_room
    return is_able, {
        "status": "healthy" if is_whole else "degraded" if is_able else "unhealthy",
        "checks": needed,
        "postgres": {"answers": needed["postgres"], "ms": postgres_ms},
        "pool": parts.observer.pool(),
        "model": model,
        "redis": redis,
        "disk": {**disk, "has_room": has_room},
        "memory": machine.memory(),
    }


async def _redis(limiter: Limiter | None) -> str:
    if limiter is None or limiter.store != "redis":
        return "not used"
    return "answers" if await limiter.answers() else "down"


async def version(released: str, told_commit: str | None) -> Mapping[str, object]:
    commit = told_commit or await anyio.to_thread.run_sync(commit_of_checkout)
    return {
        "name": "BRS",
        "version": released,
        "commit": commit,
        "schema": _head(),
        "python": platform.python_version(),
    }


def status(observer: Observer, environment: str, released: str) -> Mapping[str, object]:
    return {
        "status": "running",
        "version": released,
        "environment": environment,
        "started_at": timestamp(observer.started),
        "uptime_seconds": round(observer.uptime().total_seconds(), 1),
        "model": observer.model(),
    }
