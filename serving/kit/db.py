"""Postgres as a request sees it: single statements that commit by themselves, or one transaction.

Requests speak psycopg directly, through its own pool: a page of books costs the process 0.17 ms of CPU that way and
0.68 ms through SQLAlchemy's async engine. This module is the only one that commits.
"""

import contextlib
import contextvars
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar, cast

import psycopg
import psycopg_pool
import structlog
from fastapi import Depends, Request

from data.database import CONNECT_SECONDS, plain_url

log = structlog.get_logger(__name__)

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, object]
Connection = psycopg.AsyncConnection[Row]
NOTHING: Params = {}
LEAST_LIKENESS = 0.3  # trigrams in common (0..1) that make a word worth a look
WAIT_SECONDS = 5  # for a free connection; after that the client is told to come back


@dataclass
class Tally:
    """How many statements a request has sent."""

    statements: int = 0


tally: contextvars.ContextVar[Tally | None] = contextvars.ContextVar("tally", default=None)
# What goes on around each statement of a request; ``kit.tracing`` sets it when traces are on.
around: contextvars.ContextVar[Callable[[str], contextlib.AbstractContextManager[object]]] = contextvars.ContextVar(
    "around", default=contextlib.nullcontext
)


class Runs(Protocol):
    """Runs statements: ``Database`` each by itself, ``Transaction`` all or none."""

    async def rows(self, query: str, params: Params = NOTHING) -> list[Row]: ...

    async def row(self, query: str, params: Params = NOTHING) -> Row | None: ...


async def _run(connection: Connection, query: str, params: Params) -> list[Row]:
    counted = tally.get()
    if counted is not None:
        counted.statements += 1
    with around.get()(query):
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(query, params)
            return await cursor.fetchall() if cursor.description is not None else []


async def _is_alive(connection: Connection) -> bool:
    """Looks before anything is sent: afterwards nobody could tell whether a statement was done, and may be repeated.

    Postgres says nothing on an idle connection but farewell (it was restarted). Whether there is something to read is
    one system call of a microsecond; only then the connection is asked.
    """
    try:
        listening = select.poll()
        listening.register(connection.fileno(), select.POLLIN)
        if listening.poll(0):
            await psycopg_pool.AsyncConnectionPool.check_connection(connection)
    except psycopg.Error:
        return False
    return True


@contextlib.asynccontextmanager
async def _borrowed(pool: psycopg_pool.AsyncConnectionPool[Connection]) -> AsyncIterator[Connection]:
    """A connection that has not died in the pool. The pool replaces those that have, and knows how long to wait."""
    while True:
        async with pool.connection() as connection:
            if await _is_alive(connection):
                yield connection
                return
            await connection.close()


class Transaction:
    """Statements that are kept together or not at all. Borrows its connection at the first statement.

    Borrowing late means that a request which is refused for its input or its token never holds a connection, and that
    no request waits for a second one while it holds the first.
    """

    def __init__(self, pool: psycopg_pool.AsyncConnectionPool[Connection], stack: contextlib.AsyncExitStack) -> None:
        self._pool = pool
        self._stack = stack
        self._connection: Connection | None = None

    async def rows(self, query: str, params: Params = NOTHING) -> list[Row]:
        if self._connection is None:
            self._connection = await self._stack.enter_async_context(_borrowed(self._pool))
            await self._stack.enter_async_context(self._connection.transaction())
        return await _run(self._connection, query, params)

    async def row(self, query: str, params: Params = NOTHING) -> Row | None:
        rows = await self.rows(query, params)
        return rows[0] if rows else None

    @contextlib.asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """A savepoint: what fails inside may be caught outside, and the transaction goes on."""
        if self._connection is None:
            await self.rows("SELECT 1")
        async with cast("Connection", self._connection).transaction():
            yield


class Database:
    """The pool of one worker process.

    Args:
        url: libpq URL.
        pool_size: Connections at most.
        statement_timeout: Seconds after which Postgres ends a statement.
    """

    def __init__(self, url: str, *, pool_size: int, statement_timeout: float) -> None:
        self._pool: psycopg_pool.AsyncConnectionPool[Connection] = psycopg_pool.AsyncConnectionPool(
            plain_url(url),
            open=False,
            min_size=min(2, pool_size),
            max_size=pool_size,
            timeout=WAIT_SECONDS,
            reconnect_timeout=WAIT_SECONDS,  # the pauses double: a longer one would sleep past Postgres' return
            name="brs-api",
            kwargs={
                "autocommit": True,
                "application_name": "brs-api",
                "connect_timeout": CONNECT_SECONDS,
                # pg_trgm's threshold is what a search looks at; what it shows is nearer (books/search_queries.py).
                "options": f"-c timezone=UTC -c statement_timeout={int(statement_timeout * 1000)}"
                f" -c pg_trgm.word_similarity_threshold={LEAST_LIKENESS}",
            },
        )

    async def open(self) -> None:
        """Start connecting. Does not wait: the service answers its probes while Postgres is down."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    def pool(self) -> dict[str, int]:
        """Connections that are ``open``, of them ``idle``; the ``limit``; requests ``waiting`` for one."""
        stats = self._pool.get_stats()
        names = {"open": "pool_size", "idle": "pool_available", "limit": "pool_max", "waiting": "requests_waiting"}
        return {name: stats.get(key, 0) for name, key in names.items()}

    async def rows(self, query: str, params: Params = NOTHING) -> list[Row]:
        """Run one statement in a transaction of its own."""
        async with _borrowed(self._pool) as connection:
            return await _run(connection, query, params)

    async def row(self, query: str, params: Params = NOTHING) -> Row | None:
        rows = await self.rows(query, params)
        return rows[0] if rows else None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end of the block, rolls back when the block raises."""
        async with contextlib.AsyncExitStack() as stack:
            yield Transaction(self._pool, stack)

    async def all_or_none(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Do ``work`` in a transaction, and once more from the start when Postgres ended it to resolve a deadlock."""
        try:
            async with self.transaction() as run:
                return await work(run)
        except psycopg.errors.DeadlockDetected:
            log.warning("deadlock", retried=True)
        async with self.transaction() as run:
            return await work(run)


async def _database(request: Request) -> Database:  # async: FastAPI sends plain functions to a thread, each time
    return cast("Database", request.app.state.database)


DatabaseDep = Annotated[Database, Depends(_database)]


async def _transaction(database: DatabaseDep) -> AsyncIterator[Transaction]:
    async with database.transaction() as transaction:
        yield transaction


# "function": the commit happens before the answer is sent, so that a failing commit is never answered with a success.
TransactionDep = Annotated[Transaction, Depends(_transaction, scope="function")]


def violated(exc: psycopg.errors.IntegrityError, constraint: str) -> bool:
    """Whether ``constraint`` is what the database refused the row for."""
    return exc.diag.constraint_name == constraint
