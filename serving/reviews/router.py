"""HTTP of reviews."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from serving.kit import errors
from serving.kit.auth import SignedIn
from serving.kit.db import DatabaseDep
from serving.kit.docs import answers, failures
from serving.kit.envelope import Envelope, example, success
from serving.kit.idempotency import IdempotencyKey
from serving.kit.paging import by_page
from serving.reviews import service
from serving.reviews.schemas import BookReviewsQuery, OwnReviewsQuery, ReviewChanges, ReviewDraft
from serving.shapes import (
    BOOK_EXAMPLE,
    FULL_REVIEW_EXAMPLE,
    NAMED_REVIEW_EXAMPLE,
    REVIEW_EXAMPLE,
    FullReview,
    NamedReview,
    ReviewWithBook,
)

reviews = APIRouter(prefix="/api/v1", tags=["Reviews"])
_TOKEN_FAILURES = (errors.Unauthorized, errors.TokenExpired, errors.AccountDisabled)
_BODY_FAILURES = (errors.BadRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.Invalid)


@reviews.get(
    "/books/{book_id}/reviews",
    summary="Reviews of a book",
    description="By page number, or onward from `next_cursor` at constant cost however deep.",
    response_model=Envelope[list[NamedReview]],
    responses=answers(
        example([NAMED_REVIEW_EXAMPLE], "Reviews found", by_page(BookReviewsQuery(), 1)),
        errors.BookNotFound,
        errors.Invalid,
    ),
)
async def list_book_reviews(
    book_id: uuid.UUID, query: Annotated[BookReviewsQuery, Query()], database: DatabaseDep
) -> Response:
    page = await service.of_book(database, book_id, query)
    return success(page.entries, "Reviews found", pagination=page.pagination)


@reviews.post(
    "/books/{book_id}/reviews",
    status_code=201,
    summary="Rate a book, with or without words",
    description="Send an `Idempotency-Key`, and the request may be repeated: it is done once and answered alike.",
    response_model=Envelope[FullReview],
    responses=answers(
        example(FULL_REVIEW_EXAMPLE, "Review added"),
        *_TOKEN_FAILURES,
        errors.BookNotFound,
        errors.DuplicateReview,
        errors.IdempotencyConflict,
        *_BODY_FAILURES,
        status=201,
    ),
)
async def create_review(
    book_id: uuid.UUID, draft: ReviewDraft, reader: SignedIn, database: DatabaseDep, key: IdempotencyKey = None
) -> Response:
    answer = await service.add(database, reader, book_id, draft, key)
    return success(answer.data, "Review added", status=answer.status)


@reviews.get(
    "/reviews/{review_id}",
    summary="One review, with its book",
    response_model=Envelope[FullReview],
    responses=answers(example(FULL_REVIEW_EXAMPLE, "Review found"), errors.ReviewNotFound, errors.Invalid),
)
async def get_review(review_id: uuid.UUID, database: DatabaseDep) -> Response:
    return success(await service.one(database, review_id), "Review found")


@reviews.put(
    "/reviews/{review_id}",
    summary="Change my review",
    description="Changes the fields that are sent; `review_text: null` removes the text.",
    response_model=Envelope[FullReview],
    responses=answers(
        example(FULL_REVIEW_EXAMPLE, "Review changed"),
        *_TOKEN_FAILURES,
        errors.Forbidden,
        errors.ReviewNotFound,
        *_BODY_FAILURES,
    ),
)
async def update_review(
    review_id: uuid.UUID, changes: ReviewChanges, reader: SignedIn, database: DatabaseDep
) -> Response:
    return success(await service.change(database, reader, review_id, changes), "Review changed")


@reviews.delete(
    "/reviews/{review_id}",
    status_code=204,
    summary="Delete my review",
    responses=failures(*_TOKEN_FAILURES, errors.Forbidden, errors.ReviewNotFound, errors.Invalid),
)
async def delete_review(review_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    await service.remove(database, reader, review_id)
    return Response(status_code=204)


@reviews.get(
    "/users/reviews",
    summary="My reviews",
    response_model=Envelope[list[ReviewWithBook]],
    responses=answers(
        example([{**REVIEW_EXAMPLE, "book": BOOK_EXAMPLE}], "Reviews found", by_page(OwnReviewsQuery(), 1)),
        *_TOKEN_FAILURES,
        errors.Invalid,
    ),
)
async def list_own_reviews(
    query: Annotated[OwnReviewsQuery, Query()], reader: SignedIn, database: DatabaseDep
) -> Response:
    page = await service.own(database, reader, query)
    return success(page.entries, "Reviews found", pagination=page.pagination)
