"""What surrounds every request: its id, its host, its size, its log line, its numbers and its headers."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.kit import db
from serving.kit.envelope import failure
from serving.kit.errors import ApiError, BadHost, PayloadTooLarge, ServiceUnavailable
from serving.kit.leaving import Leaving
from serving.kit.log import request_id
from serving.kit.metrics import Metrics

log = structlog.get_logger(__name__)

LARGEST_BODY = 1_000_000  # bytes
PROBES: Final = frozenset(
    {
        "/health",
        "/metrics",
        "/api/v1/monitoring/health/detailed",
        "/api/v1/monitoring/health/liveness",
        "/api/v1/monitoring/health/readiness",
    }
)
_DOCS = ("/docs", "/redoc", "/static-offline-docs")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_NOTHING_LOADS: Final = "default-src 'none'; frame-ancestors 'none'"
# Swagger UI starts from an inline script; ReDoc searches in a worker made from a blob and draws its logo from data.
_OWN_ASSETS: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)


def host_is_trusted(host: str, trusted: Sequence[str]) -> bool:
    """Whether the ``Host`` header names one of ours, whatever its port and case."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower().rstrip(".")
    return any(
        pattern in {"*", name} or (pattern.startswith("*.") and name.endswith(pattern[1:])) for pattern in trusted
    )


class Surroundings:
    """The outermost middleware. Plain ASGI, because a request passes it every time."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, trusted_hosts: Sequence[str], strict_transport: bool, leaving: Leaving
    ) -> None:
        self.app = app
        self.leaving = leaving
        self.metrics = metrics
        self.trusted_hosts = tuple(host.lower() for host in trusted_hosts)
        self.headers = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
        }
        if strict_transport:
            self.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        identity = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(10)
        of_request = request_id.set(identity)
        counted = db.Tally()
        of_tally = db.tally.set(counted)
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(message, scope["path"], identity)
            await send(message)

        try:
            await self._inside(scope, receive, answer, headers)
        finally:
            self._account(scope, status, time.perf_counter() - started, counted)
            db.tally.reset(of_tally)
            request_id.reset(of_request)

    async def _inside(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        if scope["path"] not in PROBES and not host_is_trusted(headers.get("host", ""), self.trusted_hosts):
            await failure(BadHost())(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _complete(self, message: Message, path: str, identity: str) -> None:
        headers = MutableHeaders(scope=message)
        headers["X-Request-ID"] = identity
        for name, value in self.headers.items():
            headers[name] = value
        docs = path.startswith(_DOCS)
        headers["Content-Security-Policy"] = _OWN_ASSETS if docs else _NOTHING_LOADS
        if not docs:
            headers.setdefault("Cache-Control", "no-store")
        if self.leaving.has_begun:
            headers["Connection"] = "close"

    def _account(self, scope: Scope, status: int, seconds: float, counted: db.Tally) -> None:
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        method = scope["method"] if route != "unmatched" else "-"  # callers may invent methods; labels must stay few
        self.metrics.requests.labels(method, route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        self.metrics.statements.inc(counted.statements)
        log.info(
            "request",
            method=scope["method"][:20],
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            statements=counted.statements,
        )


class Limits:
    """Refuses bodies that are too large, by their announcement or while they come.

    Args:
        app: What is inside.
        larger: Paths that take more than ``LARGEST_BODY``, with their bytes.
    """

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self.app = app
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        limit = self.larger.get(scope["path"], LARGEST_BODY)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await failure(PayloadTooLarge(), {"Connection": "close"})(scope, receive, send)
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > limit:
                raise HTTPException(413)  # FastAPI turns any other exception, while it reads a body, into a 400
            return message

        await self.app(scope, counted, send)


class _Answer:
    """Passes an answer on, and remembers whether it has begun: then no other can be given."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        self.has_begun = self.has_begun or message["type"] == "http.response.start"
        await self._send(message)


class TimeLimit:
    """Ends a request that takes too long, its statement in Postgres with it; nothing of its transaction is kept."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            async with asyncio.timeout(self.seconds) as limit:
                await self.app(scope, receive, answer)
        except TimeoutError:
            if answer.has_begun or not limit.expired():
                raise
            log.warning("request took too long", seconds=self.seconds)
            await failure(ServiceUnavailable(), {"Connection": "close"})(scope, receive, send)


class Catch:
    """An exception that nobody expected becomes an answer without details, and a log line with all of them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            await self.app(scope, receive, answer)
        except Exception:
            log.exception("unexpected failure")
            if answer.has_begun:
                raise
            await _internal()(scope, receive, send)


def _internal() -> Response:
    return failure(ApiError())
