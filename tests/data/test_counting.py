import time
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from data.database import connect
from data.lake import counting
from tests.data.lakes import EPOCH, add_book, add_reader, rate

READER = UUID(int=1)


@pytest.fixture
def reading(database_url: str) -> Iterator[psycopg.Connection]:
    """A reader with one rating of two books, and a transaction that has begun to look at them."""
    with connect(database_url) as writer:
        add_reader(writer, READER)
        books = [add_book(writer, title, title) for title in ("rated", "not yet")]
        rate(writer, READER, books[0], 4, EPOCH)
        writer.commit()
        with connect(database_url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT 1")
            rate(writer, READER, books[1], 5, EPOCH)
            writer.commit()
            yield connection


def test_rows_are_counted_as_the_reading_transaction_sees_them(reading: psycopg.Connection, database_url: str) -> None:
    with counting.counting(database_url, reading) as counted:
        assert {name: counted(name) for name in ("books", "ratings", "favorites")} == {
            "books": 2,
            "ratings": 1,
            "favorites": 0,
        }


def told_by(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    monkeypatch.setattr(counting, "COUNTS", dict.fromkeys(counting.COUNTS, count))


def test_what_goes_wrong_in_counting_is_raised_where_a_count_is_asked_for(
    reading: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_by(monkeypatch, "SELECT 1 / 0")

    with counting.counting(database_url, reading) as counted, pytest.raises(psycopg.errors.DivisionByZero):
        counted("ratings")


def test_nobody_waits_for_counts_after_copying_has_failed(
    reading: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_by(monkeypatch, "SELECT count(*) FROM pg_sleep(120)")
    begun = time.monotonic()

    def copying() -> None:
        time.sleep(0.2)  # until the first count runs
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), counting.counting(database_url, reading):
        copying()

    assert time.monotonic() - begun < 60
