"""Traces of requests and of their statements, sent by OTLP over HTTP. Imported only where an endpoint is set.

Written with OpenTelemetry's own interface and not its ASGI instrumentation, which puts whole addresses into its spans,
and so what people search for. Here a span says the route's template and the statement's text, never a value.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.kit import db
from serving.kit.http import PROBES
from serving.kit.log import trace_id

COLLECTOR_SECONDS: Final = 2.0  # for one batch with its retries; a stop waits for at most four of them
_PATH: Final = "/v1/traces"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OUR_FAULT: Final = 500
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Tracing:
    """The traces of one worker process.

    Args:
        endpoint: Base address of a collector, such as ``http://localhost:4318``.
        version: Of the service.
    """

    def __init__(self, endpoint: str, version: str) -> None:
        self._address = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
        resource = Resource.create({"service.name": "brs", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Sends in a thread of its own while the application runs, and what is left at the end."""
        exporter = OTLPSpanExporter(self._address, timeout=COLLECTOR_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        try:
            yield
        finally:
            await asyncio.to_thread(self._provider.shutdown)

    def surround(self, app: FastAPI) -> None:
        app.add_middleware(Traces, tracer=self._provider.get_tracer("brs"))


class Traces:
    """The middleware. It lies around all others, so that every log line of the request names the trace."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self.app = app
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        status = _OUR_FAULT

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._span(scope) as span:
            of_trace = trace_id.set(format_trace_id(span.get_span_context().trace_id))
            of_statements = db.around.set(self._statement)
            try:
                await self.app(scope, receive, answer)
            finally:
                _describe(span, scope, status)
                db.around.reset(of_statements)
                trace_id.reset(of_trace)

    def _span(self, scope: Scope) -> contextlib.AbstractContextManager[Span]:
        caller = _PROPAGATOR.extract({"traceparent": Headers(scope=scope).get("traceparent", "")})
        return self.tracer.start_as_current_span(
            "HTTP", caller, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        )

    @contextlib.contextmanager
    def _statement(self, query: str) -> Iterator[None]:
        """A failure is named by its kind alone: Postgres' own words repeat values."""
        attributes = {"db.system.name": "postgresql", "db.query.text": query.strip()}
        with self.tracer.start_as_current_span(
            query.split(maxsplit=1)[0],
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as exc:
                span.set_attribute("error.type", type(exc).__name__)
                span.set_status(StatusCode.ERROR)
                raise


def _describe(span: Span, scope: Scope, status: int) -> None:
    """What is known only when the request has been routed and answered. Callers may invent methods."""
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    route = getattr(scope.get("route"), "path", None)
    span.update_name(f"{method} {route}" if route else method)
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.response.status_code", status)
    if route:
        span.set_attribute("http.route", route)
    if status >= _OUR_FAULT:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
