"""Connections that die: in the pool, before anything was sent on them, and after a statement was done."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from serving.kit.db import Database, Transaction
from tests.serving.conftest import Library

ADD = "INSERT INTO genres (name, name_key) VALUES ('Cut ' || gen_random_uuid(), 'cut') RETURNING name"
COUNT = "SELECT count(*) FROM genres WHERE name_key = 'cut'"
CUT_ALL = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'brs-api'"


@contextlib.asynccontextmanager
async def opened(url: str, pool_size: int) -> AsyncIterator[Database]:
    database = Database(url, pool_size=pool_size, statement_timeout=5)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def way_that_is_cut(upstream: str, folder: Path, word: bytes) -> AsyncIterator[None]:
    """A socket in ``folder`` before Postgres' own. It closes, once, instead of passing the answer to ``word`` on."""
    done = asyncio.Event()
    ways: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(upstream)
        asked = False

        async def forth() -> None:
            nonlocal asked
            while data := await reader.read(65_536):
                asked = asked or word in data
                far_writer.write(data)
            far_writer.close()

        async def back() -> None:
            while data := await far_reader.read(65_536):
                if asked and not done.is_set():
                    done.set()
                    break
                writer.write(data)
            writer.close()

        await asyncio.gather(forth(), back())

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways.add(asyncio.create_task(pass_on(reader, writer)))

    async with await asyncio.start_unix_server(connected, folder / ".s.PGSQL.5432"):
        yield
        await asyncio.gather(*ways)


def test_a_write_whose_answer_is_lost_is_not_done_twice(database_url: str, library: Library, tmp_path: Path) -> None:
    address = conninfo_to_dict(database_url)
    upstream = f"{address['host']}/.s.PGSQL.{address.get('port', 5432)}"
    proxied = f"postgresql://{address['user']}@/{address['dbname']}?host={quote(str(tmp_path), safe='')}&port=5432"

    async def add_twice() -> None:
        async with way_that_is_cut(upstream, tmp_path, b"INSERT INTO genres"), opened(proxied, 2) as database:
            with pytest.raises(psycopg.OperationalError):
                await database.rows(ADD)
            assert library.run(COUNT) == [(1,)], "the client was not told that it was done, and it was done once"
            assert len(await database.rows(ADD)) == 1, "the next statement finds a connection that lives"

    asyncio.run(add_twice())
    assert library.run(COUNT) == [(2,)]


def test_connections_that_died_while_idle_fail_nobody(database_url: str, library: Library) -> None:
    async def in_transaction(run: Transaction) -> None:
        await run.rows(ADD)

    async def add_thrice() -> float:
        async with opened(database_url, 4) as database:
            await asyncio.gather(*(database.rows("SELECT pg_sleep(0.05)") for _ in range(4)))
            library.run(CUT_ALL)
            began = time.monotonic()
            await asyncio.gather(database.rows(ADD), database.all_or_none(in_transaction))
            library.run(CUT_ALL)
            await database.all_or_none(in_transaction)
            return time.monotonic() - began

    assert asyncio.run(add_thrice()) < 5
    assert library.run(COUNT) == [(3,)]
