"""What the pipeline gives back to the service through Postgres."""

from collections.abc import Iterable, Sequence
from typing import LiteralString, NamedTuple
from uuid import UUID

import psycopg

from data.database import connect


class BookStatisticsRow(NamedTuple):
    """A row of ``book_statistics``; see there for the ranges."""

    book_id: UUID
    shrunken_mean: float
    interval_low: float
    interval_high: float
    ratings_per_day: float
    trend: float | None
    is_burst: bool


class GenreProposalRow(NamedTuple):
    """A row of ``genre_proposals``; the probability is 0..1."""

    book_id: UUID
    genre_id: UUID
    probability: float


def publish_statistics(url: str, rows: Iterable[BookStatisticsRow], *, prior_mean: float, prior_weight: float) -> int:
    """Replace the statistics of all books and of the library in one transaction: a reader sees the old or the new.

    Books that were deleted since their ratings were read are left out.

    Returns:
        How many books have statistics now.

    Raises:
        psycopg.IntegrityError: a row breaks the rules of the table; nothing has changed then.
    """
    with connect(url) as connection:
        _bring(connection, "book_statistics", BookStatisticsRow._fields, rows)
        connection.execute("DELETE FROM book_statistics")
        published = connection.execute(
            "INSERT INTO book_statistics SELECT fresh.* FROM fresh JOIN books ON books.id = fresh.book_id"
        ).rowcount
        connection.execute(
            "INSERT INTO library_statistics (prior_mean, prior_weight) VALUES (%s, %s)"
            " ON CONFLICT (is_the_row) DO UPDATE SET prior_mean = excluded.prior_mean,"
            " prior_weight = excluded.prior_weight, computed_at = clock_timestamp()",
            (prior_mean, prior_weight),
        )
        return published


def publish_proposals(url: str, rows: Iterable[GenreProposalRow]) -> int:
    """Replace the genre proposals of all books in one transaction: who asks sees the old or the new.

    Books and genres that were deleted since they were read are left out.

    Returns:
        How many proposals there are now.

    Raises:
        psycopg.IntegrityError: a row breaks the rules of the table; nothing has changed then.
    """
    with connect(url) as connection:
        _bring(connection, "genre_proposals", GenreProposalRow._fields, rows)
        connection.execute(
            "SELECT count(*) FROM (SELECT FROM genres WHERE id IN (SELECT genre_id FROM fresh)"
            " ORDER BY id FOR KEY SHARE) AS held"
        )
        connection.execute("DELETE FROM genre_proposals")
        return connection.execute(
            "INSERT INTO genre_proposals SELECT fresh.* FROM fresh"
            " JOIN books ON books.id = fresh.book_id JOIN genres ON genres.id = fresh.genre_id"
        ).rowcount


def _bring(
    connection: psycopg.Connection, table: LiteralString, columns: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> None:
    """The rows in a temporary table ``fresh``, and their books held; a second publisher of the same table waits."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"publish {table}",))
    connection.execute(f"CREATE TEMPORARY TABLE fresh (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DROP")
    with connection.cursor().copy(f"COPY fresh ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    _hold_books(connection)


def _hold_books(connection: psycopg.Connection) -> None:
    """Waits for those of ``fresh`` that are being deleted, and keeps the others from being deleted until the commit.

    Before the published table is touched, and in the order of the ids: later, a deletion, which cascades to that table,
    and the publication would deadlock.
    """
    connection.execute(
        "SELECT count(*) FROM (SELECT FROM books WHERE id IN (SELECT book_id FROM fresh)"
        " ORDER BY id FOR KEY SHARE) AS held"
    )
