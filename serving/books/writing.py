"""Keeping the catalogue: what a librarian does.

Each in a transaction that starts anew after a deadlock: reviews that arrive meanwhile lock the same book.
"""

import contextlib
import uuid
from collections.abc import Iterator, Mapping

import psycopg
import structlog

from data.text import sort_key
from serving.books import queries
from serving.books.schemas import BookChanges, BookDraft
from serving.books.service import Found, one
from serving.kit.db import Database, Runs, violated
from serving.kit.errors import BookNotFound, Detail, Invalid, IsbnTaken

log = structlog.get_logger(__name__)


async def add(database: Database, draft: BookDraft) -> Found:
    """Raises IsbnTaken; Invalid: a genre does not exist."""
    fields = draft.model_dump()
    genres = fields.pop("genre_ids")

    async def work(run: Runs) -> Found:
        book = await queries.insert(run, _with_keys(fields))
        await queries.set_genres(run, book, genres)
        log.info("book added", book_id=str(book))
        return await one(run, book)

    with _refusals():
        return await database.all_or_none(work)


async def change(database: Database, book: uuid.UUID, changes: BookChanges) -> Found:
    """Raises BookNotFound; IsbnTaken; Invalid: a genre does not exist."""
    fields = changes.sent()
    genres = fields.pop("genre_ids", None)

    async def work(run: Runs) -> Found:
        if not await queries.update(run, book, _with_keys(fields)):
            raise BookNotFound
        if genres is not None:
            await queries.set_genres(run, book, genres)
        log.info("book changed", book_id=str(book))
        return await one(run, book)

    with _refusals():
        return await database.all_or_none(work)


async def remove(database: Database, book: uuid.UUID) -> None:
    """With its reviews, favourites and everything else that speaks of it. Raises BookNotFound."""

    async def work(run: Runs) -> bool:
        return await queries.delete(run, book)

    if not await database.all_or_none(work):
        raise BookNotFound
    log.info("book removed", book_id=str(book))


def _with_keys(fields: Mapping[str, object]) -> dict[str, object]:
    keys = {
        f"{name}_key": sort_key(text) if isinstance(text, str) else None
        for name, text in fields.items()
        if name in queries.KEYED
    }
    return {**fields, **keys}


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """The database decides what is unique and what exists, also when two requests arrive at once."""
    try:
        yield
    except psycopg.errors.UniqueViolation as exc:
        if violated(exc, "uq_books_isbn"):
            raise IsbnTaken([Detail("isbn", IsbnTaken.message, "isbn_taken")]) from exc
        raise
    except psycopg.errors.ForeignKeyViolation as exc:
        if violated(exc, "fk_book_genres_genre_id_genres"):
            raise Invalid([Detail("genre_ids", "One of these genres does not exist", "genre_unknown")]) from exc
        raise
