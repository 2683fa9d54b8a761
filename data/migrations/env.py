"""Alembic's entry point. The URL comes from ``data.database.migrate``, or from the settings for Alembic's own command line."""

import contextlib
import time
from collections.abc import Iterator

from alembic import context
from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.exc import OperationalError

from data.database import opened, sqlalchemy_url
from data.migrations.online import LOCK_MILLISECONDS
from data.schema import Base
from data.settings import StateSettings

# Whoever waits for a lock on a table makes everybody wait who comes after it. A migration that meets a long transaction (a
# dump, a report) gives up soon, lets the others pass, and tries again.
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
PATIENCE_SECONDS = 60.0

ONE_AT_A_TIME = 5_180_417_022  # advisory lock: two replicas that migrate at once take turns
TURN_SECONDS = 0.1


@contextlib.contextmanager
def _url() -> Iterator[str]:
    given = context.config.attributes.get("url")
    if given is not None:
        yield given
        return
    with opened(StateSettings()) as databases:
        yield databases.brs


def run() -> None:
    with _url() as url:
        engine = create_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
        with engine.connect() as connection:
            _wait_for_turn(connection)
            _run_patiently(connection)


def _wait_for_turn(connection: Connection) -> None:
    """Asked again and again, with no transaction open in between: who builds an index waits for all that are open."""
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ONE_AT_A_TIME}):
        connection.commit()
        time.sleep(TURN_SECONDS)
    connection.commit()


def _run_patiently(connection: Connection) -> None:
    """Run each migration in a transaction of its own (but those that build indexes), again when it gets no lock in time."""
    until, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        # Whatever PGOPTIONS or the role say, or an attempt left behind.
        connection.execute(text(f"SET lock_timeout = {LOCK_MILLISECONDS}"))
        connection.execute(text("SET statement_timeout = 0"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        try:
            with context.begin_transaction():
                context.run_migrations()
        except OperationalError as exc:
            if not isinstance(exc.orig, (LockNotAvailable, QueryCanceled)) or time.monotonic() > until:
                raise
        else:
            return
        connection.rollback()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


run()
