"""How to reach Postgres: the embedded server or the one that ``DATABASE_URL`` names, and its migrations."""

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url
from sqlalchemy.exc import OperationalError, PendingRollbackError

from data.embedded import EmbeddedUnavailable, running
from data.settings import StateSettings

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST_SUPPORTED = 150000  # server_version_num; MERGE came with 15
CONNECT_SECONDS = 5
LOST_MIGRATING = "the connection to Postgres was lost while migrating, and nothing is lost: run `brs migrate` again"


class DatabaseUnavailable(RuntimeError):
    """Postgres cannot be used; the message is one line and says what to do."""


@dataclass(frozen=True)
class Databases:
    """libpq URLs of the three databases of one server."""

    brs: str
    dagster: str
    mlflow: str


@contextlib.contextmanager
def opened(settings: StateSettings, *, create: Sequence[str] = ("dagster", "mlflow")) -> Iterator[Databases]:
    """The databases, ready to be connected to, for as long as the block lasts.

    Without ``DATABASE_URL`` this starts or joins the embedded server, which stops when its last user has gone.

    Args:
        settings: Where they are.
        create: Those beside ``brs`` that are made when they are missing. The API needs neither, and in production may
            not make any.

    Raises:
        DatabaseUnavailable: the server does not answer, is too old, or a database is missing and may not be created.
    """
    if settings.database_url is not None:
        yield _on_server(settings, settings.database_url, create)
        return
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running(settings.home))
        except EmbeddedUnavailable as exc:
            raise DatabaseUnavailable(str(exc)) from exc
        for name in ("brs", *create):
            _create_if_missing(server.url("postgres"), name)
        yield Databases(server.url("brs"), server.url("dagster"), server.url("mlflow"))


def _on_server(settings: StateSettings, url: str, create: Sequence[str]) -> Databases:
    url = plain_url(url)
    with _probe(url, "DATABASE_URL") as connection:
        if connection.info.server_version < OLDEST_SUPPORTED:
            raise DatabaseUnavailable(
                f"DATABASE_URL points to PostgreSQL {connection.info.server_version // 10000}; 15 or newer is needed"
            )
    beside = {}
    for name, given in (("dagster", settings.dagster_database_url), ("mlflow", settings.mlflow_database_url)):
        if given is not None:
            beside[name] = plain_url(given)
            continue
        beside[name] = make_url(url).set(database=name).render_as_string(hide_password=False)
        if name in create:
            _create_beside(url, name)
    return Databases(url, beside["dagster"], beside["mlflow"])


def _create_beside(url: str, name: str) -> None:
    try:
        _create_if_missing(url, name)
    except psycopg.errors.InsufficientPrivilege as exc:
        raise DatabaseUnavailable(
            f"the user of DATABASE_URL may not create the database '{name}'; "
            f"create it, or name another with BRS_{name.upper()}_DATABASE_URL"
        ) from exc


def _create_if_missing(url: str, name: str) -> None:
    with _probe(url, "the server", autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            # Another process may have been faster between the question and the answer.
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _probe(url: str, called: str, *, autocommit: bool = False) -> psycopg.Connection:
    try:
        return connect(url, autocommit=autocommit)
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable(f"Postgres does not answer ({called}): {' '.join(str(exc).split())}") from exc
    except psycopg.ProgrammingError as exc:
        raise DatabaseUnavailable(
            f"{called} is not a Postgres URL such as postgresql://user:password@host/name"
        ) from exc


def plain_url(url: str) -> str:
    """The URL as libpq takes it: without SQLAlchemy's ``+driver``, and ``postgres://`` as some platforms write it."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise DatabaseUnavailable("DATABASE_URL is not a Postgres URL such as postgresql://user:password@host/name")
    return f"postgresql://{rest}"


def connect(url: str, *, autocommit: bool = False) -> psycopg.Connection:
    """A synchronous connection, for COPY and commands."""
    return psycopg.connect(plain_url(url), autocommit=autocommit, connect_timeout=CONNECT_SECONDS)


def sqlalchemy_url(url: str, driver: str = "psycopg") -> URL:
    """The URL for SQLAlchemy; Dagster and MLflow want ``driver="psycopg2"``."""
    return make_url(plain_url(url)).set(drivername=f"postgresql+{driver}")


def tracking_uri(settings: StateSettings, databases: Databases) -> str:
    """Where MLflow keeps runs and models: the server that the settings name, else its database itself."""
    return settings.mlflow_tracking_uri or sqlalchemy_url(databases.mlflow, "psycopg2").render_as_string(
        hide_password=False
    )


# Alembic is imported where it is used: that is half a second which most commands need not wait for.


def _config(url: str) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config(stdout=sys.stdout)  # its default is what stdout was when Alembic was imported; that may be closed
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema up to ``revision``. Safe to call from several processes at once, and while the service runs.

    Raises:
        DatabaseUnavailable: the schema is of a newer release, or others held a table for a minute.
    """
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        command.upgrade(_config(url), revision)
    except CommandError as exc:
        raise DatabaseUnavailable(how_to_mend(current(url))) from exc
    except PendingRollbackError as exc:  # what SQLAlchemy makes of a lost connection where Alembic tidies up after it
        raise DatabaseUnavailable(LOST_MIGRATING) from exc
    except OperationalError as exc:
        if exc.connection_invalidated:
            raise DatabaseUnavailable(LOST_MIGRATING) from exc
        if not isinstance(exc.orig, (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)):
            raise
        raise DatabaseUnavailable(
            f"the migration after {current(url)} did not get its locks, and nothing is lost: end the long"
            " transaction that holds a table it changes, and run `brs migrate` again"
            " (docs/runbook.md: a stuck migration)"
        ) from exc


def downgrade(url: str, revision: str) -> None:
    from alembic import command  # noqa: PLC0415

    command.downgrade(_config(url), revision)


def check(url: str) -> None:
    """Raise ``alembic.util.AutogenerateDiffsDetected`` when the tables and the migrations disagree."""
    from alembic import command  # noqa: PLC0415

    command.check(_config(url))


@functools.cache
def head() -> str:
    """The newest revision this code knows."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if newest is None:
        raise DatabaseUnavailable("the installation has no migrations; install BRS again")
    return newest


@functools.cache
def known() -> frozenset[str]:
    """All revisions of this code."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return frozenset(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def fits(at: str | None) -> bool:
    """Whether this code can work on a schema at revision ``at``: its own, or one of a newer release.

    A migration only adds what the release before does without, and takes away what nobody needs any more: so replicas
    of the release before stay in service while the new ones start, and a release is rolled back without its schema.
    """
    return at == head() or (at is not None and at not in known())


def how_to_mend(at: str | None) -> str:
    """What to say of a schema that is not at ``head()``."""
    if at is None or at in known():
        return "the schema is not at this release's version: run `brs migrate` first"
    return f"the schema ({at}) is of a newer release than this program ({head()}): install that release"


def current(url: str) -> str | None:
    """The revision the database is at; ``None`` for an empty one."""
    with connect(url) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
