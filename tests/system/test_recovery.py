"""The backup and restore scripts, run for real: what was lost comes back row by row, to the second."""

import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import psycopg
import pytest

from data.database import Databases, connect, migrate, sqlalchemy_url
from data.embedded_account import account_for, binaries, own, programs_for
from data.loading import load
from data.sources.generator import Generator
from models import bundle
from models.registry import Registry

SCRIPTS = Path(__file__).parents[2] / "deploy" / "scripts"
# MLflow's own use of what its libraries have deprecated is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.xdist_group("recovery")]

TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1
"""


def script(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """With Postgres' programs of the server's own version before all others."""
    folder = binaries()
    assert folder is not None
    path = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(
        [SCRIPTS / name, *map(str, arguments)],
        env={"PATH": path, "HOME": "/nonexistent", "BRS_HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
    )


def script_on(url: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Databases of the test's own stand for all three."""
    return lambda name, *arguments: script(
        name, *arguments, DATABASE_URL=url, BRS_DAGSTER_DATABASE_URL=url, BRS_MLFLOW_DATABASE_URL=url
    )


def kept(done: subprocess.CompletedProcess[str]) -> Path:
    """The folder that a backup said it made."""
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1].rpartition(" (")[0])


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0, done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with connect(url) as connection:
        tables = [str(name) for (name,) in connection.execute(TABLES)]
        return {
            table: sorted(str(row) for (row,) in connection.execute(f"SELECT t::text FROM {table} t"))
            for table in tables
        }


def everything(databases: Databases) -> dict[str, dict[str, list[str]]]:
    return {name: rows(getattr(databases, name)) for name in ("brs", "dagster", "mlflow")}


def wrong_averages(url: str) -> int:
    """Books whose counted averages are not those of their reviews."""
    with connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM books b LEFT JOIN"
            " (SELECT book_id, count(*) AS n, avg(rating) AS mean FROM reviews GROUP BY book_id) r ON r.book_id = b.id"
            " WHERE b.total_reviews <> coalesce(r.n, 0)"
            " OR abs(coalesce(b.average_rating, 0) - coalesce(r.mean, 0)) > .01"
        ).fetchone()
    assert found is not None
    return int(found[0])


def rate(url: str, stars: int, n: int) -> None:
    """Readers who register now, and each rate three books."""
    with connect(url) as connection:
        books = [book for (book,) in connection.execute("SELECT id FROM books ORDER BY id LIMIT 3")]
        for _ in range(n):
            reader = connection.execute(
                "INSERT INTO users (email, first_name, last_name) VALUES (%s, 'Ada', 'Lovelace') RETURNING id",
                (f"{uuid.uuid4().hex}@example.org",),
            ).fetchone()
            assert reader is not None
            for book in books:
                connection.execute(
                    "INSERT INTO reviews (user_id, book_id, rating) VALUES (%s, %s, %s)", (reader[0], book, stars)
                )


@dataclass
class Own:
    """A server that archives its WAL, as a production server does."""

    folder: Path
    programs: Path
    account: dict[str, Any] = field(default_factory=dict)

    @property
    def archive(self) -> Path:
        return self.folder / "wal"

    def run(self, program: str, *arguments: object) -> None:
        log = self.folder / "server.log"
        with log.open("ab") as lines:  # not a pipe: the server would hold it open
            done = subprocess.run(
                [self.programs / program, *map(str, arguments)],
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                stdout=lines,
                stderr=subprocess.STDOUT,
                check=False,
                **self.account,
            )
        assert done.returncode == 0, log.read_text()

    def start(self, data: Path) -> None:
        self.run("pg_ctl", "-D", data, "-w", "-o", f"-k {self.folder} -c listen_addresses=", "start")

    def stop(self, data: Path) -> None:
        self.run("pg_ctl", "-D", data, "-m", "immediate", "stop")

    @property
    def databases(self) -> Databases:
        where = f"?host={quote(str(self.folder), safe='')}"
        return Databases(*(f"postgresql://postgres@/{name}{where}" for name in ("brs", "dagster", "mlflow")))

    @property
    def reached(self) -> dict[str, str]:
        return {"DATABASE_URL": self.databases.brs}


