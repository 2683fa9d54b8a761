"""Reviewing books."""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Final

import orjson
import psycopg

from serving.kit import idempotency, paging
from serving.kit.auth import CurrentReader
from serving.kit.db import Database, Runs, Transaction
from serving.kit.envelope import json_array
from serving.kit.errors import (
    ApiError,
    BookNotFound,
    Detail,
    DuplicateReview,
    Forbidden,
    Invalid,
    ReviewNotFound,
    Unauthorized,
)
from serving.kit.idempotency import Answer
from serving.kit.paging import Cursor, Key, Page
from serving.reviews import queries
from serving.reviews.queries import Listed, Listing
from serving.reviews.schemas import BookReviewsQuery, OwnReviewsQuery, ReviewChanges, ReviewDraft, SortBy

MOST_BOOKS_WITH_ONE_TEXT = 3
_CREATED: Final = 201
_REFUSALS: Final[Mapping[str, type[ApiError]]] = {
    "uq_reviews_user_id_book_id": DuplicateReview,
    "fk_reviews_book_id_books": BookNotFound,
    "fk_reviews_user_id_users": Unauthorized,
}


async def add(
    database: Database, reader: CurrentReader, book: uuid.UUID, draft: ReviewDraft, key: str | None = None
) -> Answer:
    """The database decides: one review per reader and book, also when two arrive at once.

    Args:
        database: The review, and what is kept of its key, are one transaction.
        reader: Who writes it.
        book: What it is about.
        draft: What it says.
        key: ``Idempotency-Key``; refusals are kept under it too.

    Raises:
        BookNotFound; DuplicateReview; Invalid: the text is on too many books; IdempotencyConflict; Unauthorized: the
        account was deleted a moment ago.
    """

    async def work(run: Transaction) -> orjson.Fragment:
        if draft.review_text is not None:
            await _not_everywhere(run, reader, draft.review_text, book=book)
        return await _added(run, reader, book, draft)

    if key is None:
        return Answer(_CREATED, await database.all_or_none(work))
    asked = idempotency.asked(reader.id, key, "create_review", str(book), draft.rating, draft.review_text)
    return await idempotency.once(database, asked, _CREATED, work, (BookNotFound, DuplicateReview, Invalid))


async def _not_everywhere(
    run: Transaction,
    reader: CurrentReader,
    text: str,
    *,
    book: uuid.UUID | None = None,
    review: uuid.UUID | None = None,
) -> None:
    await queries.in_turn(run, reader.id)
    if await queries.same_text(run, reader.id, text, book=book, review=review) >= MOST_BOOKS_WITH_ONE_TEXT:
        message = f"You have written this about {MOST_BOOKS_WITH_ONE_TEXT} books already"
        raise Invalid([Detail("review_text", message, "repeated_text")])


async def _added(run: Transaction, reader: CurrentReader, book: uuid.UUID, draft: ReviewDraft) -> orjson.Fragment:
    try:
        review = await queries.insert(run, reader.id, book, draft.rating, draft.review_text)
    except psycopg.errors.IntegrityError as exc:
        refusal = _REFUSALS.get(exc.diag.constraint_name or "")
        if refusal is None:
            raise
        raise refusal from exc
    return await one(run, review)


async def one(run: Runs, review: uuid.UUID) -> orjson.Fragment:
    """Raises ReviewNotFound."""
    text = await queries.one(run, review)
    if text is None:
        raise ReviewNotFound
    return orjson.Fragment(text)


async def change(
    database: Database, reader: CurrentReader, review: uuid.UUID, changes: ReviewChanges
) -> orjson.Fragment:
    """Raises ReviewNotFound; Forbidden: it is somebody else's; Invalid: the text is on too many books."""
    sent = changes.sent()

    async def work(run: Transaction) -> orjson.Fragment:
        if changes.review_text is not None:
            await _not_everywhere(run, reader, changes.review_text, review=review)
        if not await queries.change(run, reader.id, review, sent):
            raise await _why_not(run, review)
        return await one(run, review)

    return await database.all_or_none(work)


async def remove(database: Database, reader: CurrentReader, review: uuid.UUID) -> None:
    """Raises ReviewNotFound; Forbidden: it is somebody else's."""

    async def work(run: Transaction) -> None:
        if not await queries.remove(run, reader.id, review):
            raise await _why_not(run, review)

    await database.all_or_none(work)


async def _why_not(run: Runs, review: uuid.UUID) -> Forbidden | ReviewNotFound:
    return Forbidden() if await queries.exists(run, review) else ReviewNotFound()


async def of_book(run: Database, book: uuid.UUID, query: BookReviewsQuery) -> Page:
    """One page of the list, or its continuation behind a cursor. Two statements at most.

    Raises:
        BookNotFound; Invalid: ``after`` is not a cursor of this list.
    """
    listing = Listing(query.sort_by, query.sort_order, query.rating_filter is not None)
    if query.after is not None:
        return await _continued(run, book, query, listing)
    rows = await queries.page(run, listing, book, query.rating_filter, limit=query.per_page, offset=query.offset)
    total = rows[0].total if rows else await queries.total(run, book, query.rating_filter)
    if total is None:
        raise BookNotFound
    following = _behind(query, rows[-1]) if rows and query.offset + len(rows) < total else None
    return Page(json_array(row.json for row in rows), paging.by_page(query, total, following))


async def _continued(run: Database, book: uuid.UUID, query: BookReviewsQuery, listing: Listing) -> Page:
    place = _place(paging.decode(query.after or "", _sort(query)), query.sort_by)
    limit = query.per_page + 1
    rows = await queries.after(run, listing, book, query.rating_filter, limit=limit, place=place)
    if not rows and await queries.total(run, book, None) is None:
        raise BookNotFound
    shown, more = rows[: query.per_page], rows[query.per_page :]
    following = _behind(query, shown[-1]) if more else None
    return Page(json_array(row.json for row in shown), paging.by_cursor(query, following))


def _sort(query: BookReviewsQuery) -> str:
    return f"reviews.{query.sort_by}.{query.sort_order}"


def _behind(query: BookReviewsQuery, row: Listed) -> str:
    key: Key = row.key.isoformat() if isinstance(row.key, dt.datetime) else row.key
    return paging.encode(Cursor(sort=_sort(query), key=key, id=str(row.id)))


def _stars(key: Key) -> int:
    if isinstance(key, bool) or not isinstance(key, int) or key not in range(1, 6):
        raise ValueError
    return key


_READ: Final[Mapping[SortBy, Callable[[Key], object]]] = {
    "created_at": paging.moment,
    "updated_at": paging.moment,
    "rating": _stars,
}


def _place(cursor: Cursor, sort: SortBy) -> tuple[object, uuid.UUID]:
    """Key and id behind which the list goes on; anybody can write a cursor, so nothing in it is believed."""
    try:
        return _READ[sort](cursor.key), uuid.UUID(cursor.id)
    except ValueError as exc:
        raise paging.bad_cursor() from exc


async def own(run: Database, reader: CurrentReader, query: OwnReviewsQuery) -> Page:
    rows = await queries.of_reader(
        run, reader.id, query.sort_by, query.sort_order, limit=query.per_page, offset=query.offset
    )
    total = rows[0][1] if rows else 0
    if query.offset and not rows:  # a page behind the last one
        total = await queries.count_of_reader(run, reader.id)
    return Page(json_array(text for text, _ in rows), paging.by_page(query, total))
