import datetime as dt
import random
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import lake
from data.database import connect

KEY = bytes(range(32))
EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NASTY = ['A "quoted", title', "two\nlines", "carriage\rreturn", "tab\there", "", "\\N", "Jo Nesbø 🙂", " spaces ", "\\"]


def add_book(connection: psycopg.Connection, title: str, description: str | None = None) -> UUID:
    row = connection.execute(
        "INSERT INTO books (title, author, title_key, author_key, description, series_position, publication_date)"
        " VALUES (%s, 'A. Uthor', lower(%s), 'a. uthor', %s, 2.5, '0079-10-24') RETURNING id",
        (title, title, description),
    ).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def add_reader(connection: psycopg.Connection, user_id: UUID) -> None:
    connection.execute(
        "INSERT INTO users (id, email, first_name, last_name) VALUES (%s, %s, 'F', 'L')",
        (user_id, f"{user_id}@readers.test"),
    )


def rate(connection: psycopg.Connection, user_id: UUID, book_id: UUID, stars: int, at: dt.datetime) -> None:
    connection.execute(
        "INSERT INTO reviews (user_id, book_id, rating, created_at, updated_at, review_text)"
        " VALUES (%s, %s, %s, %s, %s, 'my secret words')",
        (user_id, book_id, stars, at, at),
    )


@pytest.fixture
def library(database_url: str) -> Iterator[psycopg.Connection]:
    """Nine books with difficult titles, five readers, 30 ratings; times with and without a fraction of a second."""
    rng = random.Random(7)
    with connect(database_url, autocommit=True) as connection:
        books = [add_book(connection, title or "-", title) for title in NASTY]
        for reader in range(5):
            user_id = UUID(int=reader + 1)
            add_reader(connection, user_id)
            for book_id in rng.sample(books, 6):
                at = EPOCH + dt.timedelta(seconds=rng.randrange(10**6), microseconds=rng.choice([0, 1, 250_000]))
                rate(connection, user_id, book_id, rng.randint(1, 5), at)
        genre = connection.execute("INSERT INTO genres (name, name_key) VALUES ('Odd', 'odd') RETURNING id").fetchone()
        assert genre is not None
        connection.execute("INSERT INTO book_genres VALUES (%s, %s)", (books[0], genre[0]))
        yield connection


def in_postgres(connection: psycopg.Connection) -> set[tuple[object, ...]]:
    rows = connection.execute("SELECT user_id, book_id, rating, created_at, updated_at FROM reviews").fetchall()
    return {(lake.pseudonym(KEY, user), str(book), *rest) for user, book, *rest in rows}


def test_the_extract_equals_postgres(library: psycopg.Connection, database_url: str, tmp_path: Path) -> None:
    snapshot = lake.extract(database_url, tmp_path, KEY)

    assert set(pl.read_parquet(tmp_path / "ratings.parquet").iter_rows()) == in_postgres(library)
    books = library.execute(
        "SELECT id::text, title, author, isbn, description, publication_date, series, series_position, language,"
        " created_at FROM books ORDER BY id"
    ).fetchall()
    assert pl.read_parquet(tmp_path / "books.parquet").rows() == books
    assert [table.rows for table in snapshot.tables.values()] == [30, 9, 1, 1]
    assert [table.counted for table in snapshot.tables.values()] == [30, 9, 1, 1]