@pytest.fixture
def server() -> Iterator[Own]:
    folder = Path(tempfile.mkdtemp(prefix="brs-recovery-"))
    account = account_for(folder / "data")
    own(folder, account)
    as_whom = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    made = Own(folder, programs_for(account), as_whom)
    shutil.copy(SCRIPTS / "archive-wal", folder)  # where the server's user can read it
    made.archive.mkdir()
    own(made.archive, account)
    data = folder / "data"
    options = ["--auth-local=trust", "--no-sync", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C"]
    made.run("initdb", "-D", data, "-U", "postgres", "--builtin-locale=C.UTF-8", "--lc-ctype=C.UTF-8", *options)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(
            "fsync = off\nwal_level = replica\narchive_mode = on\nshared_buffers = 32MB\nlog_min_messages = fatal\n"
            f'archive_command = \'{folder}/archive-wal "%p" "{folder}/wal/%f"\'\n'
        )
    try:
        made.start(data)
        yield made
    finally:
        for left in folder.glob("*/postmaster.pid"):
            made.stop(left.parent)
        shutil.rmtree(folder)


@dataclass
class State:
    """The library, what Dagster knows of a run, and MLflow's champions."""

    server: Own
    artifacts: Path
    scratch: Path

    def __post_init__(self) -> None:
        from dagster_postgres import PostgresRunStorage  # noqa: PLC0415  three seconds

        databases = self.server.databases
        with connect(databases.brs.replace("/brs?", "/postgres?"), autocommit=True) as connection:
            for name in ("brs", "dagster", "mlflow"):
                connection.execute(f"CREATE DATABASE {name}")
        migrate(databases.brs)
        load(databases.brs, Generator(200, 60, 2000, seed=3))
        self.runs = PostgresRunStorage(_alchemy(databases.dagster), should_autocreate_tables=True)
        self.registry = Registry(_alchemy(databases.mlflow), artifact_root=self.artifacts)

    def work(self, stars: int, n: int) -> None:
        """What happens on a day: readers rate, the pipeline runs, a model is promoted."""
        from dagster import DagsterRun  # noqa: PLC0415

        rate(self.server.databases.brs, stars, n)
        self.runs.add_run(DagsterRun(job_name="refresh", run_id=str(uuid.uuid4())))
        folder = self.scratch / uuid.uuid4().hex
        arrays = {"book_ids": np.arange(32, dtype=np.uint8).reshape(2, 16), "star_weights": np.full(5, float(stars))}
        arrays |= {"item_factors": np.eye(2, dtype=np.float32), "recency": np.array(0.5)}
        bundle.save(folder, arrays, params={}, metrics={}, training_window=None)
        self.registry.promote(self.registry.store(folder, params={}, metrics={}, tags={}).version)

    def champion(self) -> tuple[str, float]:
        """The version that a fresh client finds, and a number of what it downloads."""
        registry = Registry(_alchemy(self.server.databases.mlflow))
        version = registry.champion()
        assert version is not None
        loaded = bundle.load(registry.download(version, self.scratch / uuid.uuid4().hex))
        return version.version, float(loaded.arrays["star_weights"][0])


def _alchemy(url: str) -> str:
    return sqlalchemy_url(url, "psycopg2").render_as_string(hide_password=False)


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_a_destroyed_server_comes_back_as_it_was_at_a_chosen_second_and_from_a_dump(
    server: Own, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(server, tmp_path / "mlflow", tmp_path)
    where = ("--artifacts", state.artifacts)
    state.work(stars=1, n=5)
    base = kept(script("backup", "--base", *where, tmp_path / "backups", **server.reached))
    state.work(stars=2, n=5)
    dump = kept(script("backup", *where, tmp_path / "backups", **server.reached))
    wanted = everything(server.databases)
    with connect(server.databases.brs, autocommit=True) as connection:
        chosen: dt.datetime = connection.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index]
        time.sleep(0.05)
        state.work(stars=3, n=5)
        connection.execute("DELETE FROM users WHERE first_name = 'Ada'")
        connection.execute("DELETE FROM books")
        last = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()[0]  # type: ignore[index]
    wait_for((server.archive / last).exists)
    assert state.champion() == ("3", 3.0)

    server.stop(server.folder / "data")
    shutil.rmtree(server.folder / "data")
    shutil.rmtree(state.artifacts)
    back = server.folder / "back"
    told = ("--into", back, "--archive", server.archive, "--to", chosen.isoformat(sep=" "), *where)
    done = script("restore", *told, base, **server.reached)
    assert done.returncode == 0, done.stderr
    if server.account:
        subprocess.run(["chown", "-R", f"{server.account['user']}:{server.account['group']}", back], check=True)
    began = time.monotonic()
    server.start(back)
    wait_for(lambda: is_open(server.databases.brs))
    took = time.monotonic() - began
    assert everything(server.databases) == wanted
    assert wrong_averages(server.databases.brs) == 0
    assert state.champion() == ("2", 2.0)

    again = script("restore", "--replace", *where, dump, **server.reached)
    assert again.returncode == 0, again.stderr
    assert everything(server.databases) == wanted
    assert state.champion() == ("2", 2.0)
    rate(server.databases.brs, 5, 3)
    assert wrong_averages(server.databases.brs) == 0
    n = {name: sum(map(len, tables.values())) for name, tables in wanted.items()}
    with capsys.disabled():
        sys.stdout.write(f"\nback at {chosen:%H:%M:%S.%f} in {took:.1f} s: {n} rows equal\n{done.stdout}{again.stdout}")


def is_open(url: str) -> bool:
    """Recovery has reached its end: the server takes writes."""
    with connect(url) as connection:
        return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


@pytest.fixture
def on(database_url: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    with connect(database_url) as connection:
        connection.execute("INSERT INTO users (email, first_name, last_name) VALUES ('a@example.org', 'Ada', 'L')")
    return script_on(database_url)


def test_what_holds_tables_is_replaced_only_when_told_and_kept_then(
    on: Callable[..., subprocess.CompletedProcess[str]], database_url: str, tmp_path: Path
) -> None:
    only = ("--databases", "brs")
    dump = kept(on("backup", *only, tmp_path))
    before = rows(database_url)
    name = database_url.partition("@/")[2].partition("?")[0]
    with connect(database_url) as connection:
        connection.execute("DELETE FROM users")
        connection.execute(f"CREATE ROLE {name}_owner")
        connection.execute(f"ALTER DATABASE {name} OWNER TO {name}_owner")
    assert "--replace" in refusal(on("restore", *only, dump))
    assert rows(database_url) != before
    with connect(database_url) as busy:  # somebody who does not let go
        said = on("restore", "--replace", *only, dump)
        assert said.returncode == 0, said.stderr
        with pytest.raises(psycopg.OperationalError):
            busy.execute("SELECT 1")
    assert rows(database_url) == before
    aside = said.stdout.partition("what was there is ")[2].partition(":")[0]
    with connect(database_url, autocommit=True) as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert owners == [(f"{name}_owner",)]  # as the database's; the service goes on with its own role
        connection.execute(f"REASSIGN OWNED BY {name}_owner TO postgres")
    with connect(database_url.replace(name, "postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{name}_%",)).fetchall()
        assert found == [(aside,)]
        assert rows(database_url.replace(name, aside))["users"] == []
        connection.execute(f"DROP DATABASE {aside}")
        connection.execute(f"DROP ROLE {name}_owner")


def test_a_damaged_or_unfinished_backup_is_refused_and_changes_nothing(
    on: Callable[..., subprocess.CompletedProcess[str]], database_url: str, tmp_path: Path
) -> None:
    dump = kept(on("backup", "--databases", "brs", tmp_path))
    before = rows(database_url)
    content = (dump / "brs.dump").read_bytes()
    (dump / "brs.dump").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "damaged" in refusal(on("restore", "--replace", dump))
    (dump / "brs.dump").write_bytes(content[: len(content) // 2])
    sums = subprocess.run(["sha256sum", "./brs.dump"], cwd=dump, capture_output=True, text=True, check=True).stdout
    (dump / "SHA256SUMS").write_text(sums)
    assert "pg_restore of brs failed" in refusal(on("restore", "--replace", dump))  # found while it is filled aside
    (dump / "SHA256SUMS").unlink()
    assert "not a whole backup" in refusal(on("restore", "--replace", dump))
    assert rows(database_url) == before
    name = database_url.partition("@/")[2].partition("?")[0]
    with connect(database_url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_database WHERE datname LIKE %s", (f"{name}_%",)
        ).fetchone() == (0,)


def test_no_backup_gets_older_than_it_may_so_that_who_was_erased_ages_out(
    on: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    def named(days: float, kind: str = "logical") -> Path:
        at = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
        return tmp_path / f"brs-{at:%Y%m%dT%H%M%SZ}-{kind}"

    old, young = [named(6.01), named(8), named(400, "base")], [named(5.9), named(1, "base")]
    others = [tmp_path / "brs-notes", tmp_path / "else-20200101T000000Z-logical"]
    archive = tmp_path / "wal"
    for folder in (*old, *young, *others, archive):
        folder.mkdir()
    (young[1] / "wal-start").write_text("0000000200000000000000A3\n")
    pieces = [f"00000002000000000000{piece}" for piece in ("00A2", "00A3", "00A4")] + ["000000010000000000000001"]
    for piece in pieces:
        (archive / piece).touch()
    made = kept(on("backup", "--databases", "brs", "--keep-days", "7", "--archive", archive, tmp_path))
    assert sorted(tmp_path.glob("*")) == sorted([*young, *others, archive, made])
    assert sorted(path.name for path in archive.iterdir()) == pieces[1:3]


def test_no_password_is_on_a_command_line_and_urls_are_read_as_libpq_reads_them(tmp_path: Path) -> None:
    """A stand-in for pg_dump writes down what it was called with, and whom libpq would have called."""
    seen = tmp_path / "seen"
    stand_in = tmp_path / "pg_dump"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >>{seen}\ncat "$PGSERVICEFILE" >{tmp_path}/services\n'
                        'for word; do case $word in --file=*) : >"${word#--file=}" ;; esac; done\n')  # fmt: skip
    stand_in.chmod(0o755)
    url = "postgresql+psycopg://ad%40a:p%3As%2Fs%C3%A9@[::1]:5433,db-2/lib%20rary?sslmode=require&connect_timeout=3"
    done = subprocess.run(
        [SCRIPTS / "backup", tmp_path / "out"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "DATABASE_URL": url, "BRS_HOME": "/nonexistent",
             "BRS_MLFLOW_DATABASE_URL": "postgres://else/tracking"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "p:s" not in seen.read_text()
    assert "p%3A" not in seen.read_text()
    sections = dict(part.split("]\n") for part in (tmp_path / "services").read_text().split("[", 1)[1].split("\n["))
    assert set(sections) == {f"{name}{of}" for name in ("brs", "dagster", "mlflow") for of in ("", "-server")}
    common = (
        "sslmode=require\nconnect_timeout=3\ndbname=lib rary\npassword=p:s/sé\nuser=ad@a\nhost=::1,db-2\nport=5433,"
    )
    assert sections["brs"].strip() == common
    assert sections["dagster"].strip() == "dbname=dagster\n" + common
    assert sections["mlflow"].strip() == "dbname=tracking\nhost=else"
    assert sections["mlflow-server"].strip() == "dbname=postgres\ndbname=tracking\nhost=else"
    assert not list((tmp_path / "out").glob(".new-*"))


@pytest.mark.parametrize(
    ("name", "arguments", "environment", "said"),
    [
        ("backup", ["{folder}"], {"DATABASE_URL": "mysql://a:hush@b/c"}, "not a Postgres URL"),
        ("backup", ["{folder}"], {"DATABASE_URL": "postgresql://a:hush@127.0.0.1:9/c"}, "pg_dump of mlflow failed"),
        ("backup", ["--base", "{folder}"], {"DATABASE_URL": "postgres://a:hush@127.0.0.1:9/c"}, "pg_basebackup failed"),
        ("backup", [], {}, "into which folder"),
        ("backup", ["--keep-days", "soon", "{folder}"], {}, "--keep-days"),
        ("backup", ["--keep-days"], {}, "wants a value"),
        ("backup", ["--databases", "brs,users", "{folder}"], {}, "'users'"),
        ("backup", ["--artifacts", "/nonexistent", "{folder}"], {}, "/nonexistent"),
        ("restore", ["/nonexistent"], {}, "/nonexistent"),
        ("restore", ["--force", "{folder}"], {}, "--force"),
        ("restore", ["{folder}"], {}, "not a whole backup"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_clear_line(
    name: str, arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    told = refusal(script(name, *(word.format(folder=tmp_path) for word in arguments), **environment))
    assert told.startswith(f"{name}: ")
    assert said in told
    assert "hush" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["backup", "restore", "archive-wal"])
def test_every_script_explains_itself_with_an_example(name: str) -> None:
    done = script(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Example" in done.stdout


def test_a_piece_of_wal_is_archived_whole_and_never_overwritten(tmp_path: Path) -> None:
    piece, target = tmp_path / "piece", tmp_path / "wal"
    piece.write_bytes(b"one")
    assert script("archive-wal", piece, target).returncode == 0
    assert script("archive-wal", piece, target).returncode == 0  # asked again after a crash
    piece.write_bytes(b"two")
    assert "another piece" in refusal(script("archive-wal", piece, target))
    assert target.read_bytes() == b"one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["piece", "wal"]
