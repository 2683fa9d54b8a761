import datetime as dt
import random
import stat
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import lake
from data.database import connect
from data.lake import copying, extraction
from tests.data.lakes import EPOCH, KEY, add_book, add_reader, rate, same, show

NASTY = ['A "quoted", title', "two\nlines", "carriage\rreturn", "tab\there", "", "\\N", "Jo Nesbø 🙂", " spaces ", "\\"]


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
        connection.execute("INSERT INTO favorites (user_id, book_id) VALUES (%s, %s)", (UUID(int=1), books[0]))
        show(connection, UUID(int=2), books[:3], clicked=2)
        yield connection


def in_postgres(connection: psycopg.Connection) -> set[tuple[object, ...]]:
    rows = connection.execute("SELECT user_id, book_id, rating, created_at, updated_at FROM reviews").fetchall()
    return {(lake.pseudonym(KEY, user), str(book), *rest) for user, book, *rest in rows}


def test_the_extract_equals_postgres(library: psycopg.Connection, database_url: str, tmp_path: Path) -> None:
    snapshot = lake.extract(database_url, tmp_path, KEY)

    assert set(lake.scan(tmp_path, "ratings").collect().iter_rows()) == in_postgres(library)
    books = library.execute(
        "SELECT id::text, title, author, isbn, description, publication_date, series, series_position, language,"
        " created_at FROM books ORDER BY id"
    ).fetchall()
    assert pl.read_parquet(tmp_path / "books.parquet").rows() == books
    rows = {"ratings": 30, "favorites": 1, "shown": 3, "feedback": 2, "books": 9, "genres": 1, "book_genres": 1}
    assert {name: table.rows for name, table in snapshot.tables.items()} == rows
    assert {name: table.counted for name, table in snapshot.tables.items()} == rows


def test_what_readers_were_shown_kept_and_did_is_as_postgres_has_it(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)

    one, two = (lake.pseudonym(KEY, UUID(int=n)) for n in (1, 2))
    kept = library.execute("SELECT book_id::text, created_at FROM favorites").fetchall()
    assert lake.scan(tmp_path, "favorites").collect().rows() == [(one, *row) for row in kept]
    shown = library.execute(
        "SELECT p.id::text, rank, book_id::text, source, score, recommendation_type, model_name, model_version,"
        " degraded, created_at FROM served_pages p JOIN served_picks k ON k.page_id = p.id ORDER BY rank"
    ).fetchall()
    assert lake.scan(tmp_path, "shown").collect().rows() == [(two, *row) for row in shown]
    did = library.execute("SELECT id, page_id::text, book_id::text, event, created_at FROM feedback_events ORDER BY id")
    assert lake.scan(tmp_path, "feedback").collect().rows() == [(two, *row) for row in did.fetchall()]


def test_small_chunks_make_the_same_files(
    library: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.extract(database_url, tmp_path / "whole", KEY)
    monkeypatch.setattr(copying, "CHUNK_BYTES", 150)
    lake.extract(database_url, tmp_path / "chunked", KEY)

    assert same(tmp_path / "whole", tmp_path / "chunked") == []
    assert not [path for path in (tmp_path / "chunked").iterdir() if path.name.startswith(".")]


def test_readers_are_in_the_order_of_their_pseudonyms_and_their_ratings_oldest_first(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)

    ratings = lake.scan(tmp_path, "ratings").collect()
    assert ratings.equals(ratings.sort("reader", "created_at", "book_id"))
    expected = sorted(lake.pseudonym(KEY, UUID(int=n + 1)) for n in range(5))
    assert ratings["reader"].unique(maintain_order=True).to_list() == expected


def test_no_file_of_the_lake_holds_a_user_id_the_id_or_words_of_a_review_or_an_address(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    lake.extract(database_url, tmp_path, KEY)
    reviews = library.execute("SELECT id::text FROM reviews").fetchall()
    secret = {str(UUID(int=1)), str(UUID(int=2)), *(row[0] for row in reviews)}

    for name in lake.TABLES:
        seen = lake.scan(tmp_path, name).collect().write_csv()
        assert not [own for own in secret if own in seen]
        assert "readers.test" not in seen
        assert "secret" not in seen


def test_all_tables_are_of_one_moment_whatever_is_written_meanwhile(
    library: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = in_postgres(library)
    table, whole = extraction._table, extraction._whole

    def write() -> None:
        with connect(database_url) as other:
            reader, book = uuid4(), add_book(other, "written meanwhile")
            add_reader(other, reader)
            rate(other, reader, book, 5)
            other.execute("DELETE FROM reviews WHERE user_id = %s", (UUID(int=1),))

    def beside(what: Callable[..., lake.Extract], *arguments: object) -> lake.Extract:
        writer = threading.Thread(target=write)
        writer.start()
        writer.join()
        return what(*arguments)

    monkeypatch.setattr(extraction, "_table", partial(beside, table))
    monkeypatch.setattr(extraction, "_whole", partial(beside, whole))
    lake.extract(database_url, tmp_path, KEY)

    ratings, books = (lake.scan(tmp_path, name).collect() for name in ("ratings", "books"))
    assert set(ratings.iter_rows()) == before
    assert ratings.join(books, left_on="book_id", right_on="id", how="anti").is_empty()
    assert len(books) == 9
    assert in_postgres(library) != before


def test_a_failing_extraction_leaves_the_old_files_and_nothing_else(
    library: psycopg.Connection, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = lake.extract(database_url, tmp_path, KEY)
    library.execute("DELETE FROM reviews WHERE user_id = %s", (UUID(int=1),))
    whole = extraction._whole

    def break_at_the_last(reading: object, name: str) -> lake.Extract:
        if name == lake.TABLES[-1]:
            raise psycopg.OperationalError("the server went away")
        return whole(reading, name)

    monkeypatch.setattr(extraction, "_whole", break_at_the_last)
    with pytest.raises(psycopg.OperationalError):
        lake.extract(database_url, tmp_path, KEY)

    assert lake.last_snapshot(tmp_path) == old
    assert all(lake.is_of_snapshot(tmp_path, name, old) for name in lake.TABLES)
    assert {path.name for path in tmp_path.iterdir()} == {*(f"{name}.parquet" for name in lake.TABLES), lake.MANIFEST}


def test_what_a_killed_extraction_left_is_removed(
    library: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    left = tmp_path / f"{extraction.ASIDE}abc"
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

    assert {table.rows for table in snapshot.tables.values()} == {0}
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
