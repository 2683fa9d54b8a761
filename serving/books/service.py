"""Finding books."""

import datetime as dt
import decimal
import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import orjson

from data.text import sort_key
from serving.books import queries
from serving.books.queries import Listed, Listing
from serving.books.schemas import BooksQuery, SortBy
from serving.kit import paging
from serving.kit.db import Database, Runs
from serving.kit.envelope import json_array
from serving.kit.errors import BookNotFound, GenreNotFound
from serving.kit.paging import Cursor, Key, Page

_FILTERS: Final = ("genre_id", "author", "min_rating", "max_rating", "published_after", "published_before")
_LARGEST_INTEGER: Final = 2**31 - 1


class Found(NamedTuple):
    book: orjson.Fragment
    etag: str


async def page(run: Database, query: BooksQuery) -> Page:
    """One page of the list, or its continuation behind a cursor. Two statements at most.

    Raises:
        GenreNotFound: there is no genre ``genre_id``; Invalid: ``after`` is not a cursor of this list.
    """
    params: dict[str, object] = {name: value for name in _FILTERS if (value := getattr(query, name)) is not None}
    if query.author is not None:
        params["author"] = _contains(sort_key(query.author))
    listing = Listing(query.sort_by, query.sort_order, frozenset(params))
    if query.after is not None:
        return await _continued(run, query, listing, params)
    rows = await queries.page(run, listing, params, query.per_page, query.offset)
    total = rows[0].total if rows else await _total_of_nothing(run, query, listing, params)
    seen = query.offset + len(rows)
    following = _behind(query, rows[-1]) if rows and total is not None and seen < total else None
    return Page(json_array(row.json for row in rows), paging.by_page(query, total or 0, following))


async def _continued(run: Database, query: BooksQuery, listing: Listing, params: Mapping[str, object]) -> Page:
    cursor = paging.decode(query.after or "", _sort(query))
    key, last = _place(cursor, query.sort_by)
    rows = await queries.after(run, listing, params, query.per_page + 1, key=key, last=last)
    if not rows:
        await _genre_or_404(run, query)
    shown, more = rows[: query.per_page], rows[query.per_page :]
    following = _behind(query, shown[-1]) if more else None
    return Page(json_array(row.json for row in shown), paging.by_cursor(query, following))


async def _total_of_nothing(run: Runs, query: BooksQuery, listing: Listing, params: Mapping[str, object]) -> int:
    await _genre_or_404(run, query)
    return await queries.count(run, listing, params) if query.offset else 0


async def _genre_or_404(run: Runs, query: BooksQuery) -> None:
    if query.genre_id is not None and not await queries.genre_exists(run, query.genre_id):
        raise GenreNotFound


def _contains(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _sort(query: BooksQuery) -> str:
    return f"books.{query.sort_by}.{query.sort_order}"


def _behind(query: BooksQuery, row: Listed) -> str:
    key = row.key
    told: Key = key if isinstance(key, str | int) or key is None else str(key)
    return paging.encode(Cursor(sort=_sort(query), key=told, id=str(row.id)))


def _whole(key: Key) -> int:
    if isinstance(key, bool) or not isinstance(key, int) or abs(key) > _LARGEST_INTEGER:
        raise ValueError
    return key


def _number(key: Key) -> decimal.Decimal:
    number = decimal.Decimal(str(key))
    if not number.is_finite() or abs(number) > 10:  # noqa: PLR2004  averages are 1..5
        raise ValueError
    return number


def _text(key: Key) -> str:
    if not isinstance(key, str) or "\x00" in key:
        raise ValueError
    key.encode()  # a lone surrogate is no text that Postgres takes
    return key


_READ: Final[Mapping[SortBy, Callable[[Key], object]]] = {
    "title": _text,
    "author": _text,
    "average_rating": _number,
    "total_reviews": _whole,
    "publication_date": lambda key: dt.date.fromisoformat(str(key)),
    "created_at": paging.moment,
}


def _place(cursor: Cursor, sort: SortBy) -> tuple[object, uuid.UUID]:
    """Key and id behind which the list goes on; anybody can write a cursor, so nothing in it is believed."""
    try:
        last = uuid.UUID(cursor.id)
        if cursor.key is None and queries.SORTS[sort].nullable:
            return None, last
        return _READ[sort](cursor.key), last
    except (ValueError, ArithmeticError) as exc:
        raise paging.bad_cursor() from exc


async def one(run: Runs, book: uuid.UUID) -> Found:
    """Raises BookNotFound."""
    text = await queries.one(run, book)
    if text is None:
        raise BookNotFound
    # Weak: the envelope around the book differs from answer to answer.
    return Found(orjson.Fragment(text), f'W/"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"')


async def genre_proposals(run: Runs, book: uuid.UUID) -> orjson.Fragment:
    """What the genre model proposed for the book, best first. Raises BookNotFound."""
    proposed = await queries.genre_proposals(run, book)
    if not proposed and not await queries.exists(run, book):
        raise BookNotFound
    return json_array(proposed)
