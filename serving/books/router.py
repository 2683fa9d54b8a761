"""HTTP of books."""

import uuid
from typing import Annotated

from fastapi import Header, Query
from starlette.responses import Response

from serving.books import service
from serving.books.schemas import BooksQuery
from serving.kit import errors
from serving.kit.db import DatabaseDep
from serving.kit.docs import answers, router
from serving.kit.envelope import Envelope, example, success
from serving.kit.paging import by_page
from serving.shapes import BOOK_DETAIL_EXAMPLE, BOOK_EXAMPLE, Book, BookDetail

books = router("/api/v1/books", "Books")
_REVALIDATE = "no-cache"  # a client may keep the book, but asks each time whether it is still the same


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
    headers = {"ETag": found.etag, "Cache-Control": _REVALIDATE}
    if _is_known(found.etag, if_none_match):
        return Response(status_code=304, headers=headers)
    return success(found.book, "Book found", headers=headers)
