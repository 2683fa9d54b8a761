"""The analysts' files: made from a real Postgres, looked at by other processes, killed half way."""

import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import duckdb
import polars as pl
import psycopg
import pytest

from data import lake
from data.database import connect
from data.dictionary import TABLES, VIEWS
from data.dictionary.page import page
from data.export import export, parquet_folder
from pipelines import aggregation
from tests.data.lakes import KEY

ROOT = Path(__file__).parents[2]
AT = dt.datetime(2026, 1, 31, 23, 30, tzinfo=dt.UTC)
BOOKS = [UUID(int=n) for n in (1, 2, 3)]
READERS = [UUID(int=0xA11CE), UUID(int=0xB0B)]
ONE, TWO = (lake.pseudonym(KEY, reader) for reader in READERS)
SECRET = {  # what the export must not say: of the readers, and of nobody else
    "email": "alice.address@mail.example",
    "password_hash": "argon2-hash-of-alice",
    "first_name": "Alicefirstname",
    "last_name": "Alicelastname",
    "review_text": "wordsthatalicewrote",
}


def fill(connection: psycopg.Connection) -> None:
    """Three books, two readers, three ratings, a favourite, a clicked page; secrets in all that is personal."""
    for number, (book, title, author) in enumerate(zip(BOOKS, ("One", "Two", "Three"), "AAB", strict=True)):
        connection.execute(
            "INSERT INTO books (id, title, author, title_key, author_key) VALUES (%s, %s, %s, 't', 'a')",
            (book, title, author),
        )
        connection.execute(
            "INSERT INTO genres (id, name, name_key) VALUES (%s, %s, 'g')", (UUID(int=9 + number), title)
        )
    connection.execute("INSERT INTO book_genres SELECT id, %s FROM books WHERE title <> 'Three'", (UUID(int=9),))
    for number, reader in enumerate(READERS):
        connection.execute(
            "INSERT INTO users (id, email, password_hash, first_name, last_name) VALUES (%s, %s, %s, %s, %s)",
            (reader, f"{number}{SECRET['email']}", *(SECRET[c] for c in ("password_hash", "first_name", "last_name"))),
        )
    for reader, book, stars, hours in ((0, 0, 5, 0), (0, 1, 2, 1), (1, 0, 4, 0)):
        connection.execute(
            "INSERT INTO reviews (user_id, book_id, rating, created_at, review_text) VALUES (%s, %s, %s, %s, %s)",
            (READERS[reader], BOOKS[book], stars, AT + dt.timedelta(hours=hours), SECRET["review_text"]),
        )
    connection.execute("INSERT INTO favorites (user_id, book_id) VALUES (%s, %s)", (READERS[0], BOOKS[0]))
    connection.execute(
        "INSERT INTO served_pages (id, user_id, recommendation_type) VALUES (%s, %s, 'personal')",
        (UUID(int=77), READERS[1]),
    )
    connection.execute("INSERT INTO served_picks VALUES (%s, 1, %s, 'taste', .5)", (UUID(int=77), BOOKS[2]))
    connection.execute(
        "INSERT INTO feedback_events (page_id, book_id, event) VALUES (%s, %s, 'click')", (UUID(int=77), BOOKS[2])
    )


