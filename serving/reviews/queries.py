"""Reviews in Postgres."""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import functools
import uuid
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from serving.kit.auth import UserId
from serving.kit.db import Runs
from serving.kit.fields import SortOrder
from serving.reviews.schemas import SortBy
from serving.shapes import FULL_REVIEW_SQL, NAMED_REVIEW_SQL, REVIEW_WITH_BOOK_SQL

_INSERT = """
INSERT INTO reviews (user_id, book_id, rating, review_text)
VALUES (%(user)s, %(book)s, %(rating)s, %(review_text)s) RETURNING id
"""
# A statement of its own: the insert does not see what its triggers did to the book.
_ONE = f"""
SELECT {FULL_REVIEW_SQL}::text
FROM reviews r JOIN books b ON b.id = r.book_id JOIN users u ON u.id = r.user_id WHERE r.id = %(review)s
"""
_CHANGE = """
UPDATE reviews SET
    rating = coalesce(%(rating)s, rating),
    review_text = CASE WHEN %(has_text)s THEN %(review_text)s ELSE review_text END,
    updated_at = clock_timestamp()
WHERE id = %(review)s AND user_id = %(user)s RETURNING true
"""
# "Do not judge me by this book" goes with the judgement: rated anew, the book speaks for its reader again.
_REMOVE = """
WITH gone AS (DELETE FROM reviews WHERE id = %(review)s AND user_id = %(user)s RETURNING book_id),
heard AS (DELETE FROM muted_books WHERE user_id = %(user)s AND book_id IN (SELECT book_id FROM gone))
SELECT true FROM gone
"""
_EXISTS = "SELECT 1 FROM reviews WHERE id = %(review)s"
# What one reader writes at once is counted in turn. References to the row do not wait for this lock.
_IN_TURN = "SELECT 1 FROM users WHERE id = %(user)s FOR NO KEY UPDATE"


def _bare(text: str) -> str:
    """Without case and white space."""
    return rf"lower(translate({text}, E' \n\t\u00a0', ''))"


# Not by the md5 of ix_reviews_user_id_text, to which one space more is another text. Grows with what the reader has
# written, so the beginnings are compared first: that costs a tenth of comparing everything.
_SAME_TEXT = f"""
WITH given AS MATERIALIZED (SELECT {_bare("%(review_text)s")} AS bare)
SELECT count(*) FROM reviews r, given
WHERE r.user_id = %(user)s AND r.review_text IS NOT NULL
AND r.book_id IS DISTINCT FROM %(book)s::uuid AND r.id IS DISTINCT FROM %(review)s::uuid
AND CASE WHEN starts_with(given.bare, {_bare("left(r.review_text, 40)")})
    THEN {_bare("r.review_text")} = given.bare ELSE false END
"""


async def insert(run: Runs, user: UserId, book: uuid.UUID, rating: int, review_text: str | None) -> uuid.UUID:
    """Raises psycopg.errors.UniqueViolation (``uq_reviews_user_id_book_id``) or ForeignKeyViolation (no such book)."""
    rows = await run.rows(_INSERT, {"user": user, "book": book, "rating": rating, "review_text": review_text})
    return uuid.UUID(str(rows[0][0]))


async def one(run: Runs, review: uuid.UUID) -> str | None:
    """The JSON of ``FullReview``."""
    row = await run.row(_ONE, {"review": review})
    return None if row is None else str(row[0])


async def change(run: Runs, user: UserId, review: uuid.UUID, changes: Mapping[str, object]) -> bool:
    """Whether ``user`` has such a review. ``changes`` are columns: ``rating``, ``review_text``."""
    given = {"rating": changes.get("rating"), "review_text": changes.get("review_text")}
    has_text = "review_text" in changes
    return bool(await run.rows(_CHANGE, {"user": user, "review": review, "has_text": has_text, **given}))


async def remove(run: Runs, user: UserId, review: uuid.UUID) -> bool:
    """Whether ``user`` had such a review."""
    return bool(await run.rows(_REMOVE, {"user": user, "review": review}))


async def exists(run: Runs, review: uuid.UUID) -> bool:
    return await run.row(_EXISTS, {"review": review}) is not None


async def in_turn(run: Runs, user: UserId) -> None:
    """Wait until no other transaction that has asked for the same is under way for this reader."""
    await run.rows(_IN_TURN, {"user": user})


async def same_text(
    run: Runs, user: UserId, text: str, *, book: uuid.UUID | None = None, review: uuid.UUID | None = None
) -> int:
    """On how many books the reader has written ``text``, not counting ``book`` and ``review``."""
    rows = await run.rows(_SAME_TEXT, {"user": user, "review_text": text, "book": book, "review": review})
    return int(rows[0][0])


