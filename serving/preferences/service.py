"""What readers say about their recommendations: whom not to listen to, what not to show, how, and what became of it."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Final

import psycopg

from serving.kit import paging
from serving.kit.auth import CurrentReader
from serving.kit.db import Runs, violated
from serving.kit.envelope import json_array
from serving.kit.errors import BookNotFound, NotRated, PageNotFound, Unauthorized
from serving.kit.paging import Page, Paged
from serving.preferences import queries
from serving.preferences.queries import Marks, Settings
from serving.preferences.schemas import Feedback, SettingsChanges
from serving.recommendations.pages import may_be_on_its_way

# Pages are stored in batches, by whichever worker served them: 2.2 s in all, which lets a batch fail twice.
PAUSES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)


async def marked(run: Runs, reader: CurrentReader, marks: Marks, query: Paged) -> Page:
    """Two statements at most."""
    rows = await queries.marked(run, marks, reader.id, limit=query.per_page, offset=query.offset)
    total = rows[0][1] if rows else 0
    if query.offset and not rows:  # a page behind the last one
        total = await queries.count_of_marked(run, marks, reader.id)
    return Page(json_array(text for text, _ in rows), paging.by_page(query, total))


async def mute(run: Runs, reader: CurrentReader, book: uuid.UUID) -> None:
    """Raises BookNotFound; NotRated. Removing the review removes this too."""
    try:
        _own(await queries.mute(run, reader.id, book))
    except psycopg.errors.ForeignKeyViolation as exc:  # deleted while the statement ran
        raise BookNotFound from exc


async def unmute(run: Runs, reader: CurrentReader, book: uuid.UUID) -> None:
    """Raises BookNotFound; NotRated."""
    _own(await queries.unmute(run, reader.id, book))


def _own(is_rated: bool | None) -> None:  # noqa: FBT001  the answer of a query
    if is_rated is None:
        raise BookNotFound
    if not is_rated:
        raise NotRated


async def hide(run: Runs, reader: CurrentReader, book: uuid.UUID) -> None:
    """Raises BookNotFound."""
    try:
        await queries.hide(run, reader.id, book)
    except psycopg.errors.ForeignKeyViolation as exc:
        if violated(exc, "fk_hidden_books_book_id_books"):
            raise BookNotFound from exc
        raise Unauthorized from exc  # the account was deleted since the token was looked at


async def unhide(run: Runs, reader: CurrentReader, book: uuid.UUID) -> None:
    """Raises BookNotFound."""
    if not await queries.unhide(run, reader.id, book):
        raise BookNotFound


def _shown(settings: Settings) -> Mapping[str, object]:
    return settings._asdict()


async def settings(run: Runs, reader: CurrentReader) -> Mapping[str, object]:
    return _shown(await queries.settings(run, reader.id))


async def change_settings(run: Runs, reader: CurrentReader, changes: SettingsChanges) -> Mapping[str, object]:
    try:
        return _shown(await queries.change_settings(run, reader.id, changes.sent()))
    except psycopg.errors.ForeignKeyViolation as exc:
        raise Unauthorized from exc  # the account was deleted since the token was looked at


async def tell(run: Runs, reader: CurrentReader, feedback: Feedback) -> None:
    """Join an event to the reader's own page; a page that was made a moment ago is waited for, others cost no wait.

    Raises:
        PageNotFound: No such page, another reader's, or the book is not on it.
    """
    for pause in (*PAUSES, None):
        try:
            found = await queries.tell(run, reader.id, feedback.page_id, feedback.book_id, feedback.event)
        except psycopg.errors.ForeignKeyViolation as exc:
            raise PageNotFound from exc
        if found.pick:
            return
        if found.page or pause is None or not may_be_on_its_way(feedback.page_id):
            raise PageNotFound
        await asyncio.sleep(pause)
