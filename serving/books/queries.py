"""Books in Postgres."""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import functools
import uuid
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from serving.books.schemas import SortBy
from serving.kit.db import Runs
from serving.kit.fields import SortOrder
from serving.shapes import BOOK_DETAIL_SQL, BOOK_SQL


class Column(NamedTuple):
    name: str
    nullable: bool


SORTS: Final[Mapping[SortBy, Column]] = {
    "title": Column("title_key", nullable=False),
    "author": Column("author_key", nullable=False),
    "average_rating": Column("average_rating", nullable=True),
    "total_reviews": Column("total_reviews", nullable=False),
    "publication_date": Column("publication_date", nullable=True),
    "created_at": Column("created_at", nullable=False),
}
FILTERS: Final = {
    "genre_id": "EXISTS (SELECT 1 FROM book_genres bg WHERE bg.book_id = b.id AND bg.genre_id = %(genre_id)s)",
    "author": "b.author_key LIKE %(author)s",
    "min_rating": "b.average_rating >= %(min_rating)s::numeric",
    "max_rating": "b.average_rating <= %(max_rating)s::numeric",
    "published_after": "b.publication_date >= %(published_after)s",
    "published_before": "b.publication_date <= %(published_before)s",
}
WRITABLE: Final = (
    "title", "author", "isbn", "description", "cover_image_url", "publication_date", "series", "series_position",
)  # fmt: skip
KEYED: Final = frozenset({"title", "author", "series", "description"})  # each with a ``…_key`` of ``data.text``


class Listed(NamedTuple):
    """One entry: its id, its sort key as Postgres gives it, its JSON, and how many entries there are over all pages."""

    id: uuid.UUID
    key: object
    json: str
    total: int | None


class Listing(NamedTuple):
    """What decides the text of the statement: the order, and which filters are used."""

    sort: SortBy
    order: SortOrder
    filters: frozenset[str]

    def where(self, *more: str) -> str:
        conditions = [*(sql for name, sql in FILTERS.items() if name in self.filters), *more]
        return "WHERE " + " AND ".join(conditions) if conditions else ""

    def order_by(self) -> str:
        column = SORTS[self.sort]
        direction = self.order.upper()
        # Nulls come last both ways. Said only where there are nulls: it would keep the index of the others from use.
        nulls = " NULLS LAST" if column.nullable and self.order == "desc" else ""
        return f"ORDER BY b.{column.name} {direction}{nulls}, b.id {direction}"

    def keys(self, where: str, limit: str) -> str:
        return f"SELECT b.id, b.{SORTS[self.sort].name} AS key FROM books b {where} {self.order_by()} LIMIT {limit}"


def _with_json(keys: str, total: str) -> str:
    """Fetches the JSON of the few chosen books only, however deep the page lies."""
    return f"SELECT k.id, k.key, (SELECT {BOOK_SQL} FROM books b WHERE b.id = k.id)::text, {total} FROM ({keys}) AS k"


@functools.cache
def _page_statement(listing: Listing) -> str:
    keys = listing.keys(listing.where(), "%(limit)s OFFSET %(offset)s")
    return _with_json(keys, f"(SELECT count(*) FROM books b {listing.where()})")


@functools.cache
def _after_statement(listing: Listing, *, among_nulls: bool) -> str:
    """Continues behind a key at constant cost: a range of the sort's index, then, where there are any, the nulls."""
    column = SORTS[listing.sort]
    beyond = ">" if listing.order == "asc" else "<"
    nulls = f"b.{column.name} IS NULL"
    if among_nulls:
        return _with_json(listing.keys(listing.where(nulls, f"b.id {beyond} %(last)s"), "%(limit)s"), "NULL")
    keys = listing.keys(listing.where(f"(b.{column.name}, b.id) {beyond} (%(key)s, %(last)s)"), "%(limit)s")
    if column.nullable:
        rest = listing.keys(listing.where(nulls), "%(limit)s")
        keys = f"SELECT b.* FROM (({keys}) UNION ALL ({rest})) AS b "
        nulls_last = " NULLS LAST" if listing.order == "desc" else ""
        keys += f"ORDER BY b.key {listing.order.upper()}{nulls_last}, b.id {listing.order.upper()} LIMIT %(limit)s"
    return _with_json(keys, "NULL")


@functools.cache
def _count_statement(listing: Listing) -> str:
    return f"SELECT count(*) FROM books b {listing.where()}"


async def page(run: Runs, listing: Listing, params: Mapping[str, object], limit: int, offset: int) -> list[Listed]:
    rows = await run.rows(_page_statement(listing), {**params, "limit": limit, "offset": offset})
    return [Listed(*row) for row in rows]


