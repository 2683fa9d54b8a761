import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from data import database
from data.database import DatabaseUnavailable, connect, current, downgrade, head, migrate, opened, plain_url
from data.settings import StateSettings


def test_tables_and_migrations_agree(database_url: str) -> None:
    database.check(database_url)


def test_the_schema_goes_down_to_nothing_and_up_again(clone: Callable[[str | None], str]) -> None:
    url = clone(None)
    migrate(url)
    assert current(url) == head()
    downgrade(url, "base")
    assert current(url) is None
    with connect(url) as connection:
        left = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            " UNION SELECT proname FROM pg_proc WHERE proname LIKE '%review%' AND pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert left == [("alembic_version",)]
    migrate(url)
    database.check(url)


def test_two_replicas_may_migrate_at_once(clone: Callable[[str | None], str]) -> None:
    url = clone(None)
    program = "import sys; from data.database import migrate; migrate(sys.argv[1])"
    with ThreadPoolExecutor(3) as pool:
        done = list(
            pool.map(lambda _: subprocess.run([sys.executable, "-c", program, url], check=False).returncode, range(3))
        )
    assert done == [0, 0, 0]
    assert current(url) == head()


def test_without_a_url_an_embedded_server_has_all_three_databases(tmp_path: Path) -> None:
    with opened(StateSettings(home=tmp_path / "state")) as databases:
        names = []
        for url in (databases.brs, databases.dagster, databases.mlflow):
            with connect(url) as connection:
                names.append(connection.info.dbname)
    assert names == ["brs", "dagster", "mlflow"]


def test_with_a_url_the_other_databases_are_made_beside_it(clone: Callable[[str | None], str]) -> None:
    url = clone(None)
    with opened(StateSettings(database_url=url)) as databases, connect(databases.mlflow) as connection:
        assert connection.info.dbname == "mlflow"
        assert databases.brs == url


def test_a_user_who_may_not_create_databases_is_told_what_to_set(
    db: psycopg.Connection, database_url: str, server_url: Callable[[str], str]
) -> None:
    with connect(server_url("postgres"), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS plain_reader")
        admin.execute("CREATE ROLE plain_reader LOGIN")
        taken = admin.execute("SELECT 1 FROM pg_database WHERE datname = 'dagster'").fetchone()
    if taken is not None:
        with connect(server_url("postgres"), autocommit=True) as admin:
            admin.execute("DROP DATABASE dagster WITH (FORCE)")
    url = database_url.replace("postgres@", "plain_reader@")
    with pytest.raises(DatabaseUnavailable, match="BRS_DAGSTER_DATABASE_URL"), opened(StateSettings(database_url=url)):
        pass


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://nobody@127.0.0.1:1/brs", "does not answer"),
        ("mysql://somewhere/brs", "not a Postgres URL"),
        ("not a url", "not a Postgres URL"),
        ("postgresql://u@h:notaport/brs", "DATABASE_URL"),
    ],
)
def test_an_unusable_url_is_one_clear_line(url: str, says: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=says) as refusal, opened(StateSettings(database_url=url)):
        pass
    assert "\n" not in str(refusal.value)


def test_drivers_named_for_sqlalchemy_are_understood() -> None:
    assert plain_url("postgresql+psycopg2://u@h/d") == "postgresql://u@h/d"
    assert plain_url("postgres://u@h/d") == "postgresql://u@h/d"
    assert str(database.sqlalchemy_url("postgresql://u@h/d", "psycopg2")) == "postgresql+psycopg2://u@h/d"
