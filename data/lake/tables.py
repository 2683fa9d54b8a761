"""What the lake takes of a database: its tables, their columns, and how each is asked for.

Whatever else a database holds, the pipeline reads this of it: no e-mail, no name, no password, no text of a review. Nor
the id of a review: it is public, and would say whose pseudonym stands beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

MOMENT = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Whole:
    """A table of a size that is read anew each time, in the order of its file."""

    select: str
    count: str
    columns: Mapping[str, pl.DataType]


@dataclass(frozen=True)
class Gone:
    """Tombstones ``of`` a table: every row of the lake's with one of their keys is gone, or is read again."""

    of: str
    columns: Mapping[str, pl.DataType]

    @property
    def select(self) -> str:
        key = ", ".join(f"t.{column}" for column in self.columns if column != "reader")
        return (
            f"SELECT p.reader, {key} FROM tombstones AS t JOIN pseudonyms AS p USING (user_id)"  # noqa: S608  constants
            f" WHERE t.of = '{self.of}' AND t.deleted_in >= %(since)s::xid8 AND t.deleted_in < %(until)s::xid8"
        )


@dataclass(frozen=True)
class Parted:
    """A table that grows with its readers: kept in parts by pseudonym, and after the first time only changes are read.

    Attributes:
        select: All rows, in any order; ``pseudonyms`` is the temporary table of readers.
        changed: Appended to ``select``: only rows of transactions from ``since`` on. Before ``until`` only: a number
            that this server has not reached came with a dump of another.
        count: Of all rows.
        columns: ``reader`` first.
        key: A changed row replaces those with the same.
        order: Of the rows in a part; no two rows are equal in all of it.
        gone: What else takes rows away.
    """

    select: str
    changed: str
    count: str
    columns: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    order: tuple[str, ...]
    gone: tuple[Gone, ...]


def _all_of(table: str) -> str:
    """How many rows, along the index of their transactions: small, and in the order of the table.

    Postgres would count along the primary key, which is in random order: after a night of changes, when most pages have
    to be looked at again, that takes ten times as much.
    """
    return (
        f"SELECT (SELECT count(*) FROM {table} WHERE changed_in >= '0')"  # noqa: S608  constants
        f" + (SELECT count(*) FROM {table} WHERE changed_in IS NULL)"
    )


_READER = pl.Int64()
_ID = pl.String()
_BY_BOOK = MappingProxyType({"reader": _READER, "book_id": _ID})
_BY_PAGE = MappingProxyType({"reader": _READER, "page_id": _ID})
_CHANGED: str = " WHERE t.changed_in >= %(since)s::xid8 AND t.changed_in < %(until)s::xid8"
_OF_PAGES = Gone("served_pages", _BY_PAGE)

