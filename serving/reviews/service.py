"""Reviewing books."""

import uuid

import orjson
import psycopg

from serving.kit import paging
from serving.kit.auth import CurrentReader
from serving.kit.db import Database, Transaction, violated
from serving.kit.envelope import json_array
from serving.kit.errors import BookNotFound, DuplicateReview
from serving.kit.paging import Page
from serving.reviews import queries
from serving.reviews.schemas import OwnReviewsQuery, ReviewDraft


async def add(run: Transaction, reader: CurrentReader, book: uuid.UUID, draft: ReviewDraft) -> orjson.Fragment:
    """The database decides: one review per reader and book, also when two arrive at once.

    Raises:
        BookNotFound; DuplicateReview.
    """
    try:
        review = await queries.insert(run, reader.id, book, draft.rating, draft.review_text)
    except psycopg.errors.UniqueViolation as exc:
        if violated(exc, "uq_reviews_user_id_book_id"):
            raise DuplicateReview from exc
        raise
    except psycopg.errors.ForeignKeyViolation as exc:
        if violated(exc, "fk_reviews_book_id_books"):
            raise BookNotFound from exc
        raise
    text = await queries.one(run, review)
    if text is None:
        raise BookNotFound  # somebody deleted the book between the two statements
    return orjson.Fragment(text)


async def own(run: Database, reader: CurrentReader, query: OwnReviewsQuery) -> Page:
    rows = await queries.of_reader(
        run, reader.id, query.sort_by, query.sort_order, limit=query.per_page, offset=query.offset
    )
    total = rows[0][1] if rows else 0
    if query.offset and not rows:  # a page behind the last one
        total = await queries.count_of_reader(run, reader.id)
    return Page(json_array(text for text, _ in rows), paging.by_page(query, total))
