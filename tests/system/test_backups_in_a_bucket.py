"""What the cluster's nightly backup does: a dump into a bucket, by a role that only reads, and back from there."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from data.database import connect, migrate
from data.embedded import Server, running
from data.embedded_account import binaries
from tests.buckets import Buckets, buckets

SCRIPTS = Path(__file__).parents[2] / "deploy" / "scripts"
URL = "s3://kept/daily"


def offsite(bucket: Buckets, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPTS / "offsite.py", *map(str, arguments)],
        env={
            "PATH": f"{binaries()}:{os.environ['PATH']}", "HOME": "/nonexistent", "BRS_HOME": "/nonexistent",
            "BRS_BACKUP_URL": URL, **bucket.environment, **environment,
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def urls(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "BRS_DAGSTER_DATABASE_URL": url, "BRS_MLFLOW_DATABASE_URL": url}


def test_a_backup_goes_into_a_bucket_and_comes_back(database_url: str, tmp_path: Path) -> None:
    with connect(database_url) as connection:
        connection.execute("INSERT INTO users (email, first_name, last_name) VALUES ('a@example.org', 'Ada', 'L')")
    folder = tmp_path / "backups"
    folder.mkdir()
    with buckets() as bucket:
        done = offsite(bucket, "backup", folder, **urls(database_url))
        assert done.returncode == 0, done.stderr
        name = done.stdout.partition(" (")[0].rpartition("/")[2]
        assert {key.rpartition("/")[2] for key in bucket.objects} == {
            "brs.dump", "dagster.dump", "mlflow.dump", "SHA256SUMS",
        }  # fmt: skip
        assert list(folder.iterdir()) == []  # nothing of the readers stays on the node
        assert offsite(bucket, "list").stdout == f"{name}\n"
        fetched = offsite(bucket, "fetch", name, tmp_path)
        assert fetched.stdout == f"{tmp_path / name}\n", fetched.stderr
        del bucket.objects[f"kept/daily/{name}/SHA256SUMS"]
        assert offsite(bucket, "list").stdout == f"{name} (not whole)\n"
        assert "no whole backup" in offsite(bucket, "fetch", name, tmp_path / "other").stderr
    with connect(database_url) as connection:
        connection.execute("DELETE FROM users")
    database = database_url.partition("@/")[2].partition("?")[0]
    done = subprocess.run(
        [SCRIPTS / "restore", "--databases", "brs", "--replace", tmp_path / name],
        env={"PATH": f"{binaries()}:{os.environ['PATH']}", "BRS_HOME": "/nonexistent", **urls(database_url)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with connect(database_url) as connection:
        assert connection.execute("SELECT first_name FROM users").fetchall() == [("Ada",)]
        (aside,) = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s || '_before')", (database,)
        ).fetchone()  # type: ignore[misc]
    with connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {aside}")


@pytest.mark.parametrize("broken", ["postgres", "bucket", "address"])
def test_a_backup_that_fails_says_so_in_one_line_and_leaves_nothing(
    database_url: str, tmp_path: Path, broken: str
) -> None:
    where = urls("postgresql://nobody@127.0.0.1:9/none" if broken == "postgres" else database_url)
    if broken == "address":
        where["BRS_BACKUP_URL"] = "kept/daily"
    with buckets() as bucket:
        if broken == "bucket":
            bucket.refused.add("PUT")
        done = offsite(bucket, "backup", tmp_path, **where)
        assert bucket.objects == {}
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("offsite: ")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def as_role(server: Server, role: str, database: str) -> str:
    return server.url(database).replace(f"//{server.superuser}@", f"//{role}@")


@pytest.mark.slow
def test_an_administrator_who_is_no_superuser_makes_the_databases_and_restores_what_one_that_only_reads_backed_up(
    tmp_path: Path,
) -> None:
    """As on RDS. On a server of its own: roles belong to all of it."""
    path = f"{binaries()}:{os.environ['PATH']}"
    names = ("brs", "dagster", "mlflow")
    with running(tmp_path / "own", durable=False) as server, buckets() as bucket:

        def run(*command: object, **environment: str) -> str:
            done = subprocess.run(
                [str(word) for word in command],
                env={"PATH": path, "BRS_HOME": "/nonexistent", **environment},
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout

        def make_databases() -> None:
            passwords = [f"--set={name}_password=x" for name in (*names, "backup")]
            administrator = as_role(server, "brs_admin", "postgres")
            for _ in range(2):
                run("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *passwords,
                    f"--file={SCRIPTS / 'databases.sql'}", administrator)  # fmt: skip

        def backup() -> str:
            done = offsite(
                bucket, "backup", tmp_path / "backups",
                DATABASE_URL=as_role(server, "backup", "brs"),
                BRS_DAGSTER_DATABASE_URL=as_role(server, "backup", "dagster"),
                BRS_MLFLOW_DATABASE_URL=as_role(server, "backup", "mlflow"),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout.partition(" (")[0].rpartition("/")[2]

        with connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE ROLE brs_admin LOGIN CREATEDB CREATEROLE")
        make_databases()
        migrate(as_role(server, "brs", "brs"))
        with connect(as_role(server, "brs", "brs")) as connection:
            connection.execute("INSERT INTO users (email, first_name, last_name) VALUES ('a@example.org', 'A', 'L')")
        kept = backup()
        with connect(as_role(server, "backup", "brs"), autocommit=True) as connection:
            for statement in ("DELETE FROM users", "CREATE TABLE t (a int)", "SELECT nextval('tombstones_id_seq')"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
        for role, database in (("brs", "mlflow"), ("mlflow", "brs"), ("dagster", "brs")):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                connect(as_role(server, role, database))

        with connect(as_role(server, "brs", "brs")) as connection:
            connection.execute("DELETE FROM users")
        assert offsite(bucket, "fetch", kept, tmp_path / "fetched").returncode == 0
        socket = {"PGHOST": str(server.socket_dir), "PGPORT": str(server.port)}
        run(SCRIPTS / "restore", "--replace", tmp_path / "fetched" / kept, PGUSER="brs_admin", **socket)
        with connect(as_role(server, "brs", "brs")) as connection:  # who still owns what was restored
            assert connection.execute("DELETE FROM users RETURNING first_name").fetchall() == [("A",)]
        make_databases()
        backup()
