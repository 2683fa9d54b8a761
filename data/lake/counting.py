"""How many rows Postgres has, counted while they are copied: it has to look at all of them, which takes its time."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import psycopg
from psycopg import sql

from data.database import connect
from data.lake.tables import PARTED, WHOLE, Parted, Whole

TABLES: Mapping[str, Parted | Whole] = {**PARTED, **WHOLE}


@contextlib.contextmanager
def counting(url: str, connection: psycopg.Connection) -> Iterator[Callable[[str], int]]:
    """Count the rows of all tables on a connection of its own, in the moment that ``connection``'s transaction sees.

    Yields what tells the rows of a table: it waits until they are counted, and raises what counting them raised.
    """
    exported = connection.execute("SELECT pg_export_snapshot()").fetchone()
    if exported is None:
        raise psycopg.DatabaseError("no answer")
    with connect(url) as beside, ThreadPoolExecutor(1, "counting") as pool:
        beside.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        beside.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(exported[0]))
        found = {name: pool.submit(_rows, beside, table.count) for name, table in TABLES.items()}
        try:
            yield lambda name: found[name].result()
        finally:  # nobody waits for counts that are not asked for any more
            pool.shutdown(wait=False, cancel_futures=True)
            beside.cancel_safe()


def _rows(connection: psycopg.Connection, count: str) -> int:
    row = connection.execute(count.encode()).fetchone()
    if row is None:
        raise psycopg.DatabaseError("no answer")
    return int(row[0])
