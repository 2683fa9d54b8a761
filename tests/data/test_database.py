import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from data import database
from data.database import (
    Databases,
    DatabaseUnavailable,
    connect,
    current,
    downgrade,
    head,
    how_to_mend,
    migrate,
    opened,
    plain_url,
    tracking_uri,
)
from data.settings import StateSettings


def test_tables_and_migrations_agree(database_url: str) -> None:
    database.check(database_url)


def test_alembic_writes_to_where_output_goes_now_and_not_to_where_it_went_when_it_was_imported(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database.check(database_url)
    assert "No new upgrade operations" in capsys.readouterr().out


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


def test_databases_that_are_named_are_taken_as_they_are_and_none_is_made(clone: Callable[[str | None], str]) -> None:
    url = clone(None)
    settings = StateSettings(
        database_url=url,
        dagster_database_url="postgres://d@elsewhere/runs",
        mlflow_database_url="postgresql+psycopg2://m@elsewhere/models",
    )
    with opened(settings) as databases:
        assert databases == Databases(url, "postgresql://d@elsewhere/runs", "postgresql://m@elsewhere/models")


def test_who_asks_for_none_makes_none(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(database, "_create_beside", lambda _, name: made.append(name))
    with opened(StateSettings(database_url=database_url), create=()) as databases:
        assert databases.dagster.endswith("/dagster") or "/dagster?" in databases.dagster
    assert made == []
    with opened(StateSettings(database_url=database_url), create=("mlflow",)):
        assert made == ["mlflow"]


def test_many_who_make_a_database_at_once_make_it_once(server_url: Callable[[str], str]) -> None:
    name, postgres = f"test_{uuid.uuid4().hex[:12]}", server_url("postgres")
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: database._create_if_missing(postgres, name), range(6)))
        with connect(server_url(name)) as connection:
            assert connection.info.dbname == name
    finally:
        with connect(postgres, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_a_postgres_that_is_too_old_is_named(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OLDEST_SUPPORTED", 990000)
    with (
        pytest.raises(DatabaseUnavailable, match=r"PostgreSQL 1\d; 15 or newer"),
        opened(StateSettings(database_url=database_url)),
    ):
        pass


def test_an_embedded_server_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnavailable, match="BRS_HOME") as refusal, opened(StateSettings(home=tmp_path / "file")):
        pass
    assert "\n" not in str(refusal.value)


def test_a_schema_that_does_not_fit_says_how_to_mend_it(clone: Callable[[str | None], str]) -> None:
    url = clone(None)
    assert current(url) is None
    assert "brs migrate" in how_to_mend(None)
    assert "brs migrate" in how_to_mend(head())
    migrate(url)
    with connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of_tomorrow'")
    with pytest.raises(DatabaseUnavailable, match=rf"of_tomorrow.*newer release.*{head()}"):
        migrate(url)
    assert current(url) == "of_tomorrow"


def test_models_are_kept_by_the_named_server_or_else_in_the_database() -> None:
    databases = Databases("postgresql://a/b", "postgresql://a/d", "postgresql://me:secret@a/m")
    assert tracking_uri(StateSettings(), databases) == "postgresql+psycopg2://me:secret@a/m"
    named = StateSettings(mlflow_tracking_uri="http://mlflow:5000")
    assert tracking_uri(named, databases) == "http://mlflow:5000"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://nobody@127.0.0.1:1/brs", "does not answer"),
        ("mysql://somewhere/brs", "not a Postgres URL"),
        ("not a url", "not a Postgres URL"),
        ("postgresql://u@h:notaport/brs", "DATABASE_URL"),
        ("postgresql://u@[::1/brs", "not a Postgres URL"),
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
