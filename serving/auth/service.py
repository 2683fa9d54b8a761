"""Sign-up, sign-in, sessions."""

from collections.abc import Mapping

import psycopg
import structlog

from serving.auth import queries
from serving.auth.queries import Account
from serving.auth.schemas import PasswordChange, Registration
from serving.kit.auth import CurrentReader, Passwords, SessionId, Tokens, digest
from serving.kit.db import Database, Runs, Transaction, violated
from serving.kit.envelope import timestamp
from serving.kit.errors import (
    AccountDisabled,
    EmailTaken,
    InvalidCredentials,
    TokenExpired,
    TokenReused,
    Unauthorized,
    WrongPassword,
)

log = structlog.get_logger(__name__)

Answer = Mapping[str, object]


def shown(account: Account | CurrentReader) -> Answer:
    """The ``User`` shape."""
    return {
        "id": account.id,
        "email": account.email,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "is_active": account.is_active,
        "is_admin": account.is_admin,
        "created_at": timestamp(account.created_at),
        "updated_at": timestamp(account.updated_at),
    }


def _given(account: Account, session: SessionId, refresh: str, tokens: Tokens) -> Answer:
    return {
        "access_token": tokens.access(account.id, session),
        "refresh_token": refresh,
        "token_type": "bearer",
        "expires_in": int(tokens.access_life.total_seconds()),
        "user": shown(account),
    }


async def _signed_in(run: Runs, account: Account, tokens: Tokens) -> Answer:
    refresh = tokens.refresh()
    session = await queries.open_session(run, account, digest(refresh), tokens.refresh_life)
    if session is None:
        raise InvalidCredentials
    return _given(account, session, refresh, tokens)


async def register(run: Transaction, draft: Registration, passwords: Passwords, tokens: Tokens) -> Answer:
    """The database decides whether the address is free, also when it arrives twice at once.

    Raises:
        EmailTaken; Invalid: the password can be guessed.
    """
    await passwords.refuse_guessable("password", draft.password, draft)
    password_hash = await passwords.hashed(draft.password)
    try:
        account = await queries.insert(run, draft.email, password_hash, draft.first_name, draft.last_name)
    except psycopg.errors.UniqueViolation as exc:
        if violated(exc, "uq_users_email_lower"):
            raise EmailTaken from exc
        raise
    log.info("registered", user_id=str(account.id))
    return await _signed_in(run, account, tokens)


async def login(database: Database, email: str, password: str, passwords: Passwords, tokens: Tokens) -> Answer:
    """Raises InvalidCredentials, and AccountDisabled only to whoever has the right password.

    No connection is held while the password is hashed.
    """
    account = await queries.by_email(database, email.strip())
    fits, newer_hash = await passwords.verified(password, account.password_hash if account else None)
    if account is None or not fits:
        raise InvalidCredentials
    if not account.is_active:
        raise AccountDisabled
    async with database.transaction() as run:
        given = await _signed_in(run, account, tokens)
        if newer_hash is not None and account.password_hash is not None:
            await queries.keep_hash(run, account.id, newer_hash, account.password_hash)
        return given


async def refresh(database: Database, token: str, tokens: Tokens) -> Answer:
    """A new pair of tokens for a refresh token that was never used.

    A token that was used before has been stolen, or its owner's has: nobody can tell which of the two holds the newer
    one, so the whole session ends (RFC 9700 section 4.14.2). The revocation is kept although the request is refused,
    which is why the transaction ends before the refusal is raised.

    Raises:
        Unauthorized: unknown token or ended session; TokenExpired; TokenReused; AccountDisabled.
    """
    async with database.transaction() as run:
        known = await queries.refresh_token(run, digest(token))
        if known is None:
            raise Unauthorized
        if not known.used:
            return await _rotated(run, known, tokens)
        await queries.revoke(run, known.session)
    log.warning("refresh token reused", user_id=str(known.user), session=str(known.session))
    raise TokenReused


async def _rotated(run: Transaction, known: queries.KnownToken, tokens: Tokens) -> Answer:
    if known.revoked:
        raise Unauthorized
    if known.expired:
        raise TokenExpired
    account = await queries.by_id(run, known.user)
    if account is None:
        raise Unauthorized
    if not account.is_active:
        raise AccountDisabled
    newer = tokens.refresh()
    await queries.rotate(run, known, digest(newer), tokens.refresh_life)
    return _given(account, known.session, newer, tokens)


async def verified(database: Database, reader: CurrentReader, password: str, passwords: Passwords) -> Account:
    """The account of a reader who knows their password. No connection is held while it is hashed.

    Raises:
        WrongPassword; Unauthorized: the account is gone.
    """
    account = await queries.by_id(database, reader.id)
    if account is None:
        raise Unauthorized
    fits, _ = await passwords.verified(password, account.password_hash)
    if not fits:
        raise WrongPassword
    return account


async def change_password(
    database: Database, reader: CurrentReader, change: PasswordChange, passwords: Passwords, tokens: Tokens
) -> Answer:
    """Keeps this session alone, with new tokens.

    Raises:
        WrongPassword; Invalid: the new password can be guessed.
    """
    account = await verified(database, reader, change.current_password, passwords)
    await passwords.refuse_guessable("new_password", change.new_password, account)
    password_hash = await passwords.hashed(change.new_password)
    refresh = tokens.refresh()
    async with database.transaction() as run:
        # Of two changes at once the second finds that its current password is no longer the current one.
        if not await queries.keep_hash(run, account.id, password_hash, account.password_hash or ""):
            raise WrongPassword
        await queries.renew_only(run, account.id, reader.session, digest(refresh), tokens.refresh_life)
    log.info("password changed", user_id=str(account.id))
    return _given(account, reader.session, refresh, tokens)


async def logout(run: Runs, session: SessionId) -> None:
    await queries.revoke(run, session)
