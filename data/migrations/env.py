"""Alembic's entry point. The URL comes from ``data.database.migrate``, or from the settings for Alembic's own command line."""

import contextlib
from collections.abc import Iterator

from alembic import context
from sqlalchemy import create_engine, pool, text

from data.database import opened, sqlalchemy_url
from data.schema import Base
from data.settings import StateSettings

ONE_AT_A_TIME = 5_180_417_022  # advisory lock: two replicas that migrate at once take turns


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
            context.configure(
                connection=connection, target_metadata=Base.metadata, compare_type=True, compare_server_default=True
            )
            with context.begin_transaction():
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
                context.run_migrations()


run()
