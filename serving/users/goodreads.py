"""A Goodreads library becomes ratings: read in a thread, written with three statements however long it is."""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import anyio.to_thread
import psycopg
import structlog

from data.sources.goodreads_export import ExportRefused, ExportRow, author_key, read_export
from serving.kit.auth import CurrentReader
from serving.kit.db import Database, Transaction
from serving.kit.errors import Detail, Invalid, Unauthorized
from serving.users import queries
from serving.users.queries import Candidate

log = structlog.get_logger(__name__)

Answer = Mapping[str, object]
_LONGEST_TITLE: Final = 500  # characters of a title that are repeated in the answer
_STATUSES: Final = ("imported", "updated", "unmatched", "skipped")


class Outcome(NamedTuple):
    """What became of a row of the file."""

    row: int
    title: str
    status: str
    book: uuid.UUID | None = None
    reason: str | None = None

    def shown(self) -> Answer:
        return {
            "row": self.row,
            "title": self.title[:_LONGEST_TITLE],
            "status": self.status,
            "book_id": self.book,
            "reason": self.reason,
        }


class _Shelf:
    """Finds the book of a row: by ISBN, then by title and author; of several the most read."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._by_isbn: dict[str, uuid.UUID] = {}
        self._by_name: dict[tuple[str, str], uuid.UUID] = {}
        for candidate in candidates:  # the most read come first, and stay
            if candidate.isbn is not None:
                self._by_isbn.setdefault(candidate.isbn, candidate.id)
            self._by_name.setdefault((candidate.title_key, author_key(candidate.author)), candidate.id)

    def book(self, row: ExportRow) -> uuid.UUID | None:
        by_isbn = (self._by_isbn.get(isbn) for isbn in row.isbns)
        by_name = (self._by_name.get((title, row.author)) for title in row.titles)
        return next((book for book in (*by_isbn, *by_name) if book is not None), None)


async def bring(database: Database, reader: CurrentReader, content: bytes) -> Answer:
    """Rate the books of the file that the library has, as ``Import``.

    Raises:
        Invalid: the file is no library export.
    """
    try:
        rows = await anyio.to_thread.run_sync(read_export, content, dt.datetime.now(dt.UTC).date())
    except ExportRefused as exc:
        raise Invalid([Detail("file", str(exc), "not_a_goodreads_export")]) from exc
    outcomes = await database.all_or_none(lambda run: _written(run, reader, rows))
    counted = Counter(outcome.status for outcome in outcomes)
    counts = {status: counted[status] for status in _STATUSES}
    log.info("library imported", user_id=str(reader.id), **counts)
    return {"rows": [outcome.shown() for outcome in outcomes], **counts}


async def _written(run: Transaction, reader: CurrentReader, rows: Sequence[ExportRow]) -> list[Outcome]:
    rated = [row for row in rows if row.stars]
    if not rated:
        return [_unread(row) for row in rows]
    found = await queries.candidates(
        run, {isbn for row in rated for isbn in row.isbns}, {title for row in rated for title in row.titles}
    )
    shelf = _Shelf(found)
    chosen: dict[uuid.UUID, ExportRow] = {}
    for row in rated:
        if (book := shelf.book(row)) is not None:
            chosen.setdefault(book, row)
    there = sorted(await queries.still_there(run, chosen)) if chosen else []
    stars, days = [chosen[book].stars or 0 for book in there], [chosen[book].rated_on for book in there]
    try:
        new = await queries.rate(run, reader.id, there, stars, days)
    except psycopg.errors.ForeignKeyViolation as exc:
        raise Unauthorized from exc  # the books are locked: it is the account that was deleted
    first = {book: chosen[book].row for book in there}
    return [_outcome(row, shelf.book(row), first, new) if row.stars else _unread(row) for row in rows]


def _unread(row: ExportRow) -> Outcome:
    reason = "Not rated" if row.stars == 0 else "This row cannot be read: it needs a title and a rating of 0 to 5"
    return Outcome(row.row, row.title, "skipped", reason=reason)


def _outcome(
    row: ExportRow, book: uuid.UUID | None, first: Mapping[uuid.UUID, int], new: frozenset[uuid.UUID]
) -> Outcome:
    if book is None or book not in first:
        return Outcome(row.row, row.title, "unmatched", reason="The library does not have this book")
    if first[book] != row.row:
        return Outcome(row.row, row.title, "skipped", book, f"The same book as row {first[book]}")
    return Outcome(row.row, row.title, "imported" if book in new else "updated", book)
