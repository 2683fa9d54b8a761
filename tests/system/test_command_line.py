"""Bad input gets one clear line, an exit code that scripts can trust, and loses nothing."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner

from brs import main
from deploy.local.bench.library import forget_settings

ROOT = Path(__file__).parents[2]
BOOKS_HEADER = (
    "book_id,goodreads_book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,original_publication_year,"
    "original_title,title,language_code,average_rating,ratings_count,work_ratings_count,work_text_reviews_count,"
    "ratings_1,ratings_2,ratings_3,ratings_4,ratings_5,image_url,small_image_url"
)


def brs(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "brs", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def says(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error of a command that failed."""
    assert done.returncode != 0, done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.fixture
def here(database_url: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`brs …` on the test's own database."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return brs(*arguments, DATABASE_URL=database_url)

    return run


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A library in the publisher's layout: three books, four ratings."""
    folder = tmp_path / "goodbooks"
    folder.mkdir()
    rows = [
        f'{n},{n},{n},{n},1,,,"Author {n}",{2000 + n}.0,,"Title {n} (Series, #{n})",eng,4.0,1,1,1,0,0,0,1,0,,'
        for n in (1, 2, 3)
    ]
    (folder / "books.csv").write_text("\n".join([BOOKS_HEADER, *rows]) + "\n")
    (folder / "ratings.csv").write_text("user_id,book_id,rating\n1,1,5\n1,2,4\n2,1,3\n2,3,1\n")
    (folder / "tags.csv").write_text("tag_id,tag_name\n1,fantasy\n")
    (folder / "book_tags.csv").write_text("goodreads_book_id,tag_id,count\n1,1,50\n2,1,40\n3,1,30\n")
    (folder / "to_read.csv").write_text("user_id,book_id\n1,3\n")
    return folder


def rows_in(db: psycopg.Connection) -> tuple[int, ...]:
    row = db.execute(
        "SELECT (SELECT count(*) FROM books), (SELECT count(*) FROM reviews), (SELECT count(*) FROM users),"
        " (SELECT count(*) FROM genres), (SELECT count(*) FROM favorites)"
    ).fetchone()
    assert row is not None
    return row


def test_the_small_archive_loads_and_loads_again_without_change(
    here: Callable[..., subprocess.CompletedProcess[str]], archive: Path, db: psycopg.Connection
) -> None:
    first = here("load", "goodbooks", str(archive))
    assert first.returncode == 0, first.stderr
    loaded = rows_in(db)
    assert loaded[:3] == (3, 4, 2)
    again = here("load", "goodbooks", str(archive))
    assert again.returncode == 0, again.stderr
    assert rows_in(db) == loaded


def break_rating(folder: Path) -> None:
    (folder / "ratings.csv").write_text("user_id,book_id,rating\n1,1,5\n1,2,9\n2,1,3\n")


def break_gzip(folder: Path) -> None:
    packed = gzip.compress((folder / "ratings.csv").read_bytes())
    (folder / "ratings.csv").unlink()
    (folder / "ratings.csv.gz").write_bytes(packed[:-12])


def break_gzip_inside(folder: Path) -> None:
    packed = bytearray(gzip.compress((folder / "books.csv").read_bytes()))
    packed[len(packed) // 2] ^= 0xFF
    (folder / "books.csv").unlink()
    (folder / "books.csv.gz").write_bytes(packed)


def break_header(folder: Path) -> None:
    (folder / "ratings.csv").write_text("reader,book,stars\n1,1,5\n")


def drop_books(folder: Path) -> None:
    (folder / "books.csv").unlink()


def name_unknown_book(folder: Path) -> None:
    (folder / "ratings.csv").write_text("user_id,book_id,rating\n1,1,5\n1,77,4\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_rating, ["ratings.csv", "row 2", "9"]),
        (break_gzip, ["ratings.csv.gz"]),
        (break_gzip_inside, ["books.csv.gz"]),
        (break_header, ["ratings.csv", "user_id"]),
        (drop_books, ["books.csv"]),
        (name_unknown_book, ["ratings.csv", "row 2", "77"]),
        (shutil.rmtree, ["goodbooks"]),
    ],
)
def test_a_damaged_archive_is_one_line_and_nothing_is_half_loaded(
    here: Callable[..., subprocess.CompletedProcess[str]],
    archive: Path,
    db: psycopg.Connection,
    damage: Callable[[Path], None],
    words: list[str],
) -> None:
    damage(archive)
    line = says(here("load", "goodbooks", str(archive)))
    assert [word for word in words if word not in line] == []
    assert rows_in(db) == (0, 0, 0, 0, 0)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_up_on_a_busy_port_says_so_before_it_starts_anything(busy_port: int, tmp_path: Path) -> None:
    home = tmp_path / "home"
    line = says(brs("up", "--port", str(busy_port), BRS_HOME=str(home)))
    assert f"port {busy_port} is taken" in line
    assert "--port" in line
    assert not home.exists()


def test_serve_on_a_busy_port_says_so(busy_port: int, database_url: str) -> None:
    assert str(busy_port) in says(brs("serve", "--port", str(busy_port), DATABASE_URL=database_url))


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a file system that nobody can write to")
@pytest.mark.parametrize("command", [("up",), ("migrate",), ("load", "sample"), ("pipeline", "run")])
def test_a_folder_that_cannot_be_written_is_one_line(command: tuple[str, ...]) -> None:
    line = says(brs(*command, BRS_HOME="/sys/brs"))
    assert "/sys/brs" in line
    assert "BRS_HOME" in line


@pytest.mark.parametrize(
    "command",
    [
        ("up", "--no-pages"),
        ("migrate",),
        ("load", "sample"),
        ("pipeline", "run"),
        ("serve",),
        ("models", "list"),
        ("recommend", "a@b.org"),
    ],
)
def test_a_database_that_does_not_answer_is_one_line(command: tuple[str, ...]) -> None:
    line = says(brs(*command, DATABASE_URL="postgresql://nobody:hush@127.0.0.1:1/brs"))
    assert "does not answer" in line
    assert "127.0.0.1" in line
    assert "hush" not in line


def test_a_database_without_the_schema_says_what_to_run(clone: Callable[[str | None], str]) -> None:
    assert "brs migrate" in says(brs("load", "sample", DATABASE_URL=clone(None)))


def test_a_schema_of_a_newer_release_is_not_answered_with_migrate(
    here: Callable[..., subprocess.CompletedProcess[str]], db: psycopg.Connection
) -> None:
    db.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (("load", "sample"), ("migrate",)):
        assert "newer release" in says(here(*command))


@pytest.mark.parametrize("port", ["0", "-1", "65536", "99999", "http"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    done = brs("up", "--port", port)
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_programs_on_one_port_are_refused() -> None:
    assert "must differ" in says(brs("up", "--port", "5000"))


@pytest.mark.parametrize("command", [("doctor",), ("up",), ("migrate",), ("serve",)])
def test_a_setting_of_the_wrong_kind_is_one_line(command: tuple[str, ...]) -> None:
    assert "BRS_ENGINE" in says(brs(*command, BRS_ENGINE="abacus"))


def test_a_benchmark_forgets_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "BRS_MLFLOW_TRACKING_URI", "BRS_LAKE_KEY"):
        monkeypatch.setenv(name, "somewhere")
    forget_settings()
    assert [name for name in os.environ if name.startswith("BRS_") or name.endswith("_URL")] == []


def test_doctor_says_what_is_missing(
    here: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = here("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["schema"]["ok"]
    assert "brs load sample" in findings["library"]["says"]


def test_an_account_is_made_disabled_and_enabled(
    here: Callable[..., subprocess.CompletedProcess[str]], database_url: str, db: psycopg.Connection
) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "brs", "admin", "create", "Ada@example.org", "--password-stdin"],
        input="Correct-horse-7-battery\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
    )
    assert made.returncode == 0, made.stderr
    assert "Correct-horse" not in made.stdout + made.stderr
    assert db.execute("SELECT is_admin, is_active FROM users").fetchall() == [(True, True)]
    assert here("admin", "disable", "ada@example.org").returncode == 0
    assert db.execute("SELECT is_active FROM users").fetchall() == [(False,)]
    assert here("admin", "enable", "ada@example.org").returncode == 0
    assert db.execute("SELECT is_active FROM users").fetchall() == [(True,)]
    assert "no account" in says(here("admin", "grant", "nobody@example.org"))


def commands(prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        if isinstance(command, click.Group):
            for name, child in command.commands.items():
                walk(child, (*path, name))
        else:
            found.append(path)

    walk(main, prefix)
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Example: " in shown.output
    assert " ".join(command) in shown.output.split("Example:")[1]
