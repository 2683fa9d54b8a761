"""HTTP of genres."""

import uuid

from starlette.responses import Response

from serving.genres import service
from serving.genres.schemas import GenreChanges, GenreDraft
from serving.kit import errors
from serving.kit.auth import Admin
from serving.kit.db import DatabaseDep, TransactionDep
from serving.kit.docs import answers, failures, router
from serving.kit.envelope import Envelope, example, success
from serving.shapes import GENRE_EXAMPLE, CountedGenre, Genre

genres = router("/api/v1/genres", "Genres")
_NOT_ALLOWED = (errors.Unauthorized, errors.TokenExpired, errors.Forbidden, errors.AccountDisabled)
_BAD_INPUT = (errors.BadRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.Invalid)


@genres.get(
    "",
    summary="All genres by name, with their numbers of books",
    response_model=Envelope[list[CountedGenre]],
    responses=answers(example([{**GENRE_EXAMPLE, "book_count": 431}], "Genres found")),
)
async def list_genres(database: DatabaseDep) -> Response:
    return success(await service.everything(database), "Genres found")


@genres.post(
    "",
    status_code=201,
    summary="Add a genre",
    response_model=Envelope[Genre],
    responses=answers(
        example(GENRE_EXAMPLE, "Genre added"), *_NOT_ALLOWED, errors.GenreNameTaken, *_BAD_INPUT, status=201
    ),
)
async def create_genre(draft: GenreDraft, _: Admin, run: TransactionDep) -> Response:
    return success(await service.add(run, draft), "Genre added", status=201)


@genres.put(
    "/{genre_id}",
    summary="Change a genre",
    description="Changes the fields that are sent; a description of `null` goes away.",
    response_model=Envelope[Genre],
    responses=answers(
        example(GENRE_EXAMPLE, "Genre changed"), *_NOT_ALLOWED, errors.GenreNotFound, errors.GenreNameTaken, *_BAD_INPUT
    ),
)
async def update_genre(genre_id: uuid.UUID, changes: GenreChanges, _: Admin, run: TransactionDep) -> Response:
    return success(await service.change(run, genre_id, changes), "Genre changed")


@genres.delete(
    "/{genre_id}",
    status_code=204,
    summary="Remove a genre; its books stay",
    responses={
        204: {"description": "The genre is gone"},
        **failures(*_NOT_ALLOWED, errors.GenreNotFound, errors.Invalid),
    },
)
async def delete_genre(genre_id: uuid.UUID, _: Admin, database: DatabaseDep) -> Response:
    await service.remove(database, genre_id)
    return Response(status_code=204)
