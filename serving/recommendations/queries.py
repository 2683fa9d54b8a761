"""What recommendations read from Postgres."""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import datetime as dt
import functools
import uuid
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from serving.kit.auth import UserId
from serving.kit.db import Runs
from serving.shapes import BOOK_SQL

# The index ix_reviews_user_id_created_at_id holds all of this: no review is read from the table.
_READER: Final = """
SELECT r.books, r.stars, r.times,
       ARRAY(SELECT book_id FROM muted_books WHERE user_id = %(user)s),
       ARRAY(SELECT book_id FROM hidden_books WHERE user_id = %(user)s),
       coalesce((SELECT enabled FROM reader_settings WHERE user_id = %(user)s), true),
       (SELECT diversity FROM reader_settings WHERE user_id = %(user)s), ({of_genre})
FROM (
    SELECT coalesce(array_agg(book_id), '{{}}') AS books, coalesce(array_agg(rating), '{{}}') AS stars,
           coalesce(array_agg(created_at), '{{}}') AS times
    FROM (SELECT book_id, rating, created_at FROM reviews WHERE user_id = %(user)s ORDER BY created_at, id) AS own
) AS r
"""
_HIDDEN: Final = "SELECT book_id FROM hidden_books WHERE user_id = %(user)s"
_KNOWN: Final = "SELECT id FROM books WHERE id = ANY(%(books)s)"
_OF_GENRE: Final = """
SELECT ARRAY(SELECT book_id FROM book_genres WHERE genre_id = %(genre)s) FROM genres WHERE id = %(genre)s
"""
_CHOSEN_OF_GENRE: Final = """
SELECT ARRAY(
    SELECT b.id FROM book_genres bg JOIN books b ON b.id = bg.book_id
    WHERE bg.genre_id = %(genre)s AND b.total_reviews >= %(min_reviews)s
    AND (%(min_rating)s::float8 IS NULL OR b.average_rating >= %(min_rating)s)
) FROM genres WHERE id = %(genre)s
"""
_SHOWN: Final = f"""
SELECT b.id, b.title, CASE WHEN b.id = ANY(%(picked)s) THEN {BOOK_SQL}::text END
FROM books b WHERE b.id = ANY(%(books)s)
"""

# Liked by many: the posterior mean of the stars (as if each book came with prior_weight ratings of prior_mean stars),
# weighed with the order of magnitude of its readers. Both factors are in 0..1.
_POINTS: Final = "b.stars_1 + 2 * b.stars_2 + 3 * b.stars_3 + 4 * b.stars_4 + 5 * b.stars_5"
_ALL_TIME: Final = f"""
SELECT b.id, b.total_reviews AS n, {_POINTS} AS points
FROM books b WHERE b.total_reviews >= greatest(%(min_reviews)s, 1)
"""
# Along ix_books_total_reviews_id: what lies beyond costs nothing, however large the library is, and has too
# few readers to come near the top.
_MOST_READ = " ORDER BY b.total_reviews DESC, b.id DESC LIMIT 20000"
# A rare genre has no books among the library's first. Two indexes find its own most read ones; without OFFSET 0
# Postgres may walk the library's, past all that are of other genres.
_OF_GENRE_ALL_TIME: Final = f"""
SELECT b.id, b.total_reviews AS n, {_POINTS} AS points FROM (
    SELECT b.id FROM (SELECT book_id FROM book_genres WHERE genre_id = %(genre)s OFFSET 0) bg
    JOIN books b ON b.id = bg.book_id WHERE b.total_reviews >= greatest(%(min_reviews)s, 1){{rated}}
    ORDER BY b.total_reviews DESC, b.id DESC LIMIT 5000
) AS most_read JOIN books b ON b.id = most_read.id
"""
_RECENT: Final = """
SELECT b.book_id AS id, sum(b.n) AS n, sum(b.sum) AS points
FROM book_days b WHERE b.day >= (statement_timestamp() AT TIME ZONE 'UTC')::date - %(days_back)s::int
"""
_RECENT_OF_GENRE: Final = """
AND EXISTS (SELECT 1 FROM book_genres bg WHERE bg.genre_id = %(genre)s AND bg.book_id = b.book_id)
"""
_RECENT_GROUPS: Final = " GROUP BY b.book_id HAVING sum(b.n) >= %(min_reviews)s"
# What a book is shrunken towards: what the pipeline found, and until it has, the mean of what was counted.
PRIOR: Final = """
    SELECT prior_mean AS mean, prior_weight AS weight FROM library_statistics
    UNION ALL
    SELECT (SELECT coalesce(sum(points)::float8 / nullif(sum(n), 0), 3) FROM counted), 10
    LIMIT 1
"""
_RANKED: Final = """
WITH counted AS MATERIALIZED ({counted}),
prior AS ({prior})
SELECT c.id,
       least(1.0, ln(1 + c.n::float8) / ln(1 + (SELECT max(n) FROM counted)::float8)
       * (((c.points + p.weight * p.mean) / (c.n + p.weight) - 1) / 4))::float8 AS score, c.n
FROM counted c CROSS JOIN prior p
ORDER BY score DESC, c.id LIMIT %(depth)s
"""


