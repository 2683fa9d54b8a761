"""Readers and their sign-ins."""

import datetime as dt
import uuid

from sqlalchemy import CheckConstraint, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from data.schema.base import Base, now, own_id, to


class User(Base):
    """A reader. Loaded readers have no password hash: nobody can sign in as one of them."""

    __tablename__ = "users"
    id: Mapped[uuid.UUID] = own_id()
    email: Mapped[str]
    password_hash: Mapped[str | None]
    first_name: Mapped[str]
    last_name: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    is_admin: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    origin: Mapped[str] = mapped_column(default="registered", server_default="registered")
    created_at: Mapped[dt.datetime] = now()
    updated_at: Mapped[dt.datetime] = now()
    __table_args__ = (
        Index("uq_users_email_lower", func.lower(text("email")), unique=True),
        CheckConstraint("origin IN ('registered', 'sample', 'goodbooks', 'generated')", name="origin_known"),
    )


class TokenFamily(Base):
    """One sign-in. Revoking it ends its refresh tokens and its access tokens at once."""

    __tablename__ = "token_families"
    id: Mapped[uuid.UUID] = own_id()
    user_id: Mapped[uuid.UUID] = to("users.id")
    created_at: Mapped[dt.datetime] = now()
    expires_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))


class RefreshToken(Base):
    """One link of a family. Only the SHA-256 of the token is kept."""

    __tablename__ = "refresh_tokens"
    id: Mapped[uuid.UUID] = own_id()
    family_id: Mapped[uuid.UUID] = to("token_families.id")
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[dt.datetime] = now()
    used_at: Mapped[dt.datetime | None]
    __table_args__ = (Index(None, "family_id"), CheckConstraint("octet_length(token_hash) = 32", name="sha256"))
