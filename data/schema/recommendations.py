"""What readers want from recommendations, what they were shown, what they did with it."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from data.schema.base import Base, changed_in, now, own_id, to


class ReaderSettings(Base):
    """How a reader wants to be recommended to. No row means the defaults."""

    __tablename__ = "reader_settings"
    user_id: Mapped[uuid.UUID] = to("users.id", primary_key=True)
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    diversity: Mapped[float | None]
    updated_at: Mapped[dt.datetime] = now()
    __table_args__ = (CheckConstraint("diversity BETWEEN 0 AND 1", name="diversity_0_to_1"),)


class MutedBook(Base):
    """Do not judge me by this book of mine."""

    __tablename__ = "muted_books"
    user_id: Mapped[uuid.UUID] = to("users.id", primary_key=True)
    book_id: Mapped[uuid.UUID] = to("books.id", primary_key=True)
    created_at: Mapped[dt.datetime] = now()
    __table_args__ = (Index(None, "book_id"),)


class HiddenBook(Base):
    """Never show me this book, in any recommendation."""

    __tablename__ = "hidden_books"
    user_id: Mapped[uuid.UUID] = to("users.id", primary_key=True)
    book_id: Mapped[uuid.UUID] = to("books.id", primary_key=True)
    created_at: Mapped[dt.datetime] = now()
    __table_args__ = (Index(None, "book_id"),)


class ServedPage(Base):
    """A list of recommendations that a signed-in reader was shown. Kept 90 days."""

    __tablename__ = "served_pages"
    id: Mapped[uuid.UUID] = own_id()
    user_id: Mapped[uuid.UUID] = to("users.id")
    recommendation_type: Mapped[str]
    model_name: Mapped[str | None]
    model_version: Mapped[str | None]
    filters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    degraded: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[dt.datetime] = now()
    changed_in: Mapped[str | None] = changed_in()
    __table_args__ = (
        Index(None, "user_id", "created_at"),
        Index(None, "created_at"),
        Index(None, "changed_in"),
    )


class ServedPick(Base):
    """A book of a page: written in the page's transaction, and never changed."""

    __tablename__ = "served_picks"
    page_id: Mapped[uuid.UUID] = to("served_pages.id", primary_key=True)
    rank: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    book_id: Mapped[uuid.UUID] = to("books.id")
    source: Mapped[str]
    score: Mapped[float]
    __table_args__ = (UniqueConstraint("page_id", "book_id"), Index(None, "book_id"))


class FeedbackEvent(Base):
    """What the reader did with a pick of a served page."""

    __tablename__ = "feedback_events"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    page_id: Mapped[uuid.UUID] = to("served_pages.id")
    book_id: Mapped[uuid.UUID] = to("books.id")
    event: Mapped[str]
    created_at: Mapped[dt.datetime] = now()
    changed_in: Mapped[str | None] = changed_in()
    __table_args__ = (
        CheckConstraint("event IN ('click', 'dismiss', 'read')", name="event_known"),
        Index(None, "page_id", "book_id"),
        Index(None, "book_id"),
        Index(None, "created_at"),
        Index(None, "changed_in"),
    )
