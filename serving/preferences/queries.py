"""What readers have said about their recommendations, in Postgres."""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import functools
import uuid
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from serving.kit.auth import UserId
from serving.kit.db import Runs
from serving.shapes import BOOK_SQL

Marks = Literal["muted", "hidden"]
# A muting without its review says nothing, and is not shown.
_MARKED: Final[Mapping[Marks, str]] = {
    "muted": "muted_books m JOIN reviews r ON r.user_id = m.user_id AND r.book_id = m.book_id",
    "hidden": "hidden_books m",
}
# The lock keeps the review there until the mark is written.
_MUTE: Final = """
WITH own AS (SELECT user_id, book_id FROM reviews WHERE user_id = %(user)s AND book_id = %(book)s FOR KEY SHARE),
marked AS (
    INSERT INTO muted_books (user_id, book_id) SELECT user_id, book_id FROM own
    ON CONFLICT (user_id, book_id) DO NOTHING
)
SELECT EXISTS (SELECT 1 FROM own) FROM books WHERE id = %(book)s
"""
_UNMUTE: Final = """
WITH gone AS (DELETE FROM muted_books WHERE user_id = %(user)s AND book_id = %(book)s)
SELECT EXISTS (SELECT 1 FROM reviews WHERE user_id = %(user)s AND book_id = %(book)s) FROM books WHERE id = %(book)s
"""
_HIDE: Final = """
INSERT INTO hidden_books (user_id, book_id) VALUES (%(user)s, %(book)s) ON CONFLICT (user_id, book_id) DO NOTHING
"""
_UNHIDE: Final = """
WITH gone AS (DELETE FROM hidden_books WHERE user_id = %(user)s AND book_id = %(book)s)
SELECT 1 FROM books WHERE id = %(book)s
"""
_SETTINGS: Final = "SELECT enabled, diversity FROM reader_settings WHERE user_id = %(user)s"
_COLUMNS: Final = ("enabled", "diversity")
# Sent twice it is one event: a client that did not see the answer may try again.
_TELL: Final = """
WITH page AS (SELECT id FROM served_pages WHERE id = %(page)s AND user_id = %(user)s),
pick AS (SELECT k.page_id, k.book_id FROM page p JOIN served_picks k ON k.page_id = p.id WHERE k.book_id = %(book)s),
told AS (
    INSERT INTO feedback_events (page_id, book_id, event)
    SELECT k.page_id, k.book_id, %(event)s FROM pick k WHERE NOT EXISTS (
        SELECT 1 FROM feedback_events e
        WHERE e.page_id = k.page_id AND e.book_id = k.book_id AND e.event = %(event)s
    )
)
SELECT EXISTS (SELECT 1 FROM page), EXISTS (SELECT 1 FROM pick)
"""


class Settings(NamedTuple):
    enabled: bool = True
    diversity: float | None = None


class Found(NamedTuple):
    page: bool
    pick: bool


@functools.cache
def _list(marks: Marks) -> str:
    return f"""
SELECT (SELECT {BOOK_SQL} FROM books b WHERE b.id = l.book_id)::text, l.total
FROM (
    SELECT m.book_id, m.created_at, count(*) OVER () AS total FROM {_MARKED[marks]} WHERE m.user_id = %(user)s
    ORDER BY m.created_at DESC, m.book_id DESC LIMIT %(limit)s OFFSET %(offset)s
) l
ORDER BY l.created_at DESC, l.book_id DESC
"""


async def marked(run: Runs, marks: Marks, user: UserId, *, limit: int, offset: int) -> list[tuple[str, int]]:
    """JSON of ``Book``, the latest mark first, and their number over all pages."""
    rows = await run.rows(_list(marks), {"user": user, "limit": limit, "offset": offset})
    return [(str(text), int(total)) for text, total in rows]


async def count_of_marked(run: Runs, marks: Marks, user: UserId) -> int:
    rows = await run.rows(f"SELECT count(*) FROM {_MARKED[marks]} WHERE m.user_id = %(user)s", {"user": user})
    return int(rows[0][0])


async def mute(run: Runs, user: UserId, book: uuid.UUID) -> bool | None:
    """Whether the reader has rated it, and it is muted now; ``None`` when there is no such book."""
    row = await run.row(_MUTE, {"user": user, "book": book})
    return None if row is None else bool(row[0])


async def unmute(run: Runs, user: UserId, book: uuid.UUID) -> bool | None:
    """Whether the reader has rated it; ``None`` when there is no such book."""
    row = await run.row(_UNMUTE, {"user": user, "book": book})
    return None if row is None else bool(row[0])


async def hide(run: Runs, user: UserId, book: uuid.UUID) -> None:
    """Raises ForeignKeyViolation: no such book, or the reader is gone."""
    await run.rows(_HIDE, {"user": user, "book": book})


async def unhide(run: Runs, user: UserId, book: uuid.UUID) -> bool:
    """False when there is no such book."""
    return await run.row(_UNHIDE, {"user": user, "book": book}) is not None


async def settings(run: Runs, user: UserId) -> Settings:
    row = await run.row(_SETTINGS, {"user": user})
    return Settings() if row is None else Settings(*row)


@functools.cache
def _change_statement(columns: frozenset[str]) -> str:
    sent = [name for name in _COLUMNS if name in columns]
    return f"""
INSERT INTO reader_settings (user_id, {", ".join(sent)}) VALUES (%(user)s, {", ".join(f"%({name})s" for name in sent)})
ON CONFLICT (user_id) DO UPDATE
SET {", ".join(f"{name} = excluded.{name}" for name in sent)}, updated_at = clock_timestamp()
RETURNING enabled, diversity
"""


async def change_settings(run: Runs, user: UserId, columns: Mapping[str, object]) -> Settings:
    """Raises ForeignKeyViolation: the reader is gone."""
    rows = await run.rows(_change_statement(frozenset(columns)), {**columns, "user": user})
    return Settings(*rows[0])


async def tell(run: Runs, user: UserId, page: uuid.UUID, book: uuid.UUID, event: str) -> Found:
    """Store an event, if the page is stored, is the reader's, and has the book.

    Raises ForeignKeyViolation: page or book were deleted meanwhile.
    """
    rows = await run.rows(_TELL, {"user": user, "page": page, "book": book, "event": event})
    return Found(*rows[0])