@pytest.fixture
def stored(database_url: str, tmp_path: Path) -> Path:
    """Their lake, in a folder with an apostrophe and a space."""
    folder = tmp_path / "analyst's lake"
    with connect(database_url) as connection:
        fill(connection)
    lake.extract(database_url, folder, KEY)
    aggregation.store_book_statistics(folder)
    aggregation.store_group_statistics(folder)
    aggregation.store_activity(folder)
    return folder


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def test_tables_and_views_answer(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "brs.duckdb"
    rows = export(stored, out)

    assert rows == {
        "books": 3, "genres": 3, "book_genres": 2, "ratings": 3, "favorites": 1, "shown": 1, "feedback": 1,
        "book_statistics": 3, "genre_statistics": 1, "author_statistics": 2, "reader_statistics": 2,
        "daily_activity": 2, "library": 1,
    }  # fmt: skip
    assert ask(out, "SELECT title FROM best_books") == [("One",), ("Two",)]
    assert ask(out, "SELECT genre, books, ratings, mean FROM genre_ratings") == [("One", 2, 3, pytest.approx(11 / 3))]
    assert ask(out, "SELECT author, books, rated_books, ratings FROM author_ratings") == [
        ("A", 2, 2, 3),
        ("B", 1, 0, 0),
    ]
    assert ask(out, "SELECT reader, ratings, mean, active_days FROM reader_activity") == [
        (ONE, 2, 3.5, 2),
        (TWO, 1, 4.0, 1),
    ]
    assert ask(out, "SELECT day::text, ratings, readers, new_readers FROM daily_activity") == [
        ("2026-01-31", 2, 2, 2),
        ("2026-02-01", 1, 1, 0),
    ]
    assert ask(out, "SELECT month::text, ratings, readers, new_readers FROM ratings_by_month") == [
        ("2026-01-01", 2, 2, 2),
        ("2026-02-01", 1, 1, 0),
    ]
    assert ask(out, "SELECT cohort::text, months_later, readers, active, retention FROM reader_cohorts") == [
        ("2026-01-01", 0, 2, 2, 1.0),
        ("2026-01-01", 1, 2, 1, 0.5),
    ]
    assert ask(out, "SELECT f.event FROM feedback AS f JOIN shown AS s USING (page_id, book_id, reader)") == [
        ("click",)
    ]
    assert ask(out, "SELECT reader, book_id FROM favorites") == [(ONE, BOOKS[0])]
    assert ask(out, "SELECT fingerprint FROM library") == [(lake.last_snapshot(stored).fingerprint,)]


def test_the_parquet_files_hold_what_the_tables_hold_and_say_what_it_means(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "brs.duckdb"
    export(stored, out)

    folder = parquet_folder(out)
    assert {path.stem for path in folder.iterdir()} == set(TABLES)
    with duckdb.connect(out, read_only=True) as connection:
        for name, table in TABLES.items():
            path = folder / f"{name}.parquet"
            as_text = ", ".join(
                f"{column}::text AS {column}" if told.kind == "UUID" else column
                for column, told in table.columns.items()
            )
            of_table = connection.execute(f"SELECT {as_text} FROM {name}").fetchall()
            read = pl.read_parquet(path)
            assert read.columns == list(table.columns)
            assert of_table == read.rows(), name
            assert pl.read_parquet_metadata(path)["comment"] == table.meaning


def test_everything_is_explained_and_the_page_of_the_docs_says_the_same(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "brs.duckdb"
    export(stored, out)

    found = dict(
        ask(out, "SELECT table_name || '.' || column_name, comment FROM duckdb_columns() WHERE NOT internal")  # type: ignore[arg-type]  # pairs
    )
    told = {f"{name}.{column}": one.meaning for name, table in TABLES.items() for column, one in table.columns.items()}
    told |= {f"{name}.{column}": meaning for name, view in VIEWS.items() for column, meaning in view.columns.items()}
    assert found == told
    assert ask(out, "SELECT table_name, comment FROM duckdb_tables() ORDER BY 1") == sorted(
        (name, table.meaning) for name, table in TABLES.items()
    )
    assert ask(out, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY 1") == sorted(
        (name, view.meaning) for name, view in VIEWS.items()
    )
    assert (ROOT / "docs/data-dictionary.md").read_text() == page(), "make dictionary"


def test_no_file_says_who_a_reader_is(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "brs.duckdb"
    export(stored, out)
    secrets = [*SECRET.values(), *map(str, READERS), *(reader.hex for reader in READERS)]
    as_bytes = [secret.encode() for secret in secrets] + [reader.bytes for reader in READERS]

    files = [path for path in out.parent.rglob("*") if path.is_file()]
    assert len(files) == 1 + len(TABLES)
    for path in files:
        content = path.read_bytes().lower()
        assert [secret for secret in as_bytes if secret.lower() in content] == [], path
    # Their pages are compressed: what the bytes hide the values would show.
    with duckdb.connect(out, read_only=True) as connection:
        for name in (*TABLES, *VIEWS):
            assert said(connection.execute(f"SELECT * FROM {name}").fetchall(), secrets) == [], name
    for name in TABLES:
        assert said(pl.read_parquet(parquet_folder(out) / f"{name}.parquet").rows(), secrets) == [], name
    assert said([("so WordsThatAliceWrote",)], secrets) == [SECRET["review_text"]]  # it can find one


def said(rows: list[tuple[object, ...]], secrets: list[str]) -> list[str]:
    text = str(rows).lower()
    return [secret for secret in secrets if secret.lower() in text]


ANALYST = """
import sys
import duckdb
library = duckdb.connect(sys.argv[1], read_only=True)
print("open", flush=True)
sys.stdin.readline()
print(library.execute("SELECT count(*), max(stars) FROM ratings").fetchall())
"""


@pytest.fixture
def analyst(stored: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, with the export open."""
    out = tmp_path / "brs.duckdb"
    export(stored, out)
    with subprocess.Popen(
        [sys.executable, "-c", ANALYST, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_an_analyst_with_the_old_file_open_is_not_disturbed(
    analyst: subprocess.Popen[str], stored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "brs.duckdb"
    lake.store(stored, "ratings", lake.scan(stored, "ratings").collect().head(1))

    export(stored, out)

    assert analyst.communicate("\n")[0] == "[(3, 5)]\n"
    assert ask(out, "SELECT count(*) FROM ratings") == [(1,)]
    assert len(pl.read_parquet(parquet_folder(out) / "ratings.parquet")) == 1


def test_old_versions_go_at_once(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "brs.duckdb"
    versions = []
    for _ in range(3):
        export(stored, out)
        versions.append(parquet_folder(out).resolve())

    assert sorted(path.name for path in out.parent.iterdir()) == sorted(["brs.duckdb", "brs-parquet", versions[2].name])


def test_an_export_that_fails_leaves_the_old_files_and_nothing_else(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "brs.duckdb"
    export(stored, out)
    before = contents(out.parent)
    (stored / "library.parquet").unlink()

    with pytest.raises(lake.LakeUnreadable, match="brs pipeline run"):
        export(stored, out)

    assert contents(out.parent) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from data import export
def build(*_): os.kill(os.getpid(), signal.SIGKILL)
export._build = build
export.export(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_export_changes_nothing_and_the_next_one_clears_up(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "brs.duckdb"
    export(stored, out)
    before = contents(out.parent)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(stored), str(out)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert contents(out.parent).items() > before.items()  # something is left, nothing is different

    export(stored, out)

    assert len(contents(out.parent)) == len(before)  # no other version stays
    assert ask(out, "SELECT count(*) FROM ratings") == [(3,)]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("in_the_way", ["brs.duckdb", "brs-parquet"])
def test_a_place_that_cannot_be_written_is_one_line(stored: Path, tmp_path: Path, in_the_way: str) -> None:
    (tmp_path / in_the_way / "full").mkdir(parents=True)
    with pytest.raises(OSError, match=in_the_way) as refusal:
        export(stored, tmp_path / "brs.duckdb")
    assert "\n" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir() if "brs" in path.name] == [in_the_way]