class Known(NamedTuple):
    """What is stored of a reader; ``books``, ``stars`` and ``times`` run side by side, oldest rating first.

    ``of_genre``: the books of the genre that was asked for; ``None``: there is no such genre, or none was asked for.
    """

    books: Sequence[uuid.UUID]
    stars: Sequence[int]
    times: Sequence[dt.datetime]
    muted: Sequence[uuid.UUID]
    hidden: Sequence[uuid.UUID]
    enabled: bool
    diversity: float | None
    of_genre: Sequence[uuid.UUID] | None


class Shown(NamedTuple):
    title: str
    json: str | None  # only for books that were picked


async def reader(
    run: Runs,
    user: UserId,
    genre: uuid.UUID | None = None,
    *,
    min_reviews: int | None = None,
    min_rating: float | None = None,
) -> Known:
    """Of the genre's books those with so many reviews, and so many stars on average; all when neither is given."""
    of_genre = "NULL::uuid[]" if genre is None else _OF_GENRE
    if genre is not None and (min_reviews or min_rating is not None):
        of_genre = _CHOSEN_OF_GENRE
    given = {"user": user, "genre": genre, "min_reviews": min_reviews or 0, "min_rating": min_rating}
    rows = await run.rows(_READER.format(of_genre=of_genre), given)
    return Known(*rows[0])


async def hidden(run: Runs, user: UserId) -> frozenset[uuid.UUID]:
    return frozenset(row[0] for row in await run.rows(_HIDDEN, {"user": user}))


async def known(run: Runs, books: Collection[uuid.UUID]) -> frozenset[uuid.UUID]:
    return frozenset(row[0] for row in await run.rows(_KNOWN, {"books": list(books)}))


async def of_genre(run: Runs, genre: uuid.UUID) -> frozenset[uuid.UUID] | None:
    """The books of a genre; ``None`` when there is no such genre."""
    row = await run.row(_OF_GENRE, {"genre": genre})
    return None if row is None else frozenset(row[0])


async def shown(
    run: Runs, picked: Collection[uuid.UUID], reasons: Collection[uuid.UUID] = ()
) -> dict[uuid.UUID, Shown]:
    """Titles of all, JSON of the picked ones. Books that were deleted meanwhile are missing."""
    books = list({*picked, *reasons})
    if not books:
        return {}
    rows = await run.rows(_SHOWN, {"picked": list(picked), "books": books})
    return {row[0]: Shown(row[1], row[2]) for row in rows}


@functools.cache
def ranking_statement(*, of_genre: bool, recent: bool, rated: bool) -> str:
    """Books, scores and how many ratings were counted, best first; takes the parameters of ``ranking``."""
    book = "b.book_id" if recent else "b.id"
    good = f" AND (SELECT average_rating FROM books WHERE id = {book}) >= %(min_rating)s" if rated else ""
    if recent:
        counted = _RECENT + (_RECENT_OF_GENRE if of_genre else "") + good + _RECENT_GROUPS
    elif of_genre:
        counted = _OF_GENRE_ALL_TIME.format(rated=good)
    else:
        counted = _ALL_TIME + good + _MOST_READ
    return _RANKED.format(counted=counted, prior=PRIOR)


async def ranking(
    run: Runs,
    *,
    genre: uuid.UUID | None,
    min_reviews: int,
    days_back: int | None,
    min_rating: float | None,
    depth: int,
) -> list[tuple[uuid.UUID, float]]:
    """The most popular books, best first, with scores in 0..1."""
    statement = ranking_statement(
        of_genre=genre is not None, recent=days_back is not None, rated=min_rating is not None
    )
    given = {
        "genre": genre,
        "min_reviews": min_reviews,
        "days_back": days_back,
        "min_rating": min_rating,
        "depth": depth,
    }
    return [(row[0], float(row[1])) for row in await run.rows(statement, given)]
