"""Accounts, sessions (token families) and refresh tokens in Postgres."""

import datetime as dt
import uuid
from typing import NamedTuple

from serving.kit.auth import SessionId, UserId
from serving.kit.db import Runs


class Account(NamedTuple):
    """A row of users. ``password_hash`` is ``None`` for loaded readers, whom nobody can sign in as."""

    id: UserId
    email: str
    password_hash: str | None
    first_name: str
    last_name: str
    is_active: bool
    is_admin: bool
    created_at: dt.datetime
    updated_at: dt.datetime


ACCOUNT = "id, email, password_hash, first_name, last_name, is_active, is_admin, created_at, updated_at"
_INSERT = f"""
INSERT INTO users (email, password_hash, first_name, last_name)
VALUES (%(email)s, %(password_hash)s, %(first_name)s, %(last_name)s)
RETURNING {ACCOUNT}
"""  # noqa: S608  a constant of this module
_BY_EMAIL = f"SELECT {ACCOUNT} FROM users WHERE lower(email) = lower(%(email)s)"  # noqa: S608  a constant of this module
_NEW_HASH = """
UPDATE users SET password_hash = %(password_hash)s WHERE id = %(user)s AND password_hash = %(instead_of)s RETURNING 1
"""
# The password that was verified must still be the account's: a change of password that comes between ends this sign-in.
_OPEN_SESSION = """
WITH account AS (SELECT id FROM users WHERE id = %(user)s AND password_hash = %(password_hash)s FOR NO KEY UPDATE),
family AS (
    INSERT INTO token_families (user_id, expires_at) SELECT id, clock_timestamp() + %(life)s FROM account RETURNING id
)
INSERT INTO refresh_tokens (family_id, token_hash) SELECT id, %(token_hash)s FROM family RETURNING family_id
"""
_KNOWN = """
SELECT t.id, t.used_at IS NOT NULL, f.id, f.revoked_at IS NOT NULL, f.expires_at <= clock_timestamp(), f.user_id
FROM refresh_tokens t JOIN token_families f ON f.id = t.family_id
WHERE t.token_hash = %(token_hash)s
FOR UPDATE OF t
"""
_ROTATE = """
WITH used AS (UPDATE refresh_tokens SET used_at = clock_timestamp() WHERE id = %(token)s),
alive AS (UPDATE token_families SET expires_at = clock_timestamp() + %(life)s WHERE id = %(session)s)
INSERT INTO refresh_tokens (family_id, token_hash) VALUES (%(session)s, %(token_hash)s)
"""
_BY_ID = f"SELECT {ACCOUNT} FROM users WHERE id = %(user)s"  # noqa: S608  a constant of this module
_REVOKE_OTHERS = """
UPDATE token_families SET revoked_at = clock_timestamp()
WHERE user_id = %(user)s AND id <> %(session)s AND revoked_at IS NULL
"""
_RENEW = """
WITH dead AS (DELETE FROM refresh_tokens WHERE family_id = %(session)s),
alive AS (UPDATE token_families SET expires_at = clock_timestamp() + %(life)s WHERE id = %(session)s)
INSERT INTO refresh_tokens (family_id, token_hash) VALUES (%(session)s, %(token_hash)s)
"""
_REVOKE = "UPDATE token_families SET revoked_at = clock_timestamp() WHERE id = %(session)s AND revoked_at IS NULL"


class KnownToken(NamedTuple):
    """A refresh token that was once given out. Its row stays locked until the transaction ends."""

    id: uuid.UUID
    used: bool
    session: SessionId
    revoked: bool
    expired: bool
    user: UserId


async def insert(run: Runs, email: str, password_hash: str, first_name: str, last_name: str) -> Account:
    """Raises psycopg.errors.UniqueViolation (``uq_users_email_lower``) when the e-mail is taken."""
    rows = await run.rows(
        _INSERT,
        {"email": email, "password_hash": password_hash, "first_name": first_name, "last_name": last_name},
    )
    return Account(*rows[0])


async def by_email(run: Runs, email: str) -> Account | None:
    row = await run.row(_BY_EMAIL, {"email": email})
    return None if row is None else Account(*row)


async def by_id(run: Runs, user: UserId) -> Account | None:
    row = await run.row(_BY_ID, {"user": user})
    return None if row is None else Account(*row)


async def keep_hash(run: Runs, user: UserId, password_hash: str, instead_of: str) -> bool:
    """False when the account has another password by now."""
    params = {"user": user, "password_hash": password_hash, "instead_of": instead_of}
    return bool(await run.rows(_NEW_HASH, params))


async def make_admin(run: Runs, user: UserId) -> None:
    await run.rows("UPDATE users SET is_admin = true WHERE id = %(user)s", {"user": user})


async def open_session(run: Runs, account: Account, token_hash: bytes, life: dt.timedelta) -> SessionId | None:
    """``None`` when the account is gone, or has another password than ``account`` says."""
    known = {"user": account.id, "password_hash": account.password_hash}
    row = await run.row(_OPEN_SESSION, {**known, "token_hash": token_hash, "life": life})
    return None if row is None else SessionId(row[0])


async def renew_only(run: Runs, user: UserId, session: SessionId, token_hash: bytes, life: dt.timedelta) -> None:
    """End all sessions but this one, and give this one a new refresh token instead of all it had."""
    await run.rows(_REVOKE_OTHERS, {"user": user, "session": session})
    await run.rows(_RENEW, {"session": session, "token_hash": token_hash, "life": life})


async def refresh_token(run: Runs, token_hash: bytes) -> KnownToken | None:
    row = await run.row(_KNOWN, {"token_hash": token_hash})
    return None if row is None else KnownToken(*row)


async def rotate(run: Runs, old: KnownToken, token_hash: bytes, life: dt.timedelta) -> None:
    await run.rows(_ROTATE, {"token": old.id, "session": old.session, "token_hash": token_hash, "life": life})


async def revoke(run: Runs, session: SessionId) -> None:
    await run.rows(_REVOKE, {"session": session})
