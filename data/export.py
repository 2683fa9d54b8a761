"""The analysts' file: the lake as a DuckDB database, with views and a comment on every table and column."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import duckdb

from data.lake import scan

# What each table is made of: column → (expression over the Parquet file, what it means). Columns keep this order.
_TABLES: Mapping[str, tuple[str, Mapping[str, tuple[str, str]]]] = MappingProxyType(
    {
        "books": (
            "The catalogue, one row a book.",
            {
                "book_id": ("id::UUID", "Public id of the book."),
                "title": ("title", "Title without the series."),
                "author": ("author", "Author as printed."),
                "isbn": ("isbn", "ISBN-13 where known."),
                "description": ("description", "A few sentences, where there are any."),
                "publication_date": ("publication_date", "First published; 1 January where only the year is known."),
                "series": ("series", "Series, if it is of one."),
                "series_position": ("series_position", "Number in the series; 2.5 stands between 2 and 3."),
                "language": ("language", "Language code."),
                "created_at": ("created_at", "When the book came into the library, UTC."),
            },
        ),
        "genres": (
            "The genres.",
            {
                "genre_id": ("id::UUID", "Public id of the genre."),
                "name": ("name", "Name."),
                "description": ("description", "What belongs there."),
            },
        ),
        "book_genres": (
            "Which book is of which genre; a book may be of several.",
            {
                "book_id": ("book_id::UUID", "A book of books."),
                "genre_id": ("genre_id::UUID", "A genre of genres."),
            },
        ),
        "ratings": (
            "One row a reader and book. Readers are pseudonyms, the same in every export of one installation.",
            {
                "reader": ("reader", "Pseudonym: a keyed hash of the reader's id."),
                "book_id": ("book_id::UUID", "A book of books."),
                "stars": ("rating", "1 (worst) to 5 (best)."),
                "rated_at": ("created_at", "When the book was rated, UTC."),
                "changed_at": ("updated_at", "When the rating was last changed, UTC."),
            },
        ),
        "book_statistics": (
            "What the ratings say about each book, rated or not, as of the extraction.",
            {
                "book_id": ("book_id::UUID", "A book of books."),
                "ratings": ("n", "Number of ratings."),
                **{f"stars_{s}": (f"stars_{s}", f"Ratings with {s} stars.") for s in range(1, 6)},
                "mean": ("mean", "Plain mean of the stars; null when unrated."),
                "shrunken_mean": (
                    "shrunken_mean",
                    "Mean drawn towards the library's prior: compare books by this one.",
                ),
                "interval_low": ("interval_low", "Lower end of the 95 % credible interval of the shrunken mean."),
                "interval_high": ("interval_high", "Upper end of that interval."),
                "ratings_per_day": ("ratings_per_day", "Ratings a day over the last 28 days."),
                "trend": ("trend", "Binary logarithm of recent over expected ratings: 1 is twice as many as usual."),
                "is_burst": ("is_burst", "Whether the last week stands out of the book's past by more than chance."),
                "first_rated_at": ("first_at", "First rating, UTC."),
                "last_rated_at": ("last_at", "Last rating, UTC."),
            },
        ),
        "library": (
            "One row: the prior that means are drawn towards.",
            {
                "prior_mean": ("prior_mean", "What an unknown book is believed to be, in stars."),
                "prior_weight": ("prior_weight", "How many ratings that belief is worth."),
            },
        ),
    }
)
_FILES = MappingProxyType({"book_statistics": "rating_aggregates"})  # where the file is called differently

_VIEWS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "best_books": (
            "Books with their statistics, best first by the lower end of the interval: few ratings do not win.",
            """
            SELECT b.title, b.author, b.series, s.*
            FROM book_statistics AS s JOIN books AS b USING (book_id)
            WHERE s.ratings > 0
            ORDER BY s.interval_low DESC, s.book_id
            """,
        ),
        "genre_ratings": (
            "Per genre: books, ratings and mean stars. A book of two genres counts in both.",
            """
            SELECT g.name AS genre, count(*) AS books, sum(s.ratings)::BIGINT AS ratings,
                sum(s.mean * s.ratings) / nullif(sum(s.ratings), 0) AS mean
            FROM genres AS g JOIN book_genres USING (genre_id) JOIN book_statistics AS s USING (book_id)
            GROUP BY g.name
            ORDER BY ratings DESC, genre
            """,
        ),
        "author_ratings": (
            "Per author: books, ratings and mean stars.",
            """
            SELECT b.author, count(*) AS books, sum(s.ratings)::BIGINT AS ratings,
                sum(s.mean * s.ratings) / nullif(sum(s.ratings), 0) AS mean
            FROM books AS b JOIN book_statistics AS s USING (book_id)
            GROUP BY b.author
            ORDER BY ratings DESC, b.author
            """,
        ),
        "reader_activity": (
            "Per reader: ratings, mean stars, first and last rating.",
            """
            SELECT reader, count(*) AS ratings, avg(stars) AS mean,
                min(rated_at) AS first_rated_at, max(rated_at) AS last_rated_at
            FROM ratings
            GROUP BY reader
            ORDER BY ratings DESC, reader
            """,
        ),
        "ratings_by_month": (
            "Ratings, readers and mean stars a month, UTC.",
            """
            SELECT date_trunc('month', rated_at AT TIME ZONE 'UTC')::DATE AS month, count(*) AS ratings,
                count(DISTINCT reader) AS readers, avg(stars) AS mean
            FROM ratings
            GROUP BY month
            ORDER BY month
            """,
        ),
    }
)


def export(lake: Path, out: Path) -> dict[str, int]:
    """Write the lake as one DuckDB file.

    It is built aside and swapped in: who has the old one open goes on reading it, nobody sees half of the new one.

    Returns:
        Rows per table.

    Raises:
        data.lake.LakeUnreadable: a table was not extracted yet.
        OSError: the file cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    try:
        with duckdb.connect(aside) as connection:
            rows = {table: _fill(connection, lake, table) for table in _TABLES}
            for view, (meaning, query) in _VIEWS.items():
                connection.execute(f"CREATE VIEW {view} AS {query}")
                connection.execute(f"COMMENT ON VIEW {view} IS {_quoted(meaning)}")
        aside.replace(out)
    except duckdb.IOException as exc:
        raise OSError(f"cannot write {out}: {str(exc).splitlines()[0]}") from exc
    finally:
        aside.unlink(missing_ok=True)
        aside.with_name(f"{aside.name}.wal").unlink(missing_ok=True)
    return rows


def _fill(connection: duckdb.DuckDBPyConnection, lake: Path, table: str) -> int:
    meaning, columns = _TABLES[table]
    file = _FILES.get(table, table)
    scan(lake, file)  # says what to do when the file is missing
    made = ", ".join(f"{expression} AS {column}" for column, (expression, _) in columns.items())
    connection.read_parquet(str(lake / f"{file}.parquet")).project(made).create(table)
    connection.execute(f"COMMENT ON TABLE {table} IS {_quoted(meaning)}")
    for column, (_, explained) in columns.items():
        connection.execute(f"COMMENT ON COLUMN {table}.{column} IS {_quoted(explained)}")
    return len(connection.table(table))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
