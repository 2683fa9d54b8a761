"""HTTP of reviews."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from serving.kit import errors
from serving.kit.auth import SignedIn
from serving.kit.db import DatabaseDep, TransactionDep
from serving.kit.docs import answers
from serving.kit.envelope import Envelope, example, success
from serving.kit.paging import by_page
from serving.reviews import service
from serving.reviews.schemas import OwnReviewsQuery, ReviewDraft
from serving.shapes import BOOK_EXAMPLE, FULL_REVIEW_EXAMPLE, REVIEW_EXAMPLE, FullReview, ReviewWithBook

reviews = APIRouter(prefix="/api/v1", tags=["Reviews"])
_TOKEN_FAILURES = (errors.Unauthorized, errors.TokenExpired, errors.AccountDisabled)


@reviews.post(
    "/books/{book_id}/reviews",
    status_code=201,
    summary="Rate a book, with or without words",
    response_model=Envelope[FullReview],
    responses=answers(
        example(FULL_REVIEW_EXAMPLE, "Review added"),
        errors.BadRequest,
        *_TOKEN_FAILURES,
        errors.BookNotFound,
        errors.DuplicateReview,
        errors.PayloadTooLarge,
        errors.UnsupportedMediaType,
        errors.Invalid,
        status=201,
    ),
)
async def create_review(book_id: uuid.UUID, draft: ReviewDraft, reader: SignedIn, run: TransactionDep) -> Response:
    return success(await service.add(run, reader, book_id, draft), "Review added", status=201)


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
