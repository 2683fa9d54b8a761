"""Books, genres, and what the pipeline knows about them."""

import datetime as dt
import uuid

from sqlalchemy import CheckConstraint, Computed, Index, Numeric, Text, func, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from data.schema.base import BYTEWISE, Base, now, own_id, to


class Genre(Base):
    __tablename__ = "genres"
    id: Mapped[uuid.UUID] = own_id()
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(Text(collation=BYTEWISE))
    description: Mapped[str | None]
    created_at: Mapped[dt.datetime] = now()
    __table_args__ = (
        Index("uq_genres_name_lower", func.lower(text("name")), unique=True),
        Index(None, "name_key", "id"),
    )


class Book(Base):
    """A book, its search columns, and the counts that the triggers keep.

    ``*_key`` columns are the sortable, searchable form of a text (``data.text.sort_key``).
    """

    __tablename__ = "books"
    id: Mapped[uuid.UUID] = own_id()
    title: Mapped[str]
    author: Mapped[str]
    isbn: Mapped[str | None] = mapped_column(unique=True)
    description: Mapped[str | None]
    cover_image_url: Mapped[str | None]
    publication_date: Mapped[dt.date | None]
    series: Mapped[str | None]
    series_position: Mapped[float | None]
    language: Mapped[str | None]
    title_key: Mapped[str] = mapped_column(Text(collation=BYTEWISE))
    author_key: Mapped[str] = mapped_column(Text(collation=BYTEWISE))
    series_key: Mapped[str | None] = mapped_column(Text(collation=BYTEWISE))
    description_key: Mapped[str | None] = mapped_column(Text(collation=BYTEWISE))
    search_vector: Mapped[str] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('simple', title_key), 'A')"
            " || setweight(to_tsvector('simple', author_key), 'B')"
            " || setweight(to_tsvector('simple', coalesce(series_key, '')), 'C')"
            " || setweight(to_tsvector('simple', coalesce(description_key, '')), 'D')",
            persisted=True,
        ),
    )
    search_text: Mapped[str] = mapped_column(
        Text(collation=BYTEWISE),
        Computed("title_key || ' ' || author_key || coalesce(' ' || series_key, '')", persisted=True),
    )
    average_rating: Mapped[float | None] = mapped_column(Numeric(3, 2, asdecimal=False))
    total_reviews: Mapped[int] = mapped_column(server_default=text("0"))
    stars_1: Mapped[int] = mapped_column(server_default=text("0"))
    stars_2: Mapped[int] = mapped_column(server_default=text("0"))
    stars_3: Mapped[int] = mapped_column(server_default=text("0"))
    stars_4: Mapped[int] = mapped_column(server_default=text("0"))
    stars_5: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[dt.datetime] = now()
    updated_at: Mapped[dt.datetime] = now()
    __table_args__ = (
        CheckConstraint("isbn ~ '^97[89][0-9]{10}$'", name="isbn_13_digits"),
        CheckConstraint("total_reviews = stars_1 + stars_2 + stars_3 + stars_4 + stars_5", name="stars_add_up"),
        CheckConstraint("least(stars_1, stars_2, stars_3, stars_4, stars_5) >= 0", name="stars_not_negative"),
        CheckConstraint("(average_rating IS NULL) = (total_reviews = 0)", name="average_when_rated"),
        Index(None, "title_key", "id"),
        Index(None, "author_key", "id"),
        Index(None, "total_reviews", "id"),
        Index(None, "created_at", "id"),
        # Nulls come last in both directions, so a nullable sort column needs an index for each.
        Index(None, "average_rating", "id"),
        Index("ix_books_average_rating_desc", text("average_rating DESC NULLS LAST"), text("id DESC")),
        Index(None, "publication_date", "id"),
        Index("ix_books_publication_date_desc", text("publication_date DESC NULLS LAST"), text("id DESC")),
        Index("ix_books_series", "series_key", "series_position", postgresql_where=text("series_key IS NOT NULL")),
        Index("ix_books_search_vector", "search_vector", postgresql_using="gin"),
        Index(
            "ix_books_search_text_trgm",
            "search_text",
            postgresql_using="gin",
            postgresql_ops={"search_text": "gin_trgm_ops"},
        ),
        Index(
            "ix_books_author_key_trgm",
            "author_key",
            postgresql_using="gin",
            postgresql_ops={"author_key": "gin_trgm_ops"},
        ),
    )


class BookGenre(Base):
    __tablename__ = "book_genres"
    book_id: Mapped[uuid.UUID] = to("books.id", primary_key=True)
    genre_id: Mapped[uuid.UUID] = to("genres.id", primary_key=True)
    __table_args__ = (Index(None, "genre_id", "book_id"),)


class GenreProposal(Base):
    """A genre that the model thinks likely for a book that had none when it looked; replaced as a whole."""

    __tablename__ = "genre_proposals"
    book_id: Mapped[uuid.UUID] = to("books.id", primary_key=True)
    genre_id: Mapped[uuid.UUID] = to("genres.id", primary_key=True)
    probability: Mapped[float]
    computed_at: Mapped[dt.datetime] = now()
    __table_args__ = (
        CheckConstraint("0 <= probability AND probability <= 1", name="probability"),
        Index(None, "genre_id"),
    )


class BookStatistics(Base):
    """What the pipeline knows about a book's ratings beyond the live counts; replaced as a whole."""

    __tablename__ = "book_statistics"
    book_id: Mapped[uuid.UUID] = to("books.id", primary_key=True)
    shrunken_mean: Mapped[float]
    interval_low: Mapped[float]
    interval_high: Mapped[float]
    ratings_per_day: Mapped[float]
    trend: Mapped[float | None]
    is_burst: Mapped[bool] = mapped_column(server_default=text("false"))
    computed_at: Mapped[dt.datetime] = now()
    __table_args__ = (
        CheckConstraint("1 <= interval_low AND interval_low <= shrunken_mean", name="low_below_mean"),
        CheckConstraint("shrunken_mean <= interval_high AND interval_high <= 5", name="high_above_mean"),
    )


class LibraryStatistics(Base):
    """One row: the prior that a book's mean is shrunken towards, and how many ratings that prior is worth."""

    __tablename__ = "library_statistics"
    is_the_row: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    prior_mean: Mapped[float]
    prior_weight: Mapped[float]
    computed_at: Mapped[dt.datetime] = now()
    __table_args__ = (
        CheckConstraint("is_the_row", name="one_row"),
        CheckConstraint("prior_mean BETWEEN 1 AND 5 AND prior_weight >= 0", name="prior_plausible"),
    )
