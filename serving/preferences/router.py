"""HTTP of what readers say about their recommendations."""

import uuid
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from serving.kit import errors
from serving.kit.auth import SignedIn
from serving.kit.db import DatabaseDep
from serving.kit.docs import answers, failures, router
from serving.kit.envelope import Envelope, example, success
from serving.kit.paging import Paged, by_page
from serving.preferences import service
from serving.preferences.schemas import (
    FEEDBACK_EXAMPLE,
    SETTINGS_EXAMPLE,
    Feedback,
    ReaderSettings,
    SettingsChanges,
)
from serving.shapes import BOOK_EXAMPLE, Book

preferences = router("/api/v1/recommendations", "Recommendations")
_TOKEN = (errors.Unauthorized, errors.TokenExpired, errors.AccountDisabled)
_BODY = (errors.BadRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType, errors.Invalid)
_OF_A_BOOK = (*_TOKEN, errors.BookNotFound, errors.Invalid)
_OF_MY_BOOK = (*_OF_A_BOOK, errors.NotRated)


@preferences.get(
    "/muted",
    summary="Books of mine that do not speak for me, the latest first",
    response_model=Envelope[list[Book]],
    responses=answers(example([BOOK_EXAMPLE], "Muted books found", by_page(Paged(), 1)), *_TOKEN, errors.Invalid),
)
async def list_muted(query: Annotated[Paged, Query()], reader: SignedIn, database: DatabaseDep) -> Response:
    page = await service.marked(database, reader, "muted", query)
    return success(page.entries, "Muted books found", pagination=page.pagination)


@preferences.put(
    "/muted/{book_id}",
    status_code=204,
    summary="Do not judge me by this book of mine",
    description="It shapes no recommendation any more, from the next one on. Removing its review removes this too.",
    responses={204: {"description": "It does not speak for you"}, **failures(*_OF_MY_BOOK)},
)
async def mute_book(book_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    await service.mute(database, reader, book_id)
    return Response(status_code=204)


@preferences.delete(
    "/muted/{book_id}",
    status_code=204,
    summary="This book of mine speaks for me again",
    responses={204: {"description": "It speaks for you"}, **failures(*_OF_MY_BOOK)},
)
async def unmute_book(book_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    await service.unmute(database, reader, book_id)
    return Response(status_code=204)


@preferences.get(
    "/hidden",
    summary="Books that I never want to be shown, the latest first",
    response_model=Envelope[list[Book]],
    responses=answers(example([BOOK_EXAMPLE], "Hidden books found", by_page(Paged(), 1)), *_TOKEN, errors.Invalid),
)
async def list_hidden(query: Annotated[Paged, Query()], reader: SignedIn, database: DatabaseDep) -> Response:
    page = await service.marked(database, reader, "hidden", query)
    return success(page.entries, "Hidden books found", pagination=page.pagination)


@preferences.put(
    "/hidden/{book_id}",
    status_code=204,
    summary="Never show me this book, in any recommendation",
    responses={204: {"description": "It is hidden"}, **failures(*_OF_A_BOOK)},
)
async def hide_book(book_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    await service.hide(database, reader, book_id)
    return Response(status_code=204)


@preferences.delete(
    "/hidden/{book_id}",
    status_code=204,
    summary="This book may be shown again",
    responses={204: {"description": "It may be shown"}, **failures(*_OF_A_BOOK)},
)
async def unhide_book(book_id: uuid.UUID, reader: SignedIn, database: DatabaseDep) -> Response:
    await service.unhide(database, reader, book_id)
    return Response(status_code=204)


@preferences.get(
    "/settings",
    summary="How I want to be recommended to",
    response_model=Envelope[ReaderSettings],
    responses=answers(example(SETTINGS_EXAMPLE, "Settings found"), *_TOKEN),
)
async def get_settings(reader: SignedIn, database: DatabaseDep) -> Response:
    return success(await service.settings(database, reader), "Settings found")


@preferences.put(
    "/settings",
    summary="Change how I want to be recommended to",
    description="Changes the fields that are sent; a diversity of `null` takes the wish back.",
    response_model=Envelope[ReaderSettings],
    responses=answers(example(SETTINGS_EXAMPLE, "Settings changed"), *_TOKEN, *_BODY),
)
async def change_settings(changes: SettingsChanges, reader: SignedIn, database: DatabaseDep) -> Response:
    return success(await service.change_settings(database, reader, changes), "Settings changed")


@preferences.post(
    "/feedback",
    status_code=202,
    summary="What I did with a book that was recommended to me",
    description="Joins a page that was served to the caller, within 90 days. The same event sent twice counts once.",
    response_model=Envelope[Feedback],
    responses=answers(example(FEEDBACK_EXAMPLE, "Feedback taken"), *_TOKEN, errors.PageNotFound, *_BODY, status=202),
)
async def give_feedback(feedback: Feedback, reader: SignedIn, database: DatabaseDep) -> Response:
    await service.tell(database, reader, feedback)
    return success(feedback.model_dump(), "Feedback taken", status=202)
