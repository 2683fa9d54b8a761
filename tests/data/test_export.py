import datetime as dt
from pathlib import Path
from uuid import UUID

import duckdb
import polars as pl
import pytest

from data import lake
from data.export import export

AT = dt.datetime(2026, 1, 31, 23, 30, tzinfo=dt.UTC)
BOOKS = [str(UUID(int=n)) for n in (1, 2, 3)]
GENRE = str(UUID(int=9))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A lake of three books, two readers and three ratings, in a folder with an apostrophe and a space."""
    folder = tmp_path / "analyst's lake"
    books = pl.DataFrame(
        {
            "id": BOOKS,
            "title": ["One", "Two", "Three"],
            "author": ["A", "A", "B"],
            "isbn": None,
            "description": None,
            "publication_date": dt.date(1999, 1, 1),
            "series": None,
            "series_position": None,
            "language": "en",
            "created_at": AT,
        }
    )
    ratings = pl.DataFrame(
        {
            "reader": [-5, -5, 7],
            "book_id": [BOOKS[0], BOOKS[1], BOOKS[0]],
            "rating": [5, 2, 4],
            "created_at": [AT, AT + dt.timedelta(hours=1), AT],
            "updated_at": AT,
        }
    )
    statistics = pl.DataFrame(
        {
            "book_id": BOOKS,
            "n": [2, 1, 0],
            **{f"stars_{s}": [int(s in (4, 5)), int(s == 2), 0] for s in range(1, 6)},
            "mean": [4.5, 2.0, None],
            "shrunken_mean": [4.2, 2.5, 3.6],
            "interval_low": [3.0, 1.5, 1.0],
            "interval_high": [5.0, 3.5, 5.0],
            "ratings_per_day": [0.1, 0.0, 0.0],
            "trend": None,
            "is_burst": False,
            "first_at": AT,
            "last_at": AT,
        }
    )
    for name, table in {
        "books": books,
        "ratings": ratings,
        "genres": pl.DataFrame({"id": [GENRE], "name": ["Crime"], "description": [None]}),
        "book_genres": pl.DataFrame({"book_id": BOOKS[:2], "genre_id": [GENRE] * 2}),
        "rating_aggregates": statistics,
        "library": pl.DataFrame({"prior_mean": [3.6], "prior_weight": [4.0]}),
    }.items():
        lake.store(folder, name, table)
    return folder


def ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_tables_and_views_answer(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "brs.duckdb"
    rows = export(stored, out)

    assert rows == {
        "books": 3, "genres": 1, "book_genres": 2, "ratings": 3, "book_statistics": 3, "library": 1,
    }  # fmt: skip
    assert ask(out, "SELECT title FROM best_books") == [("One",), ("Two",)]
    assert ask(out, "SELECT * FROM genre_ratings") == [("Crime", 2, 3, pytest.approx(11 / 3))]
    assert ask(out, "SELECT author, books, ratings FROM author_ratings") == [("A", 2, 3), ("B", 1, 0)]
    assert ask(out, "SELECT reader, ratings, mean FROM reader_activity") == [(-5, 2, 3.5), (7, 1, 4.0)]
    assert ask(out, "SELECT month, ratings, readers FROM ratings_by_month") == [
        (dt.date(2026, 1, 1), 2, 2),
        (dt.date(2026, 2, 1), 1, 1),
    ]
    assert ask(out, "SELECT book_id FROM ratings WHERE stars = 2") == [(UUID(BOOKS[1]),)]


def test_every_table_view_and_column_of_a_table_is_explained(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "brs.duckdb"
    export(stored, out)

    assert ask(out, "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL") == []
    assert ask(out, "SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL") == []
    unexplained = (
        "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL"
        " AND table_name IN (SELECT table_name FROM duckdb_tables())"
    )
    assert ask(out, unexplained) == []


def test_an_analyst_with_the_old_file_open_is_not_disturbed(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "brs.duckdb"
    export(stored, out)
    with duckdb.connect(out, read_only=True) as analyst:
        lake.store(stored, "ratings", pl.read_parquet(stored / "ratings.parquet").head(1))
        export(stored, out)
        assert analyst.execute("SELECT count(*), max(stars) FROM ratings").fetchall() == [(3, 5)]

    assert ask(out, "SELECT count(*) FROM ratings") == [(1,)]


def test_an_export_that_fails_leaves_the_old_file_and_nothing_else(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "brs.duckdb"
    export(stored, out)
    before = out.read_bytes()
    (stored / "library.parquet").unlink()

    with pytest.raises(lake.LakeUnreadable, match="brs pipeline run"):
        export(stored, out)

    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["brs.duckdb"]


def test_the_file_holds_no_column_that_names_a_person(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "brs.duckdb"
    export(stored, out)

    columns = {
        str(name) for (name,) in ask(out, "SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal")
    }
    assert not columns & {"email", "first_name", "last_name", "user_id", "review_text", "password_hash"}


def test_a_place_that_cannot_be_written_is_one_line(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "brs.duckdb").mkdir()  # a folder is in the way
    with pytest.raises(OSError, match=r"brs\.duckdb") as refusal:
        export(stored, tmp_path / "brs.duckdb")
    assert "\n" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("brs")] == ["brs.duckdb"]
