"""What is gone, for as long as the lake may still hold it. Written by triggers (``data.migrations.changes_v1``)."""

import datetime as dt
import uuid

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from data.schema.base import THIS_TRANSACTION, Base, Xid8, now


class Tombstone(Base):
    """The key of a row that was deleted, and nothing else of it. Kept 7 days, longer than its reader's account may be.

    A page that is gone took its picks and feedback with it.
    """

    __tablename__ = "tombstones"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    of: Mapped[str]
    user_id: Mapped[uuid.UUID]
    book_id: Mapped[uuid.UUID | None]
    page_id: Mapped[uuid.UUID | None]
    event_id: Mapped[int | None] = mapped_column(BigInteger)
    deleted_in: Mapped[str] = mapped_column(Xid8(), server_default=THIS_TRANSACTION)
    created_at: Mapped[dt.datetime] = now()
    __table_args__ = (
        CheckConstraint(
            "of IN ('reviews', 'favorites', 'served_pages', 'served_picks', 'feedback_events')", name="table_known"
        ),
        Index(None, "deleted_in"),
        Index(None, "created_at"),
    )


class TombstoneHorizon(Base):
    """One row: deletions by this transaction and any before it may have been forgotten."""

    __tablename__ = "tombstone_horizon"
    is_the_row: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    forgotten: Mapped[str] = mapped_column(Xid8(), server_default=text("'0'::xid8"))
    __table_args__ = (CheckConstraint("is_the_row", name="one_row"),)
