"""What all tables share: naming convention, column types, and the three columns that recur."""

import datetime as dt
import uuid
from typing import Any, ClassVar

from sqlalchemy import DateTime, Double, ForeignKey, MetaData, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import base as postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# Sort keys are made in Python (data.text): the database compares bytes, and no locale can change an order.
BYTEWISE = "C"
NOW = text("clock_timestamp()")  # not now(): two writes of one transaction keep their order


class Xid8(UserDefinedType[str]):
    """The number of a transaction, which never comes again (PostgreSQL's ``xid8``)."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


postgresql.ischema_names["xid8"] = Xid8  # so that a table can be compared with its description
THIS_TRANSACTION = text("pg_current_xact_id()")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dt.datetime: DateTime(timezone=True),
        str: Text(),
        float: Double(),
        uuid.UUID: Uuid(),
    }


def own_id() -> Mapped[uuid.UUID]:
    return mapped_column(primary_key=True, default=uuid.uuid4, server_default=func.gen_random_uuid())


def now() -> Mapped[dt.datetime]:
    return mapped_column(server_default=NOW)


def to(target: str, *, primary_key: bool = False) -> Mapped[uuid.UUID]:
    """A reference that goes away with the row it points to."""
    return mapped_column(ForeignKey(target, ondelete="CASCADE"), primary_key=primary_key)


def changed_in() -> Mapped[str | None]:
    """The transaction that wrote the row last; the lake asks for what changed by it. NULL: before migration 0004."""
    return mapped_column(Xid8(), server_default=THIS_TRANSACTION)
