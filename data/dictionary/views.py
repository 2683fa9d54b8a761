"""The views of the export: questions that come up often, asked once."""

from collections.abc import Mapping
from types import MappingProxyType

from data.dictionary.shapes import View
from data.dictionary.tables import TABLES

_STATISTICS, _OF_GENRES, _OF_AUTHORS, _OF_READERS = (
    {name: column.meaning for name, column in TABLES[f"{of}_statistics"].columns.items()}
    for of in ("book", "genre", "author", "reader")
)

VIEWS: Mapping[str, View] = MappingProxyType(
    {
        "best_books": View(
            "Rated books with their statistics, best first by the lower end of the interval: few ratings do not win.",
            {"title": "Title.", "author": "Author as printed.", "series": "Series, if it is of one.", **_STATISTICS},
            """
            SELECT b.title, b.author, b.series, s.*
            FROM book_statistics AS s JOIN books AS b USING (book_id)
            WHERE s.ratings > 0
            ORDER BY s.interval_low DESC, s.book_id
            """,
        ),
        "divisive_books": View(
            "Books with at least 20 ratings, those first about which readers disagree most.",
            {
                "title": "Title.",
                "author": "Author as printed.",
                "book_id": "A book of books.",
                "ratings": "Number of ratings.",
                "mean": "Plain mean of the stars.",
                "deviation": "Standard deviation of the stars: 0 when all agree, 2 when half give 1 and half 5.",
                "share_of_1": "Share of the ratings with 1 star, 0 to 1.",
                "share_of_5": "Share of the ratings with 5 stars, 0 to 1.",
            },
            """
            SELECT b.title, b.author, s.book_id, s.ratings, s.mean,
                sqrt((s.stars_1 + 4 * s.stars_2 + 9 * s.stars_3 + 16 * s.stars_4 + 25 * s.stars_5) / s.ratings
                    - s.mean * s.mean) AS deviation,
                s.stars_1 / s.ratings AS share_of_1, s.stars_5 / s.ratings AS share_of_5
            FROM book_statistics AS s JOIN books AS b USING (book_id)
            WHERE s.ratings >= 20
            ORDER BY deviation DESC, s.book_id
            """,
        ),
        "genre_ratings": View(
            "Genres by name with their statistics, most rated first.",
            {"genre": "Name of the genre.", **_OF_GENRES},
            """
            SELECT g.name AS genre, s.*
            FROM genre_statistics AS s JOIN genres AS g USING (genre_id)
            ORDER BY s.ratings DESC, genre
            """,
        ),
        "author_ratings": View(
            "Authors with their statistics, most rated first.",
            _OF_AUTHORS,
            "SELECT * FROM author_statistics ORDER BY ratings DESC, author",
        ),
        "reader_activity": View(
            "Readers with what they did, most active first.",
            _OF_READERS,
            "SELECT * FROM reader_statistics ORDER BY ratings DESC, reader",
        ),
        "ratings_by_month": View(
            "Ratings, readers and mean stars a month, UTC.",
            {
                "month": "First day of the month.",
                "ratings": "Number of ratings.",
                "readers": "Different readers who rated.",
                "new_readers": "Readers who rated for the first time.",
                "mean": "Mean of the stars.",
            },
            """
            SELECT m.month, m.ratings, m.readers, coalesce(f.new_readers, 0) AS new_readers, m.mean
            FROM (
                SELECT date_trunc('month', rated_at AT TIME ZONE 'UTC')::DATE AS month, count(*) AS ratings,
                    count(DISTINCT reader) AS readers, avg(stars) AS mean
                FROM ratings GROUP BY ALL
            ) AS m LEFT JOIN (
                SELECT date_trunc('month', first_rated_at AT TIME ZONE 'UTC')::DATE AS month, count(*) AS new_readers
                FROM reader_statistics GROUP BY ALL
            ) AS f USING (month)
            ORDER BY m.month
            """,
        ),
        "reader_cohorts": View(
            "Of the readers who came in a month, how many rated again so many months later.",
            {
                "cohort": "First day of the month of the first rating, UTC.",
                "months_later": "Months since then; 0 is the month itself.",
                "readers": "Readers of the cohort.",
                "active": "Those of them who rated in that later month.",
                "retention": "active over readers, 0 to 1.",
            },
            """
            WITH came AS (
                SELECT reader, date_trunc('month', first_rated_at AT TIME ZONE 'UTC')::DATE AS cohort
                FROM reader_statistics
            ), seen AS (
                SELECT DISTINCT reader, date_trunc('month', rated_at AT TIME ZONE 'UTC')::DATE AS month FROM ratings
            ), size AS (SELECT cohort, count(*) AS readers FROM came GROUP BY cohort)
            SELECT cohort, date_diff('month', cohort, month) AS months_later, any_value(size.readers) AS readers,
                count(*) AS active, count(*) / any_value(size.readers) AS retention
            FROM came JOIN seen USING (reader) JOIN size USING (cohort)
            GROUP BY cohort, months_later
            ORDER BY cohort, months_later
            """,
        ),
    }
)
