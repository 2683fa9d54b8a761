"""What readers say about books, and what follows from it."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, Date, Index, LargeBinary, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from data.schema.base import Base, changed_in, now, own_id, to


class Review(Base):
    """A reader's rating of a book, with or without words.

    ``created_at`` is when the book was rated: models learn order from it.
    """

    __tablename__ = "reviews"
    id: Mapped[uuid.UUID] = own_id()
    user_id: Mapped[uuid.UUID] = to("users.id")
    book_id: Mapped[uuid.UUID] = to("books.id")
    rating: Mapped[int] = mapped_column(SmallInteger)
    review_text: Mapped[str | None]
    created_at: Mapped[dt.datetime] = now()
    updated_at: Mapped[dt.datetime] = now()
    changed_in: Mapped[str | None] = changed_in()
    __table_args__ = (
        UniqueConstraint("user_id", "book_id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating_1_to_5"),
        Index(None, "book_id", "created_at", "id"),
        Index(None, "book_id", "updated_at", "id"),
        Index(None, "book_id", "rating", "id"),
        # Of 20,000 reviews of one book, the newest with five stars: 0.5 ms instead of 6.5.
        Index(None, "book_id", "rating", "created_at", "id"),
        Index(None, "book_id", "rating", "updated_at", "id"),
        # Covers the fold-in: a reader's books and stars in the order they were rated, from the index alone. A reader's
        # own list in another order is sorted in memory: it does not grow with the library, and indexes cost every load.
        Index(
            "ix_reviews_user_id_created_at_id", "user_id", "created_at", "id", postgresql_include=["book_id", "rating"]
        ),
        Index(
            "ix_reviews_user_id_text",
            "user_id",
            func.md5(text("review_text")),
            postgresql_where=text("review_text IS NOT NULL"),
        ),
        Index(None, "updated_at", "id"),
        Index(None, "changed_in"),
    )


class BookDay(Base):
    """Ratings of one book on one UTC day: what popular and trending count. Kept by the triggers."""

    __tablename__ = "book_days"
    book_id: Mapped[uuid.UUID] = to("books.id", primary_key=True)
    day: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    n: Mapped[int]
    sum: Mapped[int]
    __table_args__ = (
        CheckConstraint("n > 0 AND sum BETWEEN n AND 5 * n", name="plausible"),
        Index("ix_book_days_day_book_id", "day", "book_id", postgresql_include=["n", "sum"]),
    )


class Favorite(Base):
    __tablename__ = "favorites"
    user_id: Mapped[uuid.UUID] = to("users.id", primary_key=True)
    book_id: Mapped[uuid.UUID] = to("books.id", primary_key=True)
    created_at: Mapped[dt.datetime] = now()
    changed_in: Mapped[str | None] = changed_in()
    __table_args__ = (
        Index(None, "user_id", "created_at", "book_id"),
        Index(None, "book_id"),
        Index(None, "changed_in"),
    )


class IdempotencyKey(Base):
    """The answer that a key got, so that the same request sent twice gets it twice. Kept 24 hours."""

    __tablename__ = "idempotency_keys"
    user_id: Mapped[uuid.UUID] = to("users.id", primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    answer: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[dt.datetime] = now()
    __table_args__ = (Index(None, "created_at"), CheckConstraint("octet_length(request_hash) = 32", name="sha256"))
