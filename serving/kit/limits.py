"""How often one may ask: sliding windows in memory, or in a Redis that all replicas share.

The windows are the library's (`limits`, its moving window: exact, every request has its own time). When Redis does not
answer, requests go on uncounted, but for failed logins, which are then counted in memory.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

import redis.asyncio
import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.memory import Entry
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from serving.kit.metrics import Metrics
from serving.settings import ServiceSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")
MINUTE: Final = 60
HOUR: Final = 3600
SWEEP_SECONDS: Final = 60.0
REDIS_SECONDS: Final = 0.25  # for one answer of Redis; a request must not wait longer for being counted
AWAY_SECONDS: Final = 5.0  # until a Redis that did not answer is asked again
_PREFIX: Final = "brs"


class Standing(NamedTuple):
    """How a caller stands with one budget. ``reset`` is when its oldest request leaves the window (epoch seconds)."""

    limit: int
    remaining: int
    reset: float

    def after_one(self) -> "Standing":
        return self._replace(remaining=max(0, self.remaining - 1))

    def headers(self) -> Mapping[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.remaining)),
            "X-RateLimit-Reset": str(_up(self.reset)),
        }

    def retry_after(self) -> str:
        return str(max(1, _up(self.reset - time.time())))


def _up(seconds: float) -> int:
    return -int(-seconds // 1)


class Memory(MemoryStorage):
    """The library's windows in memory, for one event loop.

    The library's own way looks at every caller's window whenever anybody's request is counted, each in a thread. Here
    counting takes no ``await``, so it needs no lock, and forgetting is a walk once a minute.
    """

    def __init__(self) -> None:
        super().__init__()
        self._swept = time.time()

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = time.time()
        self._sweep(now)
        entries = self.events.setdefault(key, [])  # newest first
        place = limit - amount
        if place < 0 or (len(entries) > place and entries[place].atime >= now - expiry):
            return False
        entries[:0] = [Entry(expiry)] * amount
        del entries[limit:]
        return True

    def _sweep(self, now: float) -> None:
        if 0 <= now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now
        for key in [key for key, entries in self.events.items() if not entries or entries[0].expiry < now]:
            del self.events[key]


class Pace(NamedTuple):
    """Two windows that hold at the same time."""

    minute: RateLimitItem
    burst: RateLimitItem


class Budgets:
    """What the settings allow, as windows with names of their own."""

    def __init__(self, settings: ServiceSettings) -> None:
        def window(amount: int, seconds: int, name: str) -> RateLimitItem:
            return RateLimitItemPerSecond(amount, seconds, namespace=f"{_PREFIX}-{name}")

        said, brief = settings, settings.rate_limit_burst_seconds
        self.anonymous = Pace(
            window(said.rate_limit_anonymous_per_minute, MINUTE, "anonymous"),
            window(said.rate_limit_anonymous_burst, brief, "anonymous-burst"),
        )
        self.signed_in = Pace(
            window(said.rate_limit_signed_in_per_minute, MINUTE, "signed-in"),
            window(said.rate_limit_signed_in_burst, brief, "signed-in-burst"),
        )
        self.failed_logins = window(said.rate_limit_login_per_minute, MINUTE, "login")
        self.registrations = window(said.rate_limit_register_per_minute, MINUTE, "register")
        self.imports = window(said.rate_limit_import_per_hour, HOUR, "import")


class Limiter:
    """Counts, and knows whether its store answers.

    Args:
        redis_url: Of the Redis that all replicas share; ``None``: this process counts for itself.
        metrics: Where the store's state is shown.
    """

    def __init__(self, redis_url: str | None, metrics: Metrics) -> None:
        self._memory = MovingWindowRateLimiter(Memory())
        self._metrics = metrics
        self._pool = None if redis_url is None else _pool(redis_url)
        self._redis = None if self._pool is None else MovingWindowRateLimiter(_storage(self._pool))
        self._is_away = False
        self._ask_again = 0.0
        self.store = "memory" if redis_url is None else "redis"

    def started(self) -> None:
        self._metrics.limiter_up.labels(self.store).set(1)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.disconnect()

    async def standing(self, window: RateLimitItem, caller: str, *, always: bool = False) -> Standing | None:
        """Counts nothing. ``None``: Redis does not answer; with ``always`` the memory of this process does."""

        async def ask(limiter: MovingWindowRateLimiter) -> Standing:
            reset, remaining = await limiter.get_window_stats(window, caller)
            # Of an empty window the library names a time of its own.
            return Standing(
                window.amount, remaining, reset if remaining < window.amount else time.time() + window.get_expiry()
            )

        return await self._ask(ask, always=always)

    async def take(self, window: RateLimitItem, caller: str, *, always: bool = False) -> bool:
        """Count one, if it still fits in; whether it did. A Redis that does not answer takes everything."""
        taken = await self._ask(lambda limiter: limiter.hit(window, caller), always=always)
        return taken is not False

    async def answers(self) -> bool:
        """Whether the store can be reached now."""
        return self._redis is None or await self._redis.storage.check()

    async def _ask(self, ask: Callable[[MovingWindowRateLimiter], Awaitable[T]], *, always: bool) -> T | None:
        if self._redis is None:
            return await ask(self._memory)
        if not self._is_away or time.monotonic() >= self._ask_again:
            self._ask_again = time.monotonic() + AWAY_SECONDS  # while it is away, one request alone tries
            try:
                answer = await ask(self._redis)
            except (RedisError, OSError) as exc:
                self._lost(exc)
            else:
                self._found()
                return answer
        return await ask(self._memory) if always else None

    def _lost(self, exc: Exception) -> None:
        self._metrics.limiter_failures.inc()
        if not self._is_away:
            self._metrics.limiter_up.labels(self.store).set(0)
            log.warning("redis does not answer: requests go on without limits", reason=type(exc).__name__)
        self._is_away = True

    def _found(self) -> None:
        if self._is_away:
            self._metrics.limiter_up.labels(self.store).set(1)
            log.info("redis answers again: requests are limited")
        self._is_away = False


def _pool(url: str) -> redis.asyncio.ConnectionPool:
    """One more try at once, for a connection that died in the pool."""
    return redis.asyncio.ConnectionPool.from_url(
        url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS, retry=Retry(NoBackoff(), 1)
    )


def _storage(pool: redis.asyncio.ConnectionPool) -> RedisStorage:
    # The address is the pool's; limits' own signature knows no pools, its documentation does.
    return RedisStorage(
        "async+redis://", implementation="redispy", key_prefix=_PREFIX, connection_pool=cast("Any", pool)
    )
