"""From a source's rows to the tables: COPY into temporary tables, then INSERT … ON CONFLICT DO NOTHING, all or nothing.

Reviews go in sorted by book, a slice of books a statement: the triggers lock books in that order, and the memory that
a statement's transition table takes does not grow with the source.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

import psycopg

from data import loading_sql
from data.database import DatabaseUnavailable, connect
from data.text import sort_key

Row = TypeVar("Row")
Progress = Callable[[str, int, int | None], None]  # what is being done, how many rows are done, of how many if known

LOCK = 0x42525301  # the advisory lock that keeps two loads apart: "BRS" and a number of its own
ROWS_PER_STEP = 5_000  # how often progress is told
REVIEWS_PER_STATEMENT = 100_000


class GenreRow(NamedTuple):
    id: UUID
    name: str
    description: str | None = None


class BookRow(NamedTuple):
    """``isbn`` has 13 digits, ``language`` is an ISO 639-1 code, ``genre_ids`` are of the same source's genres."""

    id: UUID
    title: str
    author: str
    isbn: str | None
    description: str | None
    cover_image_url: str | None
    publication_date: dt.date | None
    series: str | None
    series_position: float | None
    language: str | None
    genre_ids: tuple[UUID, ...]
    created_at: dt.datetime


class ReaderRow(NamedTuple):
    id: UUID
    email: str
    first_name: str
    last_name: str
    created_at: dt.datetime


class ReviewRow(NamedTuple):
    """``created_at`` is when the book was rated: models learn order from it."""

    id: UUID
    user_id: UUID
    book_id: UUID
    rating: int
    review_text: str | None
    created_at: dt.datetime


class FavoriteRow(NamedTuple):
    user_id: UUID
    book_id: UUID
    created_at: dt.datetime


class Source(Protocol):
    """What ``load`` reads. A method may be called again and then gives the same rows; it may raise SourceError.

    ``origin`` becomes ``users.origin``: sample, goodbooks or generated. ``expected`` holds the numbers of rows that are
    known beforehand, under the names of the methods. Times are aware.
    """

    @property
    def origin(self) -> str: ...
    @property
    def expected(self) -> Mapping[str, int]: ...
    def genres(self) -> Iterable[GenreRow]: ...
    def books(self) -> Iterable[BookRow]: ...
    def readers(self) -> Iterable[ReaderRow]: ...
    def reviews(self) -> Iterable[ReviewRow]: ...
    def favorites(self) -> Iterable[FavoriteRow]: ...


class SourceError(ValueError):
    """The source cannot be loaded. One line: the file and row where there is one, what is wrong, the way out."""


@dataclass(frozen=True)
class LoadReport:
    """Rows that came in (keys genres, books, readers, reviews, favorites), and how long it took in seconds."""

    inserted: Mapping[str, int]
    seconds: float


def quiet(what: str, done: int, total: int | None) -> None:
    """The progress of somebody who does not watch."""


def load(url: str, source: Source, progress: Progress = quiet) -> LoadReport:
    """Load all of ``source``, or nothing.

    A row whose id is there already stays as it is, so loading twice changes nothing. A genre joins the one of the same
    name whatever its case. An ISBN that another book has already is left empty. Genres are set for new books only, so
    that a librarian's correction outlives the next load. Readers get no password: nobody can sign in as one of them.

    Raises:
        SourceError: the source is damaged, or contradicts itself or what is in the database.
        DatabaseUnavailable: no connection, no tables, no room.
    """
    began = time.perf_counter()
    try:
        with connect(url) as connection:
            try:
                inserted = _load(connection, source, progress)
            except psycopg.errors.DeadlockDetected:  # the one way in which somebody else's writing can stop a load
                connection.rollback()
                inserted = _load(connection, source, progress)
            connection.commit()
            if any(inserted.values()):
                progress("analysing", 0, None)
                connection.autocommit = True
                connection.execute(loading_sql.TIDY)
    except (psycopg.IntegrityError, psycopg.DataError) as exc:
        raise SourceError(_refused(source.origin, exc)) from exc
    except psycopg.errors.UndefinedTable as exc:
        raise DatabaseUnavailable("the database has no tables yet: run `brs migrate`, then load again") from exc
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable(f"loading stopped and nothing was kept: {_first_line(exc)}") from exc
    return LoadReport(inserted, time.perf_counter() - began)


