"""A reader's own account, favourites and numbers."""

import uuid
from collections.abc import Mapping

import orjson
import psycopg
import structlog

from serving.auth.service import shown, verified
from serving.kit import paging
from serving.kit.auth import CurrentReader, Passwords
from serving.kit.db import Database, Runs, Transaction, violated
from serving.kit.envelope import json_array
from serving.kit.errors import BookNotFound, EmailTaken, Unauthorized
from serving.kit.paging import Page, Paged
from serving.users import queries
from serving.users.export import export
from serving.users.schemas import ProfileChanges

log = structlog.get_logger(__name__)


async def change(run: Transaction, reader: CurrentReader, changes: ProfileChanges) -> Mapping[str, object]:
    """The ``User`` after the change. Raises EmailTaken: the database decides."""
    try:
        account = await queries.change(run, reader.id, changes.sent())
    except psycopg.errors.UniqueViolation as exc:
        if violated(exc, "uq_users_email_lower"):
            raise EmailTaken from exc
        raise
    if account is None:
        raise Unauthorized  # deleted since the token was looked at
    return shown(account)


async def delete(database: Database, reader: CurrentReader, password: str, passwords: Passwords) -> None:
    """The account and all that belongs to it; the averages of its books follow. Raises WrongPassword."""
    await verified(database, reader, password, passwords)
    await database.all_or_none(lambda run: queries.delete(run, reader.id))
    log.info("account deleted", user_id=str(reader.id))


async def stats(run: Runs, reader: CurrentReader) -> orjson.Fragment:
    text = await queries.stats(run, reader.id)
    if text is None:
        raise Unauthorized
    return orjson.Fragment(text)


async def exported(run: Runs, reader: CurrentReader) -> str:
    text = await export(run, reader.id)
    if text is None:
        raise Unauthorized
    return text


async def favorites(run: Runs, reader: CurrentReader, query: Paged) -> Page:
    """Two statements at most."""
    rows = await queries.favorites(run, reader.id, limit=query.per_page, offset=query.offset)
    total = rows[0][1] if rows else 0
    if query.offset and not rows:  # a page behind the last one
        total = await queries.count_of_favorites(run, reader.id)
    return Page(json_array(text for text, _ in rows), paging.by_page(query, total))


async def is_favorite(run: Runs, reader: CurrentReader, book: uuid.UUID) -> bool:
    """Raises BookNotFound."""
    known = await queries.is_favorite(run, reader.id, book)
    if known is None:
        raise BookNotFound
    return known


async def add_favorite(run: Runs, reader: CurrentReader, book: uuid.UUID) -> bool:
    """Whether it was none before. Raises BookNotFound."""
    try:
        return await queries.add_favorite(run, reader.id, book)
    except psycopg.errors.ForeignKeyViolation as exc:
        if violated(exc, "fk_favorites_book_id_books"):
            raise BookNotFound from exc
        raise Unauthorized from exc  # the account was deleted since the token was looked at


async def drop_favorite(run: Runs, reader: CurrentReader, book: uuid.UUID) -> None:
    """Raises BookNotFound."""
    if not await queries.drop_favorite(run, reader.id, book):
        raise BookNotFound