async def after(
    run: Runs, listing: Listing, params: Mapping[str, object], limit: int, *, key: object, last: uuid.UUID
) -> list[Listed]:
    statement = _after_statement(listing, among_nulls=key is None)
    rows = await run.rows(statement, {**params, "limit": limit, "key": key, "last": last})
    return [Listed(*row) for row in rows]


async def count(run: Runs, listing: Listing, params: Mapping[str, object]) -> int:
    rows = await run.rows(_count_statement(listing), params)
    return int(rows[0][0])


async def genre_exists(run: Runs, genre: uuid.UUID) -> bool:
    return await run.row("SELECT 1 FROM genres WHERE id = %(genre)s", {"genre": genre}) is not None


_ONE = f"SELECT {BOOK_DETAIL_SQL}::text FROM books b WHERE b.id = %(book)s"


async def one(run: Runs, book: uuid.UUID) -> str | None:
    """The JSON of ``BookDetail``."""
    row = await run.row(_ONE, {"book": book})
    return None if row is None else str(row[0])


async def exists(run: Runs, book: uuid.UUID) -> bool:
    return await run.row("SELECT 1 FROM books WHERE id = %(book)s", {"book": book}) is not None


_PROPOSALS: Final = """
SELECT json_build_object('genre', json_build_object('id', g.id, 'name', g.name), 'probability', p.probability)::text
FROM genre_proposals p JOIN genres g ON g.id = p.genre_id
WHERE p.book_id = %(book)s AND NOT EXISTS (
    SELECT 1 FROM book_genres bg WHERE bg.book_id = p.book_id AND bg.genre_id = p.genre_id
)
ORDER BY p.probability DESC, g.name_key, g.id
"""


async def genre_proposals(run: Runs, book: uuid.UUID) -> list[str]:
    """JSON of ``GenreProposal``, best first; without those that the book has by now."""
    return [str(text) for (text,) in await run.rows(_PROPOSALS, {"book": book})]


def _written(column: str) -> list[str]:
    """A column, and the key that is always kept in step with it."""
    return [column, f"{column}_key"] if column in KEYED else [column]


_INSERT_COLUMNS: Final = [name for column in WRITABLE for name in _written(column)]
_INSERT: Final = f"""
INSERT INTO books ({", ".join(_INSERT_COLUMNS)})
VALUES ({", ".join(f"%({name})s" for name in _INSERT_COLUMNS)}) RETURNING id
"""
# Locks the book also when only its genres change, so that two changes of them do not mix.
_UPDATE: Final = "UPDATE books SET {assignments} WHERE id = %(book)s RETURNING id"
_DROP_GENRES: Final = "DELETE FROM book_genres WHERE book_id = %(book)s AND genre_id <> ALL (%(genres)s)"
_ADD_GENRES: Final = """
INSERT INTO book_genres (book_id, genre_id) SELECT %(book)s, unnest(%(genres)s::uuid[]) ON CONFLICT DO NOTHING
"""


async def insert(run: Runs, columns: Mapping[str, object]) -> uuid.UUID:
    """All of WRITABLE with their keys. Raises psycopg.errors.UniqueViolation (``uq_books_isbn``)."""
    rows = await run.rows(_INSERT, columns)
    return uuid.UUID(str(rows[0][0]))


@functools.cache
def _update_statement(columns: frozenset[str]) -> str:
    names = [name for column in WRITABLE if column in columns for name in _written(column)]
    return _UPDATE.format(assignments=", ".join([*(f"{n} = %({n})s" for n in names), "updated_at = clock_timestamp()"]))


async def update(run: Runs, book: uuid.UUID, columns: Mapping[str, object]) -> bool:
    """Some of WRITABLE with their keys. False when there is no such book; raises like ``insert``."""
    statement = _update_statement(frozenset(columns) & frozenset(WRITABLE))
    return await run.row(statement, {**columns, "book": book}) is not None


async def set_genres(run: Runs, book: uuid.UUID, genres: Sequence[uuid.UUID]) -> None:
    """Raises psycopg.errors.ForeignKeyViolation (``fk_book_genres_genre_id_genres``)."""
    params = {"book": book, "genres": list(genres)}
    await run.rows(_DROP_GENRES, params)
    await run.rows(_ADD_GENRES, params)


async def delete(run: Runs, book: uuid.UUID) -> bool:
    """Whether there was one."""
    return await run.row("DELETE FROM books WHERE id = %(book)s RETURNING 1", {"book": book}) is not None
