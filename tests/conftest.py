"""A real Postgres for every test: one embedded server a run, one migrated template, a clone per test (about 50 ms)."""

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from data.database import Databases, connect, migrate
from data.embedded import running

# Before anything loads OpenMP: its threads wait by spinning otherwise, which takes the cores from the other workers.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
GOODBOOKS = Path(os.environ.get("BRS_GOODBOOKS") or Path(__file__).parents[2] / "shared" / "data" / "goodbooks")
TEMPLATE = "brs_template"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first: one that begins when the others are done keeps everybody waiting."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the person who runs the tests has set for their own BRS must not reach a test, nor a test their ``.brs``."""
    for name in list(os.environ):
        if name.startswith("BRS_") or name in {"DATABASE_URL", "REDIS_URL", "DAGSTER_HOME", "MLFLOW_TRACKING_URI"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("BRS_HOME", str(tmp_path / "brs-home"))


@pytest.fixture(scope="session")
def server_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the one server that all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    home = (base if worker_id == "master" else base.parent) / "postgres"
    home.mkdir(exist_ok=True)
    return home


@pytest.fixture(scope="session")
def server_url(server_home: Path) -> Iterator[Callable[[str], str]]:
    """``server_url(database)`` of a real server, embedded, without fsync."""
    with running(server_home, durable=False) as server, (server_home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with connect(server.url("postgres"), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TEMPLATE,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE + "_new")))
                migrate(server.url(TEMPLATE + "_new"))
                connection.execute(
                    sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                        sql.Identifier(TEMPLATE + "_new"), sql.Identifier(TEMPLATE)
                    )
                )
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield server.url


@pytest.fixture
def clone(server_url: Callable[[str], str]) -> Iterator[Callable[[str | None], str]]:
    """``clone(template)`` makes a database from a template (``None``: an empty one), and drops it after the test."""
    made: list[str] = []
    with connect(server_url("postgres"), autocommit=True) as connection:

        def make(template: str | None = TEMPLATE) -> str:
            name = f"test_{uuid.uuid4().hex[:12]}"
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template or "template0")
                )
            )
            made.append(name)
            return server_url(name)

        yield make
        for name in made:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(clone: Callable[[str | None], str]) -> str:
    """libpq URL of a migrated, empty database of the test's own."""
    return clone(TEMPLATE)


@pytest.fixture
def databases(clone: Callable[[str | None], str]) -> Databases:
    """A migrated ``brs`` database, and empty ones for Dagster and MLflow."""
    return Databases(clone(TEMPLATE), clone(None), clone(None))


@pytest.fixture
def db(database_url: str) -> Iterator[psycopg.Connection]:
    """An autocommit connection to ``database_url``."""
    with connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def goodbooks() -> Path:
    """The real slice, where it is there."""
    if not (GOODBOOKS / "ratings.csv.gz").exists():
        pytest.skip("the goodbooks slice is not beside the checkout; name its folder with BRS_GOODBOOKS")
    return GOODBOOKS
