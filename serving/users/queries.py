"""A reader's own account in Postgres."""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from serving.auth.queries import ACCOUNT, Account
from serving.kit.auth import UserId
from serving.kit.db import Runs
from serving.shapes import FAVORITE_SQL, moment

_FAVORITES = f"""
SELECT (SELECT {FAVORITE_SQL} FROM books b WHERE b.id = f.book_id)::text,
       (SELECT count(*) FROM favorites WHERE user_id = %(user)s)
FROM (
    SELECT book_id, created_at FROM favorites WHERE user_id = %(user)s
    ORDER BY created_at DESC, book_id DESC LIMIT %(limit)s OFFSET %(offset)s
) f
ORDER BY f.created_at DESC, f.book_id DESC
"""
_IS_FAVORITE = """
SELECT EXISTS (SELECT 1 FROM favorites WHERE user_id = %(user)s AND book_id = b.id) FROM books b WHERE b.id = %(book)s
"""
_ADD_FAVORITE = """
INSERT INTO favorites (user_id, book_id) VALUES (%(user)s, %(book)s) ON CONFLICT (user_id, book_id) DO NOTHING
RETURNING 1
"""
_DROP_FAVORITE = """
WITH gone AS (DELETE FROM favorites WHERE user_id = %(user)s AND book_id = %(book)s)
SELECT 1 FROM books WHERE id = %(book)s
"""
_MOST = 5
_STATS = f"""
WITH own AS MATERIALIZED (SELECT book_id, rating, created_at FROM reviews WHERE user_id = %(user)s)
SELECT json_build_object(
    'total_reviews', (SELECT count(*) FROM own),
    'average_rating', (SELECT round(avg(rating), 2) FROM own),
    'rating_distribution', (
        SELECT json_object_agg(stars::text, (SELECT count(*) FROM own WHERE rating = stars) ORDER BY stars)
        FROM generate_series(1, 5) AS stars
    ),
    'total_favorites', (SELECT count(*) FROM favorites WHERE user_id = %(user)s),
    'top_genres', (
        SELECT coalesce(json_agg(json_build_object('id', t.id, 'name', t.name, 'count', t.n)
                                 ORDER BY t.n DESC, t.name_key, t.id), '[]')
        FROM (
            SELECT g.id, g.name, g.name_key, count(*) AS n
            FROM own JOIN book_genres bg ON bg.book_id = own.book_id JOIN genres g ON g.id = bg.genre_id
            GROUP BY g.id ORDER BY n DESC, g.name_key, g.id LIMIT {_MOST}
        ) t
    ),
    'top_authors', (
        SELECT coalesce(json_agg(json_build_object('author', t.author, 'count', t.n)
                                 ORDER BY t.n DESC, t.author_key), '[]')
        FROM (
            SELECT min(b.author) AS author, b.author_key, count(*) AS n FROM own JOIN books b ON b.id = own.book_id
            GROUP BY b.author_key ORDER BY n DESC, b.author_key LIMIT {_MOST}
        ) t
    ),
    'reviews_per_month', (
        SELECT coalesce(json_agg(json_build_object('month', t.month, 'count', t.n) ORDER BY t.month), '[]')
        FROM (
            SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*) AS n FROM own GROUP BY 1
        ) t
    ),
    'member_since', {moment("u.created_at")}
)::text
FROM users u WHERE u.id = %(user)s
"""
_CANDIDATES = """
SELECT id, isbn, title_key, author FROM books WHERE isbn = ANY(%(isbns)s) OR title_key = ANY(%(titles)s)
ORDER BY total_reviews DESC, id
"""
# In the order of the ids, like everything that locks several books.
_STILL_THERE = "SELECT id FROM books WHERE id = ANY(%(books)s) ORDER BY id FOR KEY SHARE"
# xmax is 0 in a row that is new. A row that says the same already is left alone, and not returned.
_RATE = """
INSERT INTO reviews AS r (user_id, book_id, rating, created_at)
SELECT %(user)s, n.book, n.stars, coalesce(n.day::timestamp AT TIME ZONE 'UTC', clock_timestamp())
FROM unnest(%(books)s::uuid[], %(stars)s::smallint[], %(days)s::date[]) AS n (book, stars, day)
ORDER BY n.book
ON CONFLICT (user_id, book_id) DO UPDATE SET rating = excluded.rating, updated_at = clock_timestamp()
WHERE r.rating <> excluded.rating
RETURNING r.book_id, r.xmax = 0
"""


