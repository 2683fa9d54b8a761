"""Who asks: passwords, tokens, and the reader behind a request."""

import datetime as dt
import functools
import hashlib
import os
import secrets
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Final, NewType, cast

import anyio
import anyio.to_thread
import jwt
from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from serving.kit.db import DatabaseDep
from serving.kit.errors import AccountDisabled, Detail, Forbidden, Invalid, TokenExpired, Unauthorized
from serving.kit.keys import Keys
from serving.kit.metrics import Metrics
from serving.kit.passwords import Person, is_guessable
from serving.settings import ServiceSettings

UserId = NewType("UserId", uuid.UUID)
SessionId = NewType("SessionId", uuid.UUID)  # a token family: one sign-in

LOGIN_PATH: Final = "/api/v1/auth/login"
_ISSUER = "brs"
# OWASP Password Storage Cheat Sheet, second of its equal choices: 19 MiB, 2 passes, 1 lane; about 20 ms of one core.
_HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))


@dataclass(frozen=True, slots=True)
class CurrentReader:
    """The reader who signed in, as the database has them at this moment."""

    id: UserId
    session: SessionId
    email: str
    first_name: str
    last_name: str
    is_active: bool
    is_admin: bool
    created_at: dt.datetime
    updated_at: dt.datetime


@functools.cache
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_hex())


class Passwords:
    """Hashes in threads, as many at once as there are processors: each takes 19 MiB and a core."""

    def __init__(self) -> None:
        self._at_once = anyio.CapacityLimiter(os.cpu_count() or 1)
        self._judging = anyio.CapacityLimiter(1)

    async def refuse_guessable(self, field: str, password: str, person: Person) -> None:
        """Judge a new password in a thread: it takes up to half a second of one core.

        Raises:
            Invalid: the password, sent as ``field``, can be guessed.
        """
        if await anyio.to_thread.run_sync(is_guessable, password, person, limiter=self._judging):
            raise Invalid([Detail(field, "This password is too easy to guess", "password_too_weak")])

    async def hashed(self, password: str) -> str:
        return await anyio.to_thread.run_sync(_HASHER.hash, password, limiter=self._at_once)

    async def verified(self, password: str, known: str | None) -> tuple[bool, str | None]:
        """Whether ``password`` fits, and a newer hash to keep when the parameters have changed.

        Without a hash (unknown account, or one that nobody can sign in to) the same work is done, so that the time of
        the answer does not tell which accounts exist.
        """

        def work() -> tuple[bool, str | None]:
            fits, newer = _HASHER.verify_and_update(password, known if known is not None else _nobodys_hash())
            return (fits, newer) if known is not None else (False, None)

        return await anyio.to_thread.run_sync(work, limiter=self._at_once)


class Tokens:
    """Makes and reads access tokens (JWT) and makes refresh tokens (random; only their SHA-256 is kept)."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.keys = Keys(settings)
        self.access_life = settings.access_token_life
        self.refresh_life = settings.refresh_token_life

    def access(self, user: UserId, session: SessionId) -> str:
        now = dt.datetime.now(dt.UTC)
        claims = {"iss": _ISSUER, "sub": str(user), "sid": str(session), "iat": now, "exp": now + self.access_life}
        return self.keys.sign(claims)

    def read(self, token: str) -> tuple[UserId, SessionId]:
        """Raises TokenExpired or Unauthorized."""
        try:
            claims = self.keys.verified(token, _ISSUER, {"require": ["exp", "iat", "sub", "sid"]})
            return UserId(uuid.UUID(claims["sub"])), SessionId(uuid.UUID(claims["sid"]))
        except jwt.ExpiredSignatureError as exc:
            raise TokenExpired from exc
        except (jwt.InvalidTokenError, ValueError, AttributeError, TypeError) as exc:
            raise Unauthorized from exc

    def owner(self, token: str) -> UserId | None:
        """Whose token this is, also when it has expired; ``None`` when it was not signed here."""
        try:
            claims = self.keys.verified(token, _ISSUER, {"verify_exp": False})
            return UserId(uuid.UUID(claims["sub"]))
        except (jwt.InvalidTokenError, KeyError, ValueError, AttributeError, TypeError):
            return None

    @staticmethod
    def refresh() -> str:
        return secrets.token_urlsafe(32)


def digest(refresh_token: str) -> bytes:
    """SHA-256; a random 256-bit token needs no slow hash."""
    return hashlib.sha256(refresh_token.encode()).digest()


# Only documents the scheme: `_given` reads the header, because a bad scheme is not the same as no header.
_documented = OAuth2PasswordBearer(
    tokenUrl=LOGIN_PATH, auto_error=False, description="Sign in with e-mail and password"
)
OPTIONAL_IN_DOCS: Final[dict[str, Any]] = {"security": [{}, {"OAuth2PasswordBearer": []}]}

_READER: Final = """
SELECT u.id, f.id, u.email, u.first_name, u.last_name, u.is_active, u.is_admin, u.created_at, u.updated_at
FROM token_families f JOIN users u ON u.id = f.user_id
WHERE f.id = %(session)s AND u.id = %(user)s AND f.revoked_at IS NULL AND f.expires_at > clock_timestamp()
"""


async def tokens(request: Request) -> Tokens:
    return cast("Tokens", request.app.state.tokens)


TokensDep = Annotated[Tokens, Depends(tokens)]


async def passwords(request: Request) -> Passwords:
    return cast("Passwords", request.app.state.passwords)


PasswordsDep = Annotated[Passwords, Depends(passwords)]


async def metrics(request: Request) -> Metrics:
    return cast("Metrics", request.app.state.metrics)


MetricsDep = Annotated[Metrics, Depends(metrics)]


def _given(request: Request) -> str | None:
    """The bearer token, ``None`` without any ``Authorization`` header."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized
    return token.strip()


async def optional_reader(
    request: Request, database: DatabaseDep, signs: TokensDep, _: Annotated[str | None, Depends(_documented)] = None
) -> CurrentReader | None:
    token = _given(request)
    if token is None:
        return None
    user, session = signs.read(token)
    row = await database.row(_READER, {"user": user, "session": session})
    if row is None:
        raise Unauthorized
    reader = CurrentReader(*row)
    if not reader.is_active:
        raise AccountDisabled
    return reader


OptionalReader = Annotated[CurrentReader | None, Depends(optional_reader)]


async def current_reader(reader: OptionalReader) -> CurrentReader:
    if reader is None:
        raise Unauthorized
    return reader


SignedIn = Annotated[CurrentReader, Depends(current_reader)]


async def admin(reader: SignedIn) -> CurrentReader:
    if not reader.is_admin:
        raise Forbidden
    return reader


Admin = Annotated[CurrentReader, Depends(admin)]