def _load(connection: psycopg.Connection, source: Source, progress: Progress) -> dict[str, int]:
    _wait_for_other_loads(connection, progress)
    connection.execute("SET LOCAL statement_timeout = 0")
    connection.execute("SET LOCAL work_mem = '64MB'")
    _stage(connection, source, progress)
    inserted = {}
    progress("storing genres", 0, None)
    inserted["genres"] = connection.execute(loading_sql.GENRES).rowcount
    progress("storing books", 0, None)
    inserted["books"] = connection.execute(loading_sql.BOOKS).rowcount
    connection.execute(loading_sql.BOOK_GENRES)
    progress("storing readers", 0, None)
    inserted["readers"] = connection.execute(loading_sql.READERS, {"origin": source.origin}).rowcount
    inserted["reviews"] = _insert_reviews(connection, progress)
    progress("storing favorites", 0, None)
    inserted["favorites"] = connection.execute(loading_sql.FAVORITES).rowcount
    return inserted


def _wait_for_other_loads(connection: psycopg.Connection, progress: Progress) -> None:
    if connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone() != (True,):
        progress("waiting for another load", 0, None)
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


def _stage(connection: psycopg.Connection, source: Source, progress: Progress) -> None:
    connection.execute(loading_sql.STAGING)
    streams: tuple[tuple[str, Callable[[], Iterable[tuple[object, ...]]]], ...] = (
        ("genres", lambda: ((g.id, g.name, sort_key(g.name), g.description) for g in source.genres())),
        ("books", lambda: map(_staged_book, source.books())),
        ("readers", source.readers),
        ("reviews", source.reviews),
        ("favorites", source.favorites),
    )
    for name, rows in streams:
        with connection.cursor() as cursor, cursor.copy(loading_sql.COPY[name]) as copy:
            copy.set_types(loading_sql.TYPES[name])
            for row in _told(rows(), f"reading {name}", source.expected.get(name), progress):
                copy.write_row(row)
    progress("sorting", 0, None)
    connection.execute(loading_sql.INDEX_STAGING)


def _staged_book(book: BookRow) -> tuple[object, ...]:
    return (
        *book[:10],  # id to language
        sort_key(book.title),
        sort_key(book.author),
        None if book.series is None else sort_key(book.series),
        None if book.description is None else sort_key(book.description),
        list(book.genre_ids),
        book.created_at,
    )


def _told(rows: Iterable[Row], what: str, total: int | None, progress: Progress) -> Iterator[Row]:
    done = 0
    progress(what, done, total)
    for row in rows:
        yield row
        done += 1
        if done % ROWS_PER_STEP == 0:
            progress(what, done, total)
    progress(what, done, total)


def _insert_reviews(connection: psycopg.Connection, progress: Progress) -> int:
    counted = connection.execute("SELECT count(*) FROM staged_reviews").fetchone()
    total = counted[0] if counted else 0
    inserted = done = 0
    after: UUID | None = None
    slices = connection.execute(loading_sql.SLICES, {"size": REVIEWS_PER_STATEMENT}).fetchall()
    progress("storing reviews", done, total)
    for number, (last,) in enumerate(slices, start=1):
        inserted += connection.execute(loading_sql.REVIEWS, {"after": after, "last": last}).rowcount
        after = last
        done = min(total, number * REVIEWS_PER_STATEMENT)
        progress("storing reviews", done if number < len(slices) else total, total)
    return inserted


def _refused(origin: str, exc: psycopg.Error) -> str:
    """What the database would not take, in words of the source."""
    detail = exc.diag.message_detail or _first_line(exc)
    if exc.diag.constraint_name == "uq_users_email_lower":
        reason = f"another account already has the e-mail of one of its readers ({detail}): change it, then load again"
    elif isinstance(exc, psycopg.errors.ForeignKeyViolation):
        reason = f"a row refers to a book or reader that the source does not have ({detail})"
    else:
        reason = f"the database refused a row: {_first_line(exc)} ({detail})"
    return f"{origin}: nothing was loaded, {reason}".replace("\n", " ")


def _first_line(exc: psycopg.Error) -> str:
    return str(exc).strip().partition("\n")[0]
