"""HTTP of books."""

import uuid
from typing import Annotated

from fastapi import Header, Query
from starlette.responses import Response

from serving.books import search, service, writing
from serving.books.schemas import BookChanges, BookDraft, BooksQuery, GenreProposal, SearchQuery
from serving.books.service import Found
from serving.kit import errors
from serving.kit.auth import Admin
from serving.kit.db import DatabaseDep
from serving.kit.docs import answers, failures, router
from serving.kit.envelope import Envelope, example, success
from serving.kit.paging import by_page
from serving.shapes import BOOK_DETAIL_EXAMPLE, BOOK_EXAMPLE, Book, BookDetail

books = router("/api/v1/books", "Books")
_REVALIDATE = "no-cache"  # a client may keep the book, but asks each time whether it is still the same


_NEW_BOOK_EXAMPLE = {
    **BOOK_DETAIL_EXAMPLE,
    "average_rating": None,
    "total_reviews": 0,
    "rating_distribution": {str(stars): 0 for stars in range(1, 6)},
    "recent_reviews": [],
}
_NOT_ALLOWED = (errors.Unauthorized, errors.TokenExpired, errors.Forbidden, errors.AccountDisabled)
_BAD_INPUT = (errors.BadRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.Invalid)


def _headers(found: Found) -> dict[str, str]:
    return {"ETag": found.etag, "Cache-Control": _REVALIDATE}


def _is_known(etag: str, known: str | None) -> bool:
    """If-None-Match by weak comparison (RFC 9110 section 13.1.2)."""
    if known is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


@books.get(
    "",
    summary="List books",
    description="By page number, or onward from `next_cursor` at constant cost however deep.",
    response_model=Envelope[list[Book]],
    responses=answers(
        example([BOOK_EXAMPLE], "Books found", by_page(BooksQuery(), 1)), errors.GenreNotFound, errors.Invalid
    ),
)
async def list_books(query: Annotated[BooksQuery, Query()], database: DatabaseDep) -> Response:
    page = await service.page(database, query)
    return success(page.entries, "Books found", pagination=page.pagination)


@books.get(
    "/search",
    summary="Search books, best first",
    description="Words of title, author, series and description in any order, beginnings of words, and an ISBN exactly."
    " When no title, author or series has all the words, books with similar words follow."
    " Of words that more than a thousand books have, a thousand are listed and counted.",
    response_model=Envelope[list[Book]],
    responses=answers(
        example([BOOK_EXAMPLE], "Books found", by_page(BooksQuery(), 1)), errors.GenreNotFound, errors.Invalid
    ),
)
async def search_books(query: Annotated[SearchQuery, Query()], database: DatabaseDep) -> Response:
    page = await search.page(database, query)
    return success(page.entries, "Books found", pagination=page.pagination)


@books.get(
    "/{book_id}",
    summary="One book, with its rating distribution and newest reviews",
    description="Send the `ETag` back as `If-None-Match` and get 304 while nothing has changed.",
    response_model=Envelope[BookDetail],
    responses={
        **answers(example(BOOK_DETAIL_EXAMPLE, "Book found"), errors.BookNotFound, errors.Invalid),
        304: {"description": "Nothing has changed since the answer with this ETag"},
    },
)
async def get_book(
    book_id: uuid.UUID, database: DatabaseDep, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    found = await service.one(database, book_id)
    headers = _headers(found)
    if _is_known(found.etag, if_none_match):
        return Response(status_code=304, headers=headers)
    return success(found.book, "Book found", headers=headers)


@books.get(
    "/{book_id}/genre-proposals",
    summary="Genres that the model thinks likely for a book without any, best first",
    description="Made by the pipeline. To accept one, send it among the `genre_ids` of `PUT /api/v1/books/{book_id}`;"
    " what the book has is no longer proposed. Empty when the model is not sure of any.",
    response_model=Envelope[list[GenreProposal]],
    responses=answers(
        example([{"genre": BOOK_EXAMPLE["genres"][0], "probability": 0.83}], "Genres proposed"),
        *_NOT_ALLOWED,
        errors.BookNotFound,
        errors.Invalid,
    ),
)
async def list_genre_proposals(book_id: uuid.UUID, _: Admin, database: DatabaseDep) -> Response:
    return success(await service.genre_proposals(database, book_id), "Genres proposed")


@books.post(
    "",
    status_code=201,
    summary="Add a book",
    response_model=Envelope[BookDetail],
    responses=answers(
        example(_NEW_BOOK_EXAMPLE, "Book added"), *_NOT_ALLOWED, errors.IsbnTaken, *_BAD_INPUT, status=201
    ),
)
async def create_book(draft: BookDraft, _: Admin, database: DatabaseDep) -> Response:
    found = await writing.add(database, draft)
    return success(found.book, "Book added", status=201, headers=_headers(found))


@books.put(
    "/{book_id}",
    summary="Change a book",
    description="Changes the fields that are sent; `null` empties one that may be empty.",
    response_model=Envelope[BookDetail],
    responses=answers(
        example(BOOK_DETAIL_EXAMPLE, "Book changed"), *_NOT_ALLOWED, errors.BookNotFound, errors.IsbnTaken, *_BAD_INPUT
    ),
)
async def update_book(book_id: uuid.UUID, changes: BookChanges, _: Admin, database: DatabaseDep) -> Response:
    found = await writing.change(database, book_id, changes)
    return success(found.book, "Book changed", headers=_headers(found))


@books.delete(
    "/{book_id}",
    status_code=204,
    summary="Remove a book, with its reviews",
    responses={
        204: {"description": "The book is gone"},
        **failures(*_NOT_ALLOWED, errors.BookNotFound, errors.Invalid),
    },
)
async def delete_book(book_id: uuid.UUID, _: Admin, database: DatabaseDep) -> Response:
    await writing.remove(database, book_id)
    return Response(status_code=204)
