"""Full-text search in Postgres: one statement, whatever is asked.

Books with all words come from ``ix_books_search_vector``. Only when none of them has the words in title, author or
series are typing errors looked for, through ``ix_books_search_text_trgm``: the scan is not begun otherwise.

No search looks at more than ``MOST`` books. Where more than that have the words (every other book has "the" somewhere),
those are ranked whose titles are or begin with what was typed, and those of the most read books; any others follow
(docs/decisions/0006-search.md).
"""
# ruff: noqa: S608  statements are put together from constants of this module; what a client sends travels as parameters

import functools
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from serving.books.queries import FILTERS
from serving.kit.db import Runs
from serving.shapes import BOOK_SQL

# Trigrams in common (pg_trgm's word similarity, 0..1) that make a book worth showing: the mistyped "tolkein" has 0.5 of
# "tolkien". Books far below the best one would only be noise behind it.
_LEAST_OF_A_BOOK: Final = 0.4
_LEAST_BESIDE_OTHERS: Final = 0.6
_LEAST_OF_THE_BEST: Final = 0.7
_OF_SWAPPED_LETTERS: Final = 0.9

MOST: Final = 1_000  # matches that one search looks at, counts and pages through
# Of words that more books than MOST have:
_TITLES: Final = 100  # that begin with them, looked at
_MOST_READ: Final = 1_000  # books, looked at
_RANKED: Final = 200  # of those, ranked: ten pages
_ENOUGH: Final = 20  # books with the words in their descriptions: nobody has mistyped them

# The better kind of match has the smaller number. What is cheap is asked first: a frequent word matches thousands of
# books. The search vector knows whether a word is in the title, but to unpack it costs more than all of this.
_IN_DESCRIPTION: Final = 7
_BEHIND: Final = 8
_NAMES: Final = "' ' || b.title_key || ' ' || b.author_key || ' '"
_KIND: Final = f"""
CASE
    WHEN b.title_key = %(key)s THEN 0
    WHEN b.title_key = ANY (%(titled)s::text[]) THEN 1
    WHEN starts_with(b.title_key, %(key)s || ' ') THEN 2
    WHEN starts_with(b.title_key, %(key)s) THEN 3
    WHEN NOT b.search_text LIKE ALL (%(inside)s::text[]) THEN {_IN_DESCRIPTION}
    WHEN {_NAMES} LIKE ALL (%(whole)s::text[]) THEN 4
    WHEN {_NAMES} LIKE ALL (%(begun)s::text[]) OR ({_NAMES}) COLLATE "default" ~ ALL (%(behind_a_mark)s::text[]) THEN 5
    WHEN b.search_text COLLATE "default" ~ ALL (%(behind_a_mark)s::text[]) THEN 6
    ELSE {_IN_DESCRIPTION}
END"""
_NO_FUZZY: Final = "SELECT id, total_reviews, 0, 0.0::float8 FROM exactly WHERE false"

_RANKED_BY: Final = "b.id, b.total_reviews, b.title_key, b.author_key, b.search_text"
_HAS_ALL: Final = "b.search_vector @@ (SELECT to_tsquery('simple', %(query)s))"


class Asked(NamedTuple):
    """What a search looks for.

    Attributes:
        key: What was typed, as title keys are made.
        titled: Titles that are what was typed, with and without an article.
        behind_key: Sorts behind all titles that begin with ``key``.
        inside: LIKE patterns for texts that contain the words.
        whole: LIKE patterns for texts that have them as words between blanks.
        begun: LIKE patterns for texts that have words between blanks which begin so.
        behind_a_mark: Regular expressions for texts that have words which begin so, behind any punctuation.
        query: For ``to_tsquery('simple', …)``: all words.
        swapped: All long words, each also with two neighbouring letters the other way round.
        long: The words that are long enough to be mistyped; at least one.
    """

    key: str
    titled: list[str]
    behind_key: str
    inside: list[str]
    whole: list[str]
    begun: list[str]
    behind_a_mark: list[str]
    query: str
    swapped: str
    long: Sequence[str]


class Matches(NamedTuple):
    """JSON of ``Book``, best first, and the number of matches over all pages, at most about ``MOST``."""

    books: list[str]
    total: int


def _fuzzy(words: int, where: str) -> str:
    """Books that nearly have all the words."""
    nearly = " AND ".join(f"b.search_text %%> %(long_{place})s" for place in range(words))
    return f"""
SELECT id, total_reviews, {_BEHIND}, 1.0 - likeness
FROM (
    SELECT *, max(likeness) OVER () AS best
    FROM (
        SELECT b.id, b.total_reviews, greatest(
            word_similarity(%(key)s, b.search_text),
            (
                SELECT sum(length(word) * word_similarity(word, b.search_text)) / sum(length(word))
                FROM unnest(%(long)s::text[]) AS word
            ),
            CASE WHEN b.search_vector @@ to_tsquery('simple', %(swapped)s) THEN {_OF_SWAPPED_LETTERS} END
        )::float8 AS likeness
        FROM books b
        WHERE NOT EXISTS (SELECT FROM exactly WHERE kind < {_IN_DESCRIPTION})
            AND (SELECT count(*) FROM exactly) < {_ENOUGH}
            AND (
                ({nearly})
                OR b.search_vector @@ (SELECT to_tsquery('simple', %(swapped)s))
            )
            AND b.id NOT IN (SELECT id FROM exactly) {where}
        LIMIT {MOST} -- also so that the likeness is reckoned once
    ) AS b
) AS b
WHERE likeness >= {_LEAST_OF_THE_BEST} * best
    AND likeness >= CASE WHEN EXISTS (SELECT FROM exactly) THEN {_LEAST_BESIDE_OTHERS} ELSE {_LEAST_OF_A_BOOK} END"""


