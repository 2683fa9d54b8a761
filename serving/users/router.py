"""HTTP of one's own account."""

import uuid
from typing import Annotated

from fastapi import Form, Query
from starlette.responses import Response

from serving.auth.schemas import USER_EXAMPLE, User
from serving.auth.service import shown
from serving.kit import errors
from serving.kit.auth import PasswordsDep, SignedIn
from serving.kit.db import DatabaseDep, TransactionDep
from serving.kit.docs import answers, failures, router
from serving.kit.envelope import Envelope, example, success
from serving.kit.paging import Paged, by_page
from serving.kit.throttle import ImportBudget
from serving.shapes import BOOK_EXAMPLE, FavoriteBook
from serving.users import goodreads, service
from serving.users.schemas import (
    EXPORT_EXAMPLE,
    IMPORT_EXAMPLE,
    LARGEST_EXPORT,
    STATS_EXAMPLE,
    Farewell,
    GoodreadsFile,
    Import,
    IsFavorite,
    ProfileChanges,
    Stats,
)

users = router("/api/v1/users", "My account")
IMPORT_PATH = "/api/v1/users/import/goodreads"
_TOKEN = (errors.Unauthorized, errors.TokenExpired, errors.AccountDisabled)
_BODY = (errors.BadRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.Invalid)
_OF_A_BOOK = (*_TOKEN, errors.BookNotFound, errors.Invalid)


@users.get(
    "/profile",
    summary="My profile",
    response_model=Envelope[User],
    responses=answers(example(USER_EXAMPLE, "Profile found"), *_TOKEN),
)
async def get_profile(reader: SignedIn) -> Response:
    return success(shown(reader), "Profile found")


@users.put(
    "/profile",
    summary="Change my name or my e-mail",
    description="Changes the fields that are sent.",
    response_model=Envelope[User],
    responses=answers(example(USER_EXAMPLE, "Profile changed"), *_TOKEN, errors.EmailTaken, *_BODY),
)
async def change_profile(changes: ProfileChanges, reader: SignedIn, run: TransactionDep) -> Response:
    return success(await service.change(run, reader, changes), "Profile changed")


@users.delete(
    "/profile",
    status_code=204,
    summary="Delete my account",
    description="Reviews, favourites and everything else of the account go with it, at once and for good.",
    responses={204: {"description": "The account is gone"}, **failures(*_TOKEN, errors.WrongPassword, *_BODY)},
)
async def delete_profile(
    farewell: Farewell, reader: SignedIn, database: DatabaseDep, passwords: PasswordsDep
) -> Response:
    await service.delete(database, reader, farewell.password, passwords)
    return Response(status_code=204)


@users.get(
    "/stats",
    summary="My reading in numbers",
    response_model=Envelope[Stats],
    responses=answers(example(STATS_EXAMPLE, "Statistics made"), *_TOKEN),
)
async def get_stats(reader: SignedIn, database: DatabaseDep) -> Response:
    return success(await service.stats(database, reader), "Statistics made")


@users.get(
    "/favorites",
    summary="My favourite books, newest first",
    response_model=Envelope[list[FavoriteBook]],
    responses=answers(
        example(
            [{**BOOK_EXAMPLE, "favorited_at": "2026-11-22T20:15:22.123Z"}], "Favourites found", by_page(Paged(), 1)
        ),
        *_TOKEN,
        errors.Invalid,
    ),
)
async def list_favorites(query: Annotated[Paged, Query()], reader: SignedIn, database: DatabaseDep) -> Response:
    page = await service.favorites(database, reader, query)
    return success(page.entries, "Favourites found", pagination=page.pagination)


@users.get(
    "/favorites/{book_id}",
    summary="Is this book a favourite of mine?",
    response_model=Envelope[IsFavorite],
    responses=answers(example({"is_favorite": True}, "Favourite looked up"), *_OF_A_BOOK),
)
async def get_favorite(book_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    return success({"is_favorite": await service.is_favorite(database, reader, book_id)}, "Favourite looked up")


@users.post(
    "/favorites/{book_id}",
    status_code=201,
    summary="Make this book a favourite of mine",
    response_model=Envelope[IsFavorite],
    responses={
        **answers(example({"is_favorite": True}, "Favourite added"), *_OF_A_BOOK, status=201),
        200: {
            "model": Envelope[IsFavorite],
            "description": "It was a favourite already",
            "content": {"application/json": {"example": example({"is_favorite": True}, "A favourite already")}},
        },
    },
)
async def add_favorite(book_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    if await service.add_favorite(database, reader, book_id):
        return success({"is_favorite": True}, "Favourite added", status=201)
    return success({"is_favorite": True}, "A favourite already")


@users.delete(
    "/favorites/{book_id}",
    status_code=204,
    summary="This book is no favourite of mine",
    responses={204: {"description": "It is none, or none any more"}, **failures(*_OF_A_BOOK)},
)
async def drop_favorite(book_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    await service.drop_favorite(database, reader, book_id)
    return Response(status_code=204)


@users.get(
    "/export",
    summary="Everything the service holds about me",
    description="One JSON file, as an attachment and without the envelope.",
    responses=answers(EXPORT_EXAMPLE, *_TOKEN, description="The file"),
)
async def export_profile(reader: SignedIn, database: DatabaseDep) -> Response:
    return Response(
        await service.exported(database, reader),
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="brs-export.json"'},
    )


@users.post(
    "/import/goodreads",
    summary="Bring my ratings from Goodreads",
    description=(
        "The CSV file of Goodreads' own library export. Books are found by ISBN, then by title and author. A book that"
        " is rated here already takes the stars of the file. Rows without a rating are skipped."
    ),
    response_model=Envelope[Import],
    responses=answers(example(IMPORT_EXAMPLE, "Library imported"), *_TOKEN, *_BODY),
    dependencies=[ImportBudget],
)
async def import_goodreads(
    sent: Annotated[GoodreadsFile, Form(media_type="multipart/form-data")], reader: SignedIn, database: DatabaseDep
) -> Response:
    content = await sent.file.read(LARGEST_EXPORT + 1)
    if len(content) > LARGEST_EXPORT:
        raise errors.PayloadTooLarge
    return success(await goodreads.bring(database, reader, content), "Library imported")
