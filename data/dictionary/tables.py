"""The tables of the export: from which file of the lake each column comes, and what it means."""

from collections.abc import Mapping
from types import MappingProxyType

from data.dictionary.shapes import Column, Table

BOOK, GENRE, READER = "A book of books.", "A genre of genres.", "Pseudonym: a keyed hash of the reader's id."
STARS = range(1, 6)


def _counted(of: str) -> Mapping[str, Column]:
    """Of books, genres and authors alike."""
    return {
        "ratings": Column("n", "BIGINT", "Number of ratings."),
        **{f"stars_{s}": Column(f"stars_{s}", "BIGINT", f"Ratings with {s} stars.") for s in STARS},
        "mean": Column("mean", "DOUBLE", "Plain mean of the stars; null when unrated."),
        "shrunken_mean": Column(
            "shrunken_mean",
            "DOUBLE",
            f"Mean drawn towards what an unknown {of} is believed to be: compare {of}s by this one.",
        ),
        "interval_low": Column("interval_low", "DOUBLE", "Lower end of the 95 % credible interval of shrunken_mean."),
        "interval_high": Column("interval_high", "DOUBLE", "Upper end of that interval."),
        "recent_ratings": Column("recent", "BIGINT", "Ratings of the 28 days before the extraction."),
        "past_ratings": Column("past", "BIGINT", "Ratings of the 84 days before those."),
        "ratings_per_day": Column("ratings_per_day", "DOUBLE", "recent_ratings a day."),
        "trend": Column(
            "trend",
            "DOUBLE",
            "Binary logarithm of recent over expected ratings: 1 is twice as many, -1 half; null without a past.",
        ),
        "first_rated_at": Column("first_at", "TIMESTAMPTZ", "First rating, UTC."),
        "last_rated_at": Column("last_at", "TIMESTAMPTZ", "Last rating, UTC."),
    }


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "books": Table(
            "books",
            "The catalogue, one row a book.",
            {
                "book_id": Column("id", "UUID", "Public id of the book."),
                "title": Column("title", "VARCHAR", "Title without the series."),
                "author": Column("author", "VARCHAR", "Author as printed."),
                "isbn": Column("isbn", "VARCHAR", "ISBN-13 where known."),
                "description": Column("description", "VARCHAR", "A few sentences, where there are any."),
                "publication_date": Column(
                    "publication_date", "DATE", "First published; 1 January where only the year is known."
                ),
                "series": Column("series", "VARCHAR", "Series, if it is of one."),
                "series_position": Column(
                    "series_position", "DOUBLE", "Number in the series; 2.5 stands between 2 and 3."
                ),
                "language": Column("language", "VARCHAR", "Language code."),
                "created_at": Column("created_at", "TIMESTAMPTZ", "When the book came into the library, UTC."),
            },
        ),
        "genres": Table(
            "genres",
            "The genres.",
            {
                "genre_id": Column("id", "UUID", "Public id of the genre."),
                "name": Column("name", "VARCHAR", "Name."),
                "description": Column("description", "VARCHAR", "What belongs there."),
            },
        ),
        "book_genres": Table(
            "book_genres",
            "Which book is of which genre; a book may be of several.",
            {"book_id": Column("book_id", "UUID", BOOK), "genre_id": Column("genre_id", "UUID", GENRE)},
        ),
        "ratings": Table(
            "ratings",
            "One row a reader and book. Readers are pseudonyms, the same in every export of one installation.",
            {
                "reader": Column("reader", "BIGINT", READER),
                "book_id": Column("book_id", "UUID", BOOK),
                "stars": Column("rating", "TINYINT", "1 (worst) to 5 (best)."),
                "rated_at": Column("created_at", "TIMESTAMPTZ", "When the book was rated, UTC."),
                "changed_at": Column("updated_at", "TIMESTAMPTZ", "When the rating was last changed, UTC."),
            },
        ),
        "favorites": Table(
            "favorites",
            "One row a book that a reader keeps as a favourite, rated or not.",
            {
                "reader": Column("reader", "BIGINT", READER),
                "book_id": Column("book_id", "UUID", BOOK),
                "kept_at": Column("created_at", "TIMESTAMPTZ", "Since when, UTC."),
            },
        ),
        "shown": Table(
            "shown",
            "One row a book on a page of recommendations that a signed-in reader was shown. Kept 90 days.",
            {
                "page_id": Column("page_id", "UUID", "The page."),
                "rank": Column("rank", "SMALLINT", "Place on it, from 1."),
                "reader": Column("reader", "BIGINT", READER),
                "book_id": Column("book_id", "UUID", BOOK),
                "source": Column(
                    "source", "VARCHAR", "Where the pick came from: taste, next_in_series, genres, popular …"
                ),
                "score": Column("score", "DOUBLE", "The source's own score; compare within one source only."),
                "recommendation_type": Column("recommendation_type", "VARCHAR", "Kind of the page."),
                "model_name": Column("model_name", "VARCHAR", "Registered model that answered; null without one."),
                "model_version": Column("model_version", "VARCHAR", "Its version."),
                "degraded": Column("degraded", "BOOLEAN", "Whether a source had failed."),
                "shown_at": Column("created_at", "TIMESTAMPTZ", "When, UTC."),
            },
        ),
        "feedback": Table(
            "feedback",
            "What readers did with books that they were shown; none, one or several rows a book of a page.",
            {
                "event_id": Column("event_id", "BIGINT", "Number of the event."),
                "page_id": Column("page_id", "UUID", "A page of shown."),
                "reader": Column("reader", "BIGINT", READER),
                "book_id": Column("book_id", "UUID", BOOK),
                "event": Column("event", "VARCHAR", "click, dismiss or read."),
                "happened_at": Column("created_at", "TIMESTAMPTZ", "When, UTC."),
            },
        ),
        "book_statistics": Table(
            "rating_aggregates",
            "What the ratings say about each book, rated or not, as of the extraction.",
            {
                "book_id": Column("book_id", "UUID", BOOK),
                **_counted("book"),
                "is_burst": Column(
                    "is_burst", "BOOLEAN", "Whether the last week stands out of the book's past by more than chance."
                ),
            },
        ),
        "genre_statistics": Table(
            "genre_statistics",
            "What the ratings say about each genre that has a book. A rating of a book of two genres counts in both.",
            {
                "genre_id": Column("group", "UUID", GENRE),
                "books": Column("books", "BIGINT", "Its books."),
                "rated_books": Column("rated", "BIGINT", "Those with a rating."),
                **_counted("genre"),
            },
        ),
        "author_statistics": Table(
            "author_statistics",
            "What the ratings say about each author.",
            {
                "author": Column("group", "VARCHAR", "Author as printed, as in books."),
                "books": Column("books", "BIGINT", "Their books."),
                "rated_books": Column("rated", "BIGINT", "Those with a rating."),
                **_counted("author"),
            },
        ),
        "reader_statistics": Table(
            "reader_statistics",
            "What each reader who rated did, as of the extraction.",
            {
                "reader": Column("reader", "BIGINT", READER),
                "ratings": Column("n", "BIGINT", "Number of ratings."),
                **{f"stars_{s}": Column(f"stars_{s}", "BIGINT", f"Ratings with {s} stars.") for s in STARS},
                "mean": Column("mean", "DOUBLE", "Mean of the stars given."),
                "deviation": Column("deviation", "DOUBLE", "Their standard deviation; null for a single rating."),
                "first_rated_at": Column("first_at", "TIMESTAMPTZ", "First rating, UTC."),
                "last_rated_at": Column("last_at", "TIMESTAMPTZ", "Last rating, UTC."),
                "active_days": Column("active_days", "BIGINT", "Days (UTC) with a rating."),
                "recent_ratings": Column("recent", "BIGINT", "Ratings of the 28 days before the extraction."),
            },
        ),
        "daily_activity": Table(
            "daily_activity",
            "One row a day (UTC) on which somebody rated.",
            {
                "day": Column("day", "DATE", "The day, UTC."),
                "ratings": Column("n", "BIGINT", "Number of ratings."),
                **{f"stars_{s}": Column(f"stars_{s}", "BIGINT", f"Ratings with {s} stars.") for s in STARS},
                "mean": Column("mean", "DOUBLE", "Mean of the stars."),
                "readers": Column("readers", "BIGINT", "Different readers who rated."),
                "new_readers": Column("new_readers", "BIGINT", "Readers who rated for the first time."),
            },
        ),
        "library": Table(
            "library",
            "One row: which extract this is, and the prior that the means of books are drawn towards.",
            {
                "taken_at": Column("taken_at", "TIMESTAMPTZ", "When it was extracted, UTC: what recent is recent to."),
                "fingerprint": Column(
                    "fingerprint", "VARCHAR", "The same for the same data; MLflow runs name it, too."
                ),
                "prior_mean": Column("prior_mean", "DOUBLE", "What an unknown book is believed to be, in stars."),
                "prior_weight": Column("prior_weight", "DOUBLE", "How many ratings that belief is worth."),
            },
        ),
    }
)
