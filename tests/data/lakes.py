"""A small library to extract, what can happen to it, and what a lake holds."""

import datetime as dt
import random
from pathlib import Path
from uuid import UUID, uuid4

import polars as pl
import psycopg

from data import lake

KEY = bytes(range(32))
EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def add_book(connection: psycopg.Connection, title: str, description: str | None = None) -> UUID:
    own = uuid4()
    connection.execute(
        "INSERT INTO books (id, title, author, title_key, author_key, description, series_position, publication_date)"
        " VALUES (%s, %s, 'A. Uthor', lower(%s), 'a. uthor', %s, 2.5, '0079-10-24')",
        (own, title, title, description),
    )
    return own


def add_reader(connection: psycopg.Connection, user_id: UUID) -> UUID:
    connection.execute(
        "INSERT INTO users (id, email, first_name, last_name) VALUES (%s, %s, 'F', 'L')",
        (user_id, f"{user_id}@readers.test"),
    )
    return user_id


def rate(connection: psycopg.Connection, user_id: UUID, book_id: UUID, stars: int, at: dt.datetime = EPOCH) -> None:
    connection.execute(
        "INSERT INTO reviews (user_id, book_id, rating, created_at, updated_at, review_text)"
        " VALUES (%s, %s, %s, %s, %s, 'my secret words') ON CONFLICT DO NOTHING",
        (user_id, book_id, stars, at, at),
    )


def show(connection: psycopg.Connection, user_id: UUID, books: list[UUID], clicked: int = 0) -> UUID:
    """A page of these books, on the first few of which the reader has clicked."""
    page = uuid4()
    connection.execute(
        "INSERT INTO served_pages (id, user_id, recommendation_type, model_name, model_version)"
        " VALUES (%s, %s, 'personal', 'taste', NULL)",
        (page, user_id),
    )
    for rank, book_id in enumerate(books, start=1):
        connection.execute("INSERT INTO served_picks VALUES (%s, %s, %s, 'taste', 0.1)", (page, rank, book_id))
        if rank <= clicked:
            connection.execute(
                "INSERT INTO feedback_events (page_id, book_id, event) VALUES (%s, %s, 'click')", (page, book_id)
            )
    return page


def keep(connection: psycopg.Connection, user_id: UUID, book_id: UUID) -> None:
    connection.execute(
        "INSERT INTO favorites (user_id, book_id) VALUES (%s, %s) ON CONFLICT DO NOTHING", (user_id, book_id)
    )


def fill(connection: psycopg.Connection, readers: int = 40, books: int = 25) -> None:
    """Enough readers that most parts of the lake have some."""
    rng = random.Random(5)
    own = [add_book(connection, f"Book {number}") for number in range(books)]
    for number in range(readers):
        user_id = add_reader(connection, UUID(int=number + 1))
        for book_id in rng.sample(own, 8):
            rate(connection, user_id, book_id, rng.randint(1, 5), EPOCH + dt.timedelta(days=rng.randrange(5)))
        keep(connection, user_id, rng.choice(own))
        show(connection, user_id, rng.sample(own, 4), clicked=number % 3)


def content(folder: Path) -> dict[str, pl.DataFrame]:
    return {name: lake.scan(folder, name).collect() for name in lake.TABLES}


def same(one: Path, other: Path) -> list[str]:
    """The tables of two lakes that differ in any value, type, or the order of rows or columns."""
    here, there = content(one), content(other)
    return [
        name for name in lake.TABLES if not here[name].equals(there[name]) or here[name].schema != there[name].schema
    ]


def readers_in_files(folder: Path) -> set[int]:
    """Of every file there is, of the lake or left over."""
    found: set[int] = set()
    for path in folder.rglob("*.parquet"):
        if path.is_file() and "reader" in pl.scan_parquet(path).collect_schema():
            found |= set(pl.read_parquet(path)["reader"])
    return found
