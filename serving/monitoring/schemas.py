"""What the monitoring operations give."""

import datetime as dt
from typing import Any, Literal

from pydantic import BaseModel, Field


class Alive(BaseModel):
    status: Literal["alive"]


class Ready(BaseModel):
    status: Literal["ready", "not ready"]
    checks: dict[str, bool]


class Card(BaseModel):
    """What this service is and where to go on."""

    name: str
    version: str
    links: dict[str, str]


CARD_EXAMPLE: dict[str, Any] = {
    "name": "BRS",
    "version": "0.1.0",
    "links": {"documentation": "/docs", "openapi": "/openapi.json", "health": "/health", "books": "/api/v1/books"},
}
READY_EXAMPLE: dict[str, Any] = {"status": "ready", "checks": {"postgres": True, "schema": True}}


class Pool(BaseModel):
    """Connections of the worker that answered; ``waiting`` are requests."""

    open: int
    idle: int
    limit: int
    waiting: int


class Postgres(BaseModel):
    answers: bool
    ms: float


class Model(BaseModel):
    name: str
    version: str
    age_seconds: float


class Disk(BaseModel):
    free_bytes: int
    total_bytes: int
    has_room: bool


class Memory(BaseModel):
    resident_bytes: int


class Health(BaseModel):
    """``degraded``: it answers, but without a model, without its Redis, or with little room on the disk."""

    status: Literal["healthy", "degraded", "unhealthy"]
    checks: dict[str, bool]
    postgres: Postgres
    pool: Pool
    model: Model | None
    redis: Literal["answers", "down", "not used"]
    disk: Disk
    memory: Memory


class Requests(BaseModel):
    total: int
    by_status: dict[str, int]


class Route(BaseModel):
    """Latencies are read off a histogram, so they are as fine as its buckets."""

    route: str
    count: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Numbers(BaseModel):
    """Of all workers of this host. ``numbers`` has the rest of what Prometheus reads, by its name there."""

    requests: Requests
    routes: list[Route]
    numbers: dict[str, float]


class Version(BaseModel):
    """``commit`` is null where neither ``BRS_COMMIT`` nor a checkout tells it."""

    name: str
    version: str
    commit: str | None
    schema_: str = Field(alias="schema", description="Revision of the database schema that this code was written for")
    python: str


class Status(BaseModel):
    status: Literal["running"]
    version: str
    environment: str
    started_at: dt.datetime
    uptime_seconds: float
    model: Model | None


_MODEL: dict[str, Any] = {"name": "brs-recommender", "version": "7", "age_seconds": 41_250.3}
HEALTH_EXAMPLE: dict[str, Any] = {
    "status": "healthy",
    "checks": {"postgres": True, "schema": True},
    "postgres": {"answers": True, "ms": 0.84},
    "pool": {"open": 4, "idle": 3, "limit": 10, "waiting": 0},
    "model": _MODEL,
    "redis": "answers",
    "disk": {"free_bytes": 52_000_000_000, "total_bytes": 100_000_000_000, "has_room": True},
    "memory": {"resident_bytes": 184_000_000},
}
NUMBERS_EXAMPLE: dict[str, Any] = {
    "requests": {"total": 1204, "by_status": {"200": 1180, "404": 24}},
    "routes": [{"route": "/api/v1/books", "count": 310, "mean_ms": 3.1, "p50_ms": 2.4, "p95_ms": 7.9, "p99_ms": 14.2}],
    "numbers": {"brs_sql_statements_total": 2210.0},
}
VERSION_EXAMPLE: dict[str, Any] = {
    "name": "BRS",
    "version": "0.1.0",
    "commit": "0d8f2c6f7b115f0c7a3e9b1d4c2f8e6a6f2f9a52",
    "schema": "0002",
    "python": "3.11.2",
}
STATUS_EXAMPLE: dict[str, Any] = {
    "status": "running",
    "version": "0.1.0",
    "environment": "production",
    "started_at": "2026-11-22T20:15:22.123Z",
    "uptime_seconds": 86_400.0,
    "model": _MODEL,
}
