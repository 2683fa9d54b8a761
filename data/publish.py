"""What the pipeline gives back to the service through Postgres."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

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


def publish_statistics(url: str, rows: Iterable[BookStatisticsRow], *, prior_mean: float, prior_weight: float) -> int:
    """Replace the statistics of all books and of the library in one transaction: a reader sees the old or the new.

    Books that were deleted since their ratings were read are left out.

    Returns:
        How many books have statistics now.

    Raises:
        psycopg.IntegrityError: a row breaks the rules of the table; nothing has changed then.
    """
    with connect(url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('publish_statistics'))")  # a second publisher waits
        connection.execute("CREATE TEMPORARY TABLE fresh (LIKE book_statistics INCLUDING DEFAULTS) ON COMMIT DROP")
        with connection.cursor().copy(f"COPY fresh ({', '.join(BookStatisticsRow._fields)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        # Before book_statistics is touched, and in the order of the ids: a book that is being deleted is waited for
        # here and then left out. Later, its deletion, which cascades to book_statistics, and this would deadlock.
        connection.execute(
            "SELECT count(*) FROM (SELECT FROM books JOIN fresh ON fresh.book_id = books.id"
            " ORDER BY books.id FOR KEY SHARE OF books) AS held"
        )
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