class Candidate(NamedTuple):
    id: uuid.UUID
    isbn: str | None
    title_key: str
    author: str


async def change(run: Runs, user: UserId, changes: Mapping[str, str]) -> Account | None:
    """Set columns that the schema names. Raises UniqueViolation (``uq_users_email_lower``)."""
    columns = ", ".join(f"{column} = %({column})s" for column in changes)
    row = await run.row(
        f"UPDATE users SET {columns}, updated_at = clock_timestamp() WHERE id = %(user)s RETURNING {ACCOUNT}",
        {**changes, "user": user},
    )
    return None if row is None else Account(*row)


async def delete(run: Runs, user: UserId) -> None:
    """Everything of the reader goes along, by the foreign keys."""
    await run.rows("DELETE FROM users WHERE id = %(user)s", {"user": user})


async def stats(run: Runs, user: UserId) -> str | None:
    """The JSON of ``Stats``."""
    row = await run.row(_STATS, {"user": user})
    return None if row is None else str(row[0])


async def favorites(run: Runs, user: UserId, *, limit: int, offset: int) -> list[tuple[str, int]]:
    """JSON of ``FavoriteBook``, newest first, and their number over all pages."""
    rows = await run.rows(_FAVORITES, {"user": user, "limit": limit, "offset": offset})
    return [(str(text), int(total)) for text, total in rows]


async def count_of_favorites(run: Runs, user: UserId) -> int:
    rows = await run.rows("SELECT count(*) FROM favorites WHERE user_id = %(user)s", {"user": user})
    return int(rows[0][0])


async def is_favorite(run: Runs, user: UserId, book: uuid.UUID) -> bool | None:
    """``None`` when there is no such book."""
    row = await run.row(_IS_FAVORITE, {"user": user, "book": book})
    return None if row is None else bool(row[0])


async def add_favorite(run: Runs, user: UserId, book: uuid.UUID) -> bool:
    """Whether it is new. Raises ForeignKeyViolation: no such book, or the reader is gone."""
    return bool(await run.rows(_ADD_FAVORITE, {"user": user, "book": book}))


async def drop_favorite(run: Runs, user: UserId, book: uuid.UUID) -> bool:
    """False when there is no such book."""
    return await run.row(_DROP_FAVORITE, {"user": user, "book": book}) is not None


async def candidates(run: Runs, isbns: Collection[str], titles: Collection[str]) -> list[Candidate]:
    """Books with one of the ISBNs or titles, the most read first."""
    rows = await run.rows(_CANDIDATES, {"isbns": list(isbns), "titles": list(titles)})
    return [Candidate(*row) for row in rows]


async def still_there(run: Runs, books: Collection[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Those of ``books`` that exist. They cannot be deleted until the transaction ends."""
    return frozenset(row[0] for row in await run.rows(_STILL_THERE, {"books": list(books)}))


async def rate(
    run: Runs, user: UserId, books: Sequence[uuid.UUID], stars: Sequence[int], days: Sequence[dt.date | None]
) -> frozenset[uuid.UUID]:
    """Write many ratings, each book once; gives the books that had none before.

    A rating that is there already takes the new stars, and keeps its words and its time.
    """
    rows = await run.rows(_RATE, {"user": user, "books": list(books), "stars": list(stars), "days": list(days)})
    return frozenset(book for book, is_new in rows if is_new)
