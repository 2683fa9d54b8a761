"""Looks every few seconds at what no request tells: the pool, and the model's age."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator

from serving.kit.background import beside
from serving.kit.db import Database
from serving.kit.metrics import Metrics
from serving.recommendations.challenge import Followed

EVERY_SECONDS = 5.0


class Observer:
    """Keeps the gauges of one worker up to date, and remembers when the worker began."""

    def __init__(self, database: Database, follower: Followed, metrics: Metrics) -> None:
        self._database = database
        self._follower = follower
        self._metrics = metrics
        self.started = dt.datetime.now(dt.UTC)

    def uptime(self) -> dt.timedelta:
        return dt.datetime.now(dt.UTC) - self.started

    @contextlib.asynccontextmanager
    async def observing(self) -> AsyncIterator[None]:
        self.started = dt.datetime.now(dt.UTC)
        async with beside(self._observe(), "observe"):
            yield

    async def _observe(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(EVERY_SECONDS)

    def look(self) -> None:
        for state, number in self.pool().items():
            self._metrics.pool.labels(state).set(number)
        age = self.model_age()
        self._metrics.model_age.set(0 if age is None else age)

    def pool(self) -> dict[str, int]:
        """Connections: ``open``, of them ``idle``, at most ``limit``; and how many requests are ``waiting`` for one."""
        return self._database.pool()

    def model(self) -> dict[str, object] | None:
        """The model that answers: its name, version and age."""
        champion = self._follower.current
        if champion is None:
            return None
        return {"name": champion.name.name, "version": champion.name.version, "age_seconds": self.model_age()}

    def model_age(self) -> float | None:
        champion = self._follower.current
        return None if champion is None else round((dt.datetime.now(dt.UTC) - champion.created_at).total_seconds(), 1)
