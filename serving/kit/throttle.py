"""Where the limits take hold: around every request, and around the attempts to sign in."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Final, cast
from weakref import WeakValueDictionary

import structlog
from fastapi import Depends, Request
from fastapi.routing import APIRoute, iter_route_contexts
from limits import RateLimitItem
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.kit.auth import SignedIn
from serving.kit.callers import Callers
from serving.kit.envelope import failure
from serving.kit.errors import ApiError, BurstLimitExceeded, InvalidCredentials, RateLimitExceeded
from serving.kit.limits import Budgets, Limiter, Standing
from serving.kit.metrics import Metrics

log = structlog.get_logger(__name__)

NOT_LIMITED: Final = frozenset(
    {
        "/health",
        "/metrics",
        "/openapi.json",
        "/api/v1/monitoring/metrics",
        "/api/v1/monitoring/health/detailed",
        "/api/v1/monitoring/health/liveness",
        "/api/v1/monitoring/health/readiness",
    }
)
_DOCS: Final = ("/docs", "/redoc", "/static-offline-docs")
_LOGINS: Final = frozenset({"/api/v1/auth/login", "/api/v1/auth/login/json"})
_REGISTER: Final = "/api/v1/auth/register"
_IMPORT: Final = "/api/v1/users/import/goodreads"
_HELD: Final = "brs.throttle"
_STATUS: Final = 429


class Throttle:
    """The limits of one application, or none when they are off.

    Args:
        limiter: ``None``: limits are off.
        budgets: What is allowed.
        callers: Tells callers apart.
        metrics: Where refusals are counted.
    """

    def __init__(self, limiter: Limiter | None, budgets: Budgets, callers: Callers, metrics: Metrics) -> None:
        self.limiter = limiter
        self.budgets = budgets
        self.callers = callers
        self._metrics = metrics
        # One attempt at a time per address and per account: else many that begin together would all be checked before
        # the first of them is counted.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """While the application runs."""
        if self.limiter is None:
            yield
            return
        self.limiter.started()
        try:
            yield
        finally:
            await self.limiter.close()

    def refused(self, error: type[ApiError], budget: str) -> ApiError:
        self._metrics.limited.labels(budget).inc()
        return error()

    def turn(self, key: str) -> asyncio.Lock:
        return self._turns.setdefault(key, asyncio.Lock())


class Passage:
    """One request on its way: how its caller stands now, for the answer's headers."""

    def __init__(self, throttle: Throttle, scope: Scope) -> None:
        self._throttle = throttle
        self._budgets = throttle.budgets
        self._scope = scope
        self.standing: Standing | None = None

    @property
    def _limiter(self) -> Limiter:
        return cast("Limiter", self._throttle.limiter)

    async def admit(self) -> None:
        """Raises RateLimitExceeded or BurstLimitExceeded."""
        path, method = self._scope["path"], self._scope["method"]
        address = self._throttle.callers.address(self._scope)
        if method == "POST" and path in _LOGINS:
            await self._check_logins(f"address:{address}")
        elif method == "POST" and path == _REGISTER:
            await self._spend(self._budgets.registrations, address, "register")
        else:
            user = self._throttle.callers.user(self._scope)
            if user is None or path != _IMPORT:
                await self._keep_pace(address if user is None else str(user), signed_in=user is not None)

    async def _keep_pace(self, caller: str, *, signed_in: bool) -> None:
        """Both windows hold. What one of them refuses is not counted by the other."""
        minute, burst = self._budgets.signed_in if signed_in else self._budgets.anonymous
        longer = await self._limiter.standing(minute, caller)
        if longer is None:
            return
        has_left = longer.remaining > 0
        fits_at_once = await self._limiter.take(burst, caller) if has_left else await self._is_left(burst, caller)
        if not fits_at_once:
            self.standing = await self._limiter.standing(burst, caller)
            raise self._throttle.refused(BurstLimitExceeded, "burst")
        if not has_left or not await self._limiter.take(minute, caller):
            self.standing = longer._replace(remaining=0)
            raise self._throttle.refused(RateLimitExceeded, "general")
        self.standing = longer.after_one()

    async def _is_left(self, window: RateLimitItem, caller: str) -> bool:
        standing = await self._limiter.standing(window, caller)
        return standing is None or standing.remaining > 0

    async def _spend(self, window: RateLimitItem, caller: str, budget: str) -> None:
        taken = await self._limiter.take(window, caller)
        self.standing = await self._limiter.standing(window, caller)
        if not taken:
            raise self._throttle.refused(RateLimitExceeded, budget)

    async def spend_import(self, caller: str) -> None:
        await self._spend(self._budgets.imports, caller, "import")

    async def _check_logins(self, *keys: str) -> None:
        standings = [await self._limiter.standing(self._budgets.failed_logins, key, always=True) for key in keys]
        self.standing = min((one for one in standings if one is not None), key=_severity)
        if self.standing.remaining <= 0:
            raise self._throttle.refused(RateLimitExceeded, "login")

    @contextlib.asynccontextmanager
    async def attempt(self, account: str) -> AsyncIterator[None]:
        """One attempt to sign in: refused before the password is looked at, counted when it fails."""
        keys = f"address:{self._throttle.callers.address(self._scope)}", f"account:{_account(account)}"
        # Every attempt waits for its address first, so that two never wait for each other.
        async with self._throttle.turn(keys[0]), self._throttle.turn(keys[1]):
            await self._check_logins(*keys)
            try:
                yield
            except InvalidCredentials:
                for key in keys:
                    await self._limiter.take(self._budgets.failed_logins, key, always=True)
                if self.standing is not None:
                    self.standing = self.standing.after_one()
                raise