def test_small_chunks_make_the_same_files(
    library: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.extract(database_url, tmp_path / "whole", KEY)
    monkeypatch.setattr(lake, "CHUNK_BYTES", 150)
    lake.extract(database_url, tmp_path / "chunked", KEY)

    for name in lake.TABLES:
        whole, chunked = (pl.read_parquet(tmp_path / way / f"{name}.parquet") for way in ("whole", "chunked"))
        assert whole.equals(chunked)
        assert whole.schema == chunked.schema
    assert not [path for path in (tmp_path / "chunked").iterdir() if path.name.startswith(".")]


def test_readers_are_in_the_order_of_their_pseudonyms_and_their_ratings_oldest_first(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)

    ratings = pl.read_parquet(tmp_path / "ratings.parquet")
    assert ratings.equals(ratings.sort("reader", "created_at", maintain_order=True))
    expected = sorted(lake.pseudonym(KEY, UUID(int=n + 1)) for n in range(5))
    assert ratings["reader"].unique(maintain_order=True).to_list() == expected


def test_no_file_of_the_lake_holds_a_user_id_an_address_or_words_of_a_review(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)

    for name in lake.TABLES:
        seen = pl.read_parquet(tmp_path / f"{name}.parquet").write_csv()
        assert str(UUID(int=1)) not in seen
        assert "readers.test" not in seen
        assert "secret" not in seen


def test_all_tables_are_of_one_moment_whatever_is_written_meanwhile(
    library: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = in_postgres(library)
    copy = lake._copy

    def copy_while_others_write(connection: psycopg.Connection, name: str, aside: Path) -> lake.Extract:
        def write() -> None:
            with connect(database_url) as other:
                reader, book = uuid4(), add_book(other, f"written before {name}")
                add_reader(other, reader)
                rate(other, reader, book, 5, EPOCH)
                other.execute("DELETE FROM reviews WHERE user_id = %s", (UUID(int=1),))

        writer = threading.Thread(target=write)
        writer.start()
        writer.join()
        return copy(connection, name, aside)

    monkeypatch.setattr(lake, "_copy", copy_while_others_write)
    lake.extract(database_url, tmp_path, KEY)

    ratings, books = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("ratings", "books"))
    assert set(ratings.iter_rows()) == before
    assert ratings.join(books, left_on="book_id", right_on="id", how="anti").is_empty()
    assert len(books) == 9
    assert in_postgres(library) != before


def test_a_failing_extraction_leaves_the_old_files_and_nothing_else(
    library: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = lake.extract(database_url, tmp_path, KEY)
    library.execute("DELETE FROM reviews WHERE user_id = %s", (UUID(int=1),))
    copy = lake._copy

    def break_at_the_last(connection: psycopg.Connection, name: str, aside: Path) -> lake.Extract:
        if name == lake.TABLES[-1]:
            raise psycopg.OperationalError("the server went away")
        return copy(connection, name, aside)

    monkeypatch.setattr(lake, "_copy", break_at_the_last)
    with pytest.raises(psycopg.OperationalError):
        lake.extract(database_url, tmp_path, KEY)

    assert lake.last_snapshot(tmp_path) == old
    assert all(lake.is_of_snapshot(tmp_path, name, old) for name in lake.TABLES)
    (tmp_path / f"{lake.TABLES[0]}.parquet").rename(tmp_path / "elsewhere")
    assert not lake.is_of_snapshot(tmp_path, lake.TABLES[0], old)
    (tmp_path / "elsewhere").rename(tmp_path / f"{lake.TABLES[0]}.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {*(f"{name}.parquet" for name in lake.TABLES), lake.MANIFEST}


def test_what_a_killed_extraction_left_is_removed(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    left = tmp_path / f"{lake.ASIDE}abc"
    left.mkdir()
    (left / "ratings-0.parquet").write_bytes(b"half")

    lake.extract(database_url, tmp_path, KEY)

    assert not left.exists()


def test_the_same_data_has_the_same_fingerprint_and_other_data_another(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    first, again = (lake.extract(database_url, tmp_path, KEY).fingerprint for _ in range(2))
    library.execute("UPDATE reviews SET rating = 6 - rating WHERE user_id = %s AND rating <> 3", (UUID(int=2),))

    assert first == again != lake.extract(database_url, tmp_path, KEY).fingerprint


def test_an_empty_library_is_extracted_with_its_columns(database_url: str, tmp_path: Path) -> None:
    snapshot = lake.extract(database_url, tmp_path, KEY)

    assert [table.rows for table in snapshot.tables.values()] == [0, 0, 0, 0]
    assert lake.scan(tmp_path, "ratings").collect_schema()["created_at"] == lake.MOMENT


@given(st.uuids(), st.uuids(), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_pseudonym_depends_on_reader_and_key_and_fits_64_bits(one: UUID, two: UUID, key: bytes, other: bytes) -> None:
    assert -(2**63) <= lake.pseudonym(key, one) < 2**63
    assert lake.pseudonym(key, one) == lake.pseudonym(key, one)
    assert (lake.pseudonym(key, one) == lake.pseudonym(key, two)) == (one == two)
    assert (lake.pseudonym(key, one) == lake.pseudonym(other, one)) == (key == other)


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(lake.lake_key(home))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 1
    assert len(made) == 8
    assert stat.S_IMODE((home / lake.KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [lake.KEY_FILE]


def test_a_given_key_is_used_and_leaves_no_file_and_a_short_one_is_refused(tmp_path: Path) -> None:
    assert lake.lake_key(tmp_path, "a" * 32) != lake.lake_key(tmp_path, "b" * 32)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="BRS_LAKE_KEY is too short"):
        lake.lake_key(tmp_path, "short")


def test_a_lake_that_is_not_there_or_damaged_says_what_to_do(tmp_path: Path) -> None:
    for look in (lambda: lake.scan(tmp_path, "ratings"), lambda: lake.last_snapshot(tmp_path)):
        with pytest.raises(lake.LakeUnreadable, match="brs pipeline run"):
            look()
    (tmp_path / lake.MANIFEST).write_text("{")
    with pytest.raises(lake.LakeUnreadable, match="is damaged"):
        lake.last_snapshot(tmp_path)