class Listed(NamedTuple):
    """One entry: its id, its sort key, its JSON, and how many entries there are over all pages."""

    id: uuid.UUID
    key: Any
    json: str
    total: int | None


class Listing(NamedTuple):
    """What decides the text of the statement. Each order is an index's: ``(book_id, sort_by, id)``."""

    sort: SortBy
    order: SortOrder
    with_rating: bool

    def statement(self, more: str, limit: str, total: str) -> str:
        """Chooses from the index alone, and fetches the rows of the chosen few."""
        rating = "AND r.rating = %(rating)s" if self.with_rating else ""
        direction = self.order.upper()
        return f"""
SELECT k.id, k.key,
       (SELECT {NAMED_REVIEW_SQL} FROM reviews r JOIN users u ON u.id = r.user_id WHERE r.id = k.id)::text, {total}
FROM (
    SELECT r.id, r.{self.sort} AS key FROM reviews r WHERE r.book_id = %(book)s {rating} {more}
    ORDER BY r.{self.sort} {direction}, r.id {direction} LIMIT {limit}
) AS k ORDER BY k.key {direction}, k.id {direction}
"""


# The triggers have counted already.
_TOTAL: Final = """(SELECT CASE %(rating)s::int
    WHEN 1 THEN stars_1 WHEN 2 THEN stars_2 WHEN 3 THEN stars_3 WHEN 4 THEN stars_4 WHEN 5 THEN stars_5
    ELSE total_reviews END FROM books WHERE id = %(book)s)"""


@functools.cache
def _page_statement(listing: Listing) -> str:
    return listing.statement("", "%(limit)s OFFSET %(offset)s", _TOTAL)


@functools.cache
def _after_statement(listing: Listing) -> str:
    beyond = ">" if listing.order == "asc" else "<"
    return listing.statement(f"AND (r.{listing.sort}, r.id) {beyond} (%(key)s, %(last)s)", "%(limit)s", "NULL")


async def page(
    run: Runs, listing: Listing, book: uuid.UUID, rating: int | None, *, limit: int, offset: int
) -> list[Listed]:
    params = {"book": book, "rating": rating, "limit": limit, "offset": offset}
    return [Listed(*row) for row in await run.rows(_page_statement(listing), params)]


async def after(
    run: Runs, listing: Listing, book: uuid.UUID, rating: int | None, *, limit: int, place: tuple[object, uuid.UUID]
) -> list[Listed]:
    """The entries behind ``place``, a sort key and an id."""
    key, last = place
    params = {"book": book, "rating": rating, "limit": limit, "key": key, "last": last}
    return [Listed(*row) for row in await run.rows(_after_statement(listing), params)]


async def total(run: Runs, book: uuid.UUID, rating: int | None) -> int | None:
    """How many reviews the list has; ``None``: there is no such book."""
    rows = await run.rows(f"SELECT {_TOTAL}", {"book": book, "rating": rating})
    return None if rows[0][0] is None else int(rows[0][0])


@functools.cache
def _of_reader_statement(sort_by: SortBy, order: SortOrder) -> str:
    ordered = f"ORDER BY r.{sort_by} {order.upper()}, r.id {order.upper()}"
    # Behind OFFSET 0 the planner does not go through everybody's reviews by ix_reviews_updated_at_id.
    own = "SELECT * FROM reviews WHERE user_id = %(user)s" + (" OFFSET 0" if sort_by != "created_at" else "")
    return f"""
SELECT (SELECT {REVIEW_WITH_BOOK_SQL} FROM books b WHERE b.id = r.book_id)::text,
       (SELECT count(*) FROM reviews WHERE user_id = %(user)s)
FROM (SELECT * FROM ({own}) r {ordered} LIMIT %(limit)s OFFSET %(offset)s) r {ordered}
"""


async def of_reader(
    run: Runs, user: UserId, sort_by: SortBy, order: SortOrder, *, limit: int, offset: int
) -> list[tuple[str, int]]:
    """JSON of ``ReviewWithBook``, and their number over all pages."""
    rows = await run.rows(_of_reader_statement(sort_by, order), {"user": user, "limit": limit, "offset": offset})
    return [(str(text), int(total)) for text, total in rows]


async def count_of_reader(run: Runs, user: UserId) -> int:
    rows = await run.rows("SELECT count(*) FROM reviews WHERE user_id = %(user)s", {"user": user})
    return int(rows[0][0])