def _severity(standing: Standing) -> tuple[int, float]:
    """Least left first; of two that are spent, the one that is spent for longer."""
    return standing.remaining, -standing.reset


def _account(email: str) -> str:
    """The account that is meant, whatever the case, as Postgres' ``lower`` folds it: one character for one.

    (Python makes two of a capital I with a dot, so that a different spelling would be another five attempts.)
    """
    folded = "".join(character.lower()[0] for character in email.strip())
    return hashlib.sha256(folded.encode("utf-8", "surrogatepass")).hexdigest()


class RateLimits:
    """The middleware. It lies inside CORS, which answers preflights itself and adds its headers to a refusal, too."""

    def __init__(self, app: ASGIApp, *, throttle: Throttle) -> None:
        self.app = app
        self.throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.throttle.limiter is None or scope["type"] != "http" or _is_free(scope["path"]):
            await self.app(scope, receive, send)
            return
        passage = scope[_HELD] = Passage(self.throttle, scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and passage.standing is not None:
                headers = MutableHeaders(scope=message)
                headers.update(passage.standing.headers())
                if message["status"] == _STATUS:
                    headers["Retry-After"] = passage.standing.retry_after()
            await send(message)

        try:
            await passage.admit()
        except ApiError as refusal:
            _name_route(scope)
            await failure(refusal)(scope, receive, answer)
            return
        await self.app(scope, receive, answer)


def _is_free(path: str) -> bool:
    return path in NOT_LIMITED or path.startswith(_DOCS)


def _name_route(scope: Scope) -> None:
    """What is refused has not been routed yet, and is to be counted under its route all the same."""
    for context in iter_route_contexts(scope["app"].routes):
        route = context.original_route
        if (
            isinstance(route, APIRoute)
            and scope["method"] in (route.methods or ())
            and route.path_regex.match(scope["path"])
        ):
            scope["route"] = route
            return


class Attempts:
    """How the sign-in routes count: ``async with attempts(email):`` around the look at the password."""

    def __init__(self, request: Request) -> None:
        self._passage: Passage | None = request.scope.get(_HELD)

    def __call__(self, account: str) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext() if self._passage is None else self._passage.attempt(account)


async def _attempts(request: Request) -> Attempts:
    return Attempts(request)


AttemptsDep = Annotated[Attempts, Depends(_attempts)]


async def _import_budget(request: Request, reader: SignedIn) -> None:
    passage: Passage | None = request.scope.get(_HELD)
    if passage is not None:
        await passage.spend_import(str(reader.id))


# For the import route alone (``dependencies=[ImportBudget]``); the general budget leaves that path out.
ImportBudget: Final = Depends(_import_budget)
