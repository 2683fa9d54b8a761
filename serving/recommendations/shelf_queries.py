"""What stands beside a book, and what stands first in each genre, in Postgres."""
# ruff: noqa: S608  statements are put together from constants of this package; arguments travel as parameters

import uuid
from collections import defaultdict
from typing import Final, NamedTuple

from serving.kit.auth import UserId
from serving.kit.db import Runs
from serving.recommendations.queries import ranking_statement

Scored = list[tuple[uuid.UUID, float]]

# A genre may have half of a large library's books. Looked at are the most read books of the library, and of each genre
# so many others, which is all of a small one.
MOST_READ, OF_GENRE, OF_AUTHOR = 1000, 200, 500
RANKED: Final = 10_000  # books: the genres that are read most are so by them, and have enough among them

_ABOUT: Final = """
SELECT EXISTS (SELECT 1 FROM books WHERE id = %(book)s),
       (SELECT ARRAY(SELECT book_id FROM book_genres WHERE genre_id = g.id) FROM genres g WHERE g.id = %(genre)s::uuid),
       ARRAY(
           SELECT book_id FROM reviews WHERE user_id = %(user)s::uuid
           UNION SELECT book_id FROM hidden_books WHERE user_id = %(user)s::uuid
       )
"""
# Weighed as models.diversity weighs: the same author .5, the same series .1, the cosine of the genres .4.
_BESIDE: Final = f"""
WITH own AS MATERIALIZED (
    SELECT id, title_key, author_key, series_key, ARRAY(SELECT genre_id FROM book_genres WHERE book_id = b.id) AS genres
    FROM books b WHERE id = %(book)s
),
near AS (
    (SELECT b.id FROM own o JOIN books b ON b.author_key = o.author_key LIMIT {OF_AUTHOR})
    UNION (SELECT b.id FROM own o JOIN books b ON b.series_key = o.series_key LIMIT {OF_AUTHOR})
    UNION (SELECT id FROM books ORDER BY total_reviews DESC, id DESC LIMIT {MOST_READ})
    UNION SELECT s.book_id FROM own o CROSS JOIN unnest(o.genres) AS g(genre) CROSS JOIN LATERAL (
        SELECT book_id FROM book_genres WHERE genre_id = g.genre ORDER BY book_id LIMIT {OF_GENRE}
    ) s
),
found AS MATERIALIZED (
    SELECT n.id, g.genres, g.shared
    FROM own o CROSS JOIN near n CROSS JOIN LATERAL (
        SELECT count(*) AS genres, count(*) FILTER (WHERE genre_id = ANY(o.genres)) AS shared
        FROM book_genres WHERE book_id = n.id
    ) g
    WHERE %(genre)s::uuid IS NULL
    OR EXISTS (SELECT 1 FROM book_genres WHERE book_id = n.id AND genre_id = %(genre)s::uuid)
)
SELECT b.id, least(1.0, 0.5 * (b.author_key = o.author_key)::int
       + 0.1 * coalesce(b.series_key = o.series_key, false)::int
       + 0.4 * f.shared / sqrt(greatest(1, cardinality(o.genres) * f.genres))
       )::float8 AS score
FROM found f JOIN books b ON b.id = f.id CROSS JOIN own o
WHERE (f.shared > 0 OR b.author_key = o.author_key OR b.series_key = o.series_key)
AND b.id <> o.id AND (b.title_key, b.author_key) <> (o.title_key, o.author_key)
ORDER BY score DESC, b.stars_4 + b.stars_5 DESC, b.id LIMIT %(depth)s
"""
_FIRST_OF_GENRES: Final = f"""
WITH ranked AS MATERIALIZED ({ranking_statement(of_genre=False, recent=False, rated=False)}),
shelved AS MATERIALIZED (
    SELECT bg.genre_id, r.id, r.score, r.n FROM ranked r JOIN book_genres bg ON bg.book_id = r.id
),
most_read AS (
    SELECT genre_id, sum(n) AS n FROM shelved GROUP BY genre_id ORDER BY n DESC, genre_id LIMIT %(count)s
),
placed AS (
    SELECT m.n, s.genre_id, s.id, s.score,
           row_number() OVER (PARTITION BY s.genre_id ORDER BY s.score DESC, s.id) AS place
    FROM most_read m JOIN shelved s ON s.genre_id = m.genre_id
)
SELECT genre_id, id, score FROM placed WHERE place <= %(of_each)s ORDER BY n DESC, genre_id, place
"""


class About(NamedTuple):
    """What a question about a book needs.

    ``of_genre``: ``None``: there is no such genre, or none was asked for; ``barred``: what the reader rated or hid.
    """

    is_there: bool
    of_genre: list[uuid.UUID] | None
    barred: list[uuid.UUID]


async def about(run: Runs, book: uuid.UUID, genre: uuid.UUID | None, user: UserId | None) -> About:
    rows = await run.rows(_ABOUT, {"book": book, "genre": genre, "user": user})
    return About(*rows[0])


async def beside(run: Runs, book: uuid.UUID, genre: uuid.UUID | None, depth: int) -> Scored:
    """Books of the same author, series or genres, the most alike first, then the most liked; scores in 0..1.

    Of a genre with many books only the most read are looked at, and some others. Another edition, of the same title
    and author, is left out.
    """
    rows = await run.rows(_BESIDE, {"book": book, "genre": genre, "depth": depth})
    return [(row[0], float(row[1])) for row in rows]


async def first_of_genres(run: Runs, count: int, of_each: int) -> list[Scored]:
    """The most popular books of each of the ``count`` genres that are read most; scores as ``queries.ranking``."""
    given = {"count": count, "of_each": of_each, "min_reviews": 1, "depth": RANKED}
    shelves: dict[uuid.UUID, Scored] = defaultdict(list)
    for genre, book, score in await run.rows(_FIRST_OF_GENRES, given):
        shelves[genre].append((book, float(score)))
    return list(shelves.values())