def _exactly(where: str) -> str:
    """Books that have all the words: all of them, or the most promising ``MOST``.

    ``to_tsquery`` stands in a query of its own, because the planner would else look the words up, find them frequent
    and read the whole table, with every description in it. What only many matches need is not begun for few.
    """
    when_many = f"WHERE (SELECT are_many FROM counted) AND {_HAS_ALL}"
    return f"""
matching AS MATERIALIZED (
    SELECT {_RANKED_BY} FROM books b WHERE {_HAS_ALL} {where} LIMIT {MOST + 1}
), counted AS MATERIALIZED (
    SELECT count(*) > {MOST} AS are_many FROM matching
), titled AS MATERIALIZED (
    (SELECT {_RANKED_BY} FROM books b {when_many} AND b.title_key = ANY (%(titled)s::text[]) {where}
    LIMIT {_TITLES})
    UNION ALL
    (SELECT {_RANKED_BY}
    FROM (
        SELECT * FROM books WHERE title_key > %(key)s AND title_key < %(behind_key)s
        ORDER BY title_key, id LIMIT {_TITLES}
    ) AS b
    {when_many} AND b.title_key <> ALL (%(titled)s::text[]) {where})
), most_read AS MATERIALIZED (
    SELECT {_RANKED_BY}
    FROM (SELECT * FROM books ORDER BY total_reviews DESC, id DESC LIMIT {_MOST_READ}) AS b
    {when_many} AND b.id NOT IN (SELECT id FROM titled) {where} LIMIT {_RANKED}
), promising AS MATERIALIZED (
    SELECT * FROM titled UNION ALL SELECT * FROM most_read
    UNION ALL SELECT * FROM matching WHERE NOT (SELECT are_many FROM counted)
), exactly AS MATERIALIZED (
    SELECT b.id, b.total_reviews, {_KIND} AS kind FROM promising b
    UNION ALL
    SELECT id, total_reviews, {_BEHIND} FROM matching
    WHERE (SELECT are_many FROM counted) AND id NOT IN (SELECT id FROM promising)
    LIMIT {MOST}
)"""


@functools.cache
def statement(words: int, filters: frozenset[str]) -> str:
    """The search with so many long words, and these filters of the list of books."""
    where = "".join(f" AND {FILTERS[name]}" for name in sorted(filters))
    return f"""
WITH {_exactly(where)}, found AS MATERIALIZED (
    SELECT id, total_reviews, kind, 0.0::float8 AS unlike FROM exactly
    UNION ALL
    ({_fuzzy(words, where) if words else _NO_FUZZY})
)
SELECT (SELECT {BOOK_SQL} FROM books b WHERE b.id = k.id)::text, t.total
FROM (SELECT count(*) AS total FROM found) AS t
LEFT JOIN LATERAL (
    SELECT * FROM found ORDER BY kind, unlike, total_reviews DESC, id LIMIT %(limit)s OFFSET %(offset)s
) AS k ON true
ORDER BY k.kind, k.unlike, k.total_reviews DESC, k.id"""


_BY_ISBN: Final = "SELECT {json}::text FROM books b WHERE b.isbn = %(isbn)s {where}"


@functools.cache
def _isbn_statement(filters: frozenset[str]) -> str:
    where = "".join(f" AND {FILTERS[name]}" for name in sorted(filters))
    return _BY_ISBN.format(json=BOOK_SQL, where=where)


async def by_isbn(run: Runs, isbn: str, filters: Mapping[str, object]) -> str | None:
    """JSON of ``Book``."""
    row = await run.row(_isbn_statement(frozenset(filters)), {**filters, "isbn": isbn})
    return None if row is None else str(row[0])


def parameters(asked: Asked) -> dict[str, object]:
    return {
        **{name: value for name, value in asked._asdict().items() if name != "long"},
        "long": list(asked.long),
        **{f"long_{place}": word for place, word in enumerate(asked.long)},
    }


async def matches(run: Runs, asked: Asked, filters: Mapping[str, object], limit: int, offset: int) -> Matches:
    params = {**filters, **parameters(asked), "limit": limit, "offset": offset}
    rows = await run.rows(statement(len(asked.long), frozenset(filters)), params)
    return Matches([str(text) for text, _ in rows if text is not None], int(rows[0][1]))
