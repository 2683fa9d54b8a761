"""How many rows Postgres has, counted while they are copied: it has to look at all of them, which takes its time."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from psycopg import sql

from data.database import connect
from data.lake.tables import PARTED, WHOLE

COUNTS: Mapping[str, str] = {name: table.count for name, table in PARTED.items()} | {
    name: table.count for name, table in WHOLE.items()
}


@contextlib.contextmanager
def counting(url: str, connection: psycopg.Connection) -> Iterator[Callable[[str], int]]:
    """Count the rows of all tables on a connection of its own, in the moment that ``connection``'s transaction sees.

    Yields what tells the rows of a table: it waits until they are counted, and raises what counting them raised.
    """
    exported = _value(connection, "SELECT pg_export_snapshot()")
    with connect(url) as beside, ThreadPoolExecutor(1, "counting") as pool:
        beside.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        beside.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(exported))
        found = {name: pool.submit(_value, beside, count) for name, count in COUNTS.items()}
        try:
            yield lambda name: int(found[name].result())
        finally:  # nobody waits for counts that are not asked for any more
            pool.shutdown(wait=False, cancel_futures=True)
            beside.cancel_safe()


def _value(connection: psycopg.Connection, query: str) -> Any:  # noqa: ANN401 - whatever it asks for
    """The one value that a query tells."""
    row = connection.execute(query.encode()).fetchone()
    if row is None:
        raise psycopg.DatabaseError("no answer")
    return row[0]
