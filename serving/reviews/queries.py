"""Reviews in Postgres."""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import functools
import uuid

from serving.kit.auth import UserId
from serving.kit.db import Runs
from serving.kit.fields import SortOrder
from serving.shapes import FULL_REVIEW_SQL, REVIEW_WITH_BOOK_SQL

_INSERT = """
INSERT INTO reviews (user_id, book_id, rating, review_text)
VALUES (%(user)s, %(book)s, %(rating)s, %(review_text)s) RETURNING id
"""
# A statement of its own: the insert does not see what its triggers did to the book.
_ONE = f"""
SELECT {FULL_REVIEW_SQL}::text
FROM reviews r JOIN books b ON b.id = r.book_id JOIN users u ON u.id = r.user_id WHERE r.id = %(review)s
"""


async def insert(run: Runs, user: UserId, book: uuid.UUID, rating: int, review_text: str | None) -> uuid.UUID:
    """Raises psycopg.errors.UniqueViolation (``uq_reviews_user_id_book_id``) or ForeignKeyViolation (no such book)."""
    rows = await run.rows(_INSERT, {"user": user, "book": book, "rating": rating, "review_text": review_text})
    return uuid.UUID(str(rows[0][0]))


async def one(run: Runs, review: uuid.UUID) -> str | None:
    """The JSON of ``FullReview``."""
    row = await run.row(_ONE, {"review": review})
    return None if row is None else str(row[0])


@functools.cache
def _of_reader_statement(sort_by: str, order: SortOrder) -> str:
    ordered = f"ORDER BY r.{sort_by} {order.upper()}, r.id {order.upper()}"
    return f"""
SELECT (SELECT {REVIEW_WITH_BOOK_SQL} FROM books b WHERE b.id = r.book_id)::text,
       (SELECT count(*) FROM reviews WHERE user_id = %(user)s)
FROM (SELECT r.* FROM reviews r WHERE r.user_id = %(user)s {ordered} LIMIT %(limit)s OFFSET %(offset)s) r {ordered}
"""


async def of_reader(
    run: Runs, user: UserId, sort_by: str, order: SortOrder, *, limit: int, offset: int
) -> list[tuple[str, int]]:
    """JSON of ``ReviewWithBook``, and their number over all pages. ``sort_by`` is a column that the schema allows."""
    rows = await run.rows(_of_reader_statement(sort_by, order), {"user": user, "limit": limit, "offset": offset})
    return [(str(text), int(total)) for text, total in rows]


async def count_of_reader(run: Runs, user: UserId) -> int:
    rows = await run.rows("SELECT count(*) FROM reviews WHERE user_id = %(user)s", {"user": user})
    return int(rows[0][0])