PARTED: Mapping[str, Parted] = MappingProxyType(
    {
        "ratings": Parted(
            "SELECT p.reader, t.book_id, t.rating, t.created_at AT TIME ZONE 'UTC', t.updated_at AT TIME ZONE 'UTC'"
            " FROM reviews AS t JOIN pseudonyms AS p USING (user_id)",
            _CHANGED,
            _all_of("reviews"),
            {**_BY_BOOK, "rating": pl.Int8(), "created_at": MOMENT, "updated_at": MOMENT},
            key=("reader", "book_id"),
            order=("reader", "created_at", "book_id"),
            gone=(Gone("reviews", _BY_BOOK),),
        ),
        "favorites": Parted(
            "SELECT p.reader, t.book_id, t.created_at AT TIME ZONE 'UTC'"
            " FROM favorites AS t JOIN pseudonyms AS p USING (user_id)",
            _CHANGED,
            _all_of("favorites"),
            {**_BY_BOOK, "created_at": MOMENT},
            key=("reader", "book_id"),
            order=("reader", "created_at", "book_id"),
            gone=(Gone("favorites", _BY_BOOK),),
        ),
        "shown": Parted(
            "SELECT p.reader, t.id, k.rank, k.book_id, k.source, k.score, t.recommendation_type, t.model_name,"
            " t.model_version, t.degraded::text, t.created_at AT TIME ZONE 'UTC'"
            " FROM served_pages AS t JOIN pseudonyms AS p USING (user_id) JOIN served_picks AS k ON k.page_id = t.id",
            _CHANGED,
            "SELECT count(*) FROM served_picks",
            {
                **_BY_PAGE,
                "rank": pl.Int16(),
                "book_id": _ID,
                "source": pl.String(),
                "score": pl.Float64(),
                "recommendation_type": pl.String(),
                "model_name": pl.String(),
                "model_version": pl.String(),
                "degraded": pl.Boolean(),
                "created_at": MOMENT,
            },
            key=("reader", "page_id"),
            order=("reader", "created_at", "page_id", "rank"),
            gone=(
                _OF_PAGES,
                Gone("served_picks", {**_BY_PAGE, "book_id": _ID}),
            ),
        ),
        "feedback": Parted(
            "SELECT p.reader, t.id, t.page_id, t.book_id, t.event, t.created_at AT TIME ZONE 'UTC'"
            " FROM feedback_events AS t JOIN served_pages AS s ON s.id = t.page_id"
            " JOIN pseudonyms AS p ON p.user_id = s.user_id",
            _CHANGED,
            _all_of("feedback_events"),
            {
                "reader": _READER,
                "event_id": pl.Int64(),
                "page_id": _ID,
                "book_id": _ID,
                "event": pl.String(),
                "created_at": MOMENT,
            },
            key=("reader", "event_id"),
            order=("reader", "created_at", "event_id"),
            gone=(
                _OF_PAGES,
                Gone("feedback_events", {"reader": _READER, "event_id": pl.Int64()}),
            ),
        ),
    }
)

WHOLE: Mapping[str, Whole] = MappingProxyType(
    {
        "books": Whole(
            "SELECT id, title, author, isbn, description, publication_date, series, series_position, language,"
            " created_at AT TIME ZONE 'UTC' FROM books ORDER BY id",
            "SELECT count(*) FROM books",
            {
                "id": _ID,
                "title": pl.String(),
                "author": pl.String(),
                "isbn": pl.String(),
                "description": pl.String(),
                "publication_date": pl.Date(),
                "series": pl.String(),
                "series_position": pl.Float64(),
                "language": pl.String(),
                "created_at": MOMENT,
            },
        ),
        "genres": Whole(
            "SELECT id, name, description FROM genres ORDER BY id",
            "SELECT count(*) FROM genres",
            {"id": _ID, "name": pl.String(), "description": pl.String()},
        ),
        "book_genres": Whole(
            "SELECT book_id, genre_id FROM book_genres ORDER BY book_id, genre_id",
            "SELECT count(*) FROM book_genres",
            {"book_id": _ID, "genre_id": _ID},
        ),
    }
)
TABLES = (*PARTED, *WHOLE)

# Everybody, and those of whom something changed: readers who are gone are known by their tombstones alone.
ALL_READERS = "SELECT id FROM users"
CHANGED_READERS = (
    "SELECT user_id FROM reviews WHERE changed_in >= %(since)s::xid8 AND changed_in < %(until)s::xid8"
    " UNION SELECT user_id FROM favorites WHERE changed_in >= %(since)s::xid8 AND changed_in < %(until)s::xid8"
    " UNION SELECT user_id FROM served_pages WHERE changed_in >= %(since)s::xid8 AND changed_in < %(until)s::xid8"
    " UNION SELECT s.user_id FROM feedback_events AS t JOIN served_pages AS s ON s.id = t.page_id"
    " WHERE t.changed_in >= %(since)s::xid8 AND t.changed_in < %(until)s::xid8"
    " UNION SELECT user_id FROM tombstones WHERE deleted_in >= %(since)s::xid8 AND deleted_in < %(until)s::xid8"
)
