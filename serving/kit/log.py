"""Structured logs: one JSON line an event, each with the id of the request it belongs to, none with a secret."""

import contextvars
import logging
import os
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any

import orjson
import structlog

REDACTED = "[redacted]"
_SECRET_NAMES = ("password", "token", "secret", "authorization", "cookie", "database_url", "tracking_uri")

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
trace_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("trace_id", default=None)


def with_ids(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The ids of the request that a line belongs to, and of its trace."""
    for identity in (request_id, trace_id):
        current = identity.get()
        if current is not None:
            event[identity.name] = current
    return event


def _without_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if any(secret in name.lower() for secret in _SECRET_NAMES):
            event[name] = REDACTED
    return event


def _without_uvicorn_extras(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("color_message", None)
    return event


def _json(event: MutableMapping[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def configure(level: str = "info") -> None:
    """Send the events of structlog and of every library to standard error as JSON lines.

    It is global, so it is for entry points only.
    """
    # Else MLflow writes lines of its own shape, and progress bars, past ours.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    shared: list[structlog.types.Processor] = [
        with_ids,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # no local variables: they could hold a password
        _without_uvicorn_extras,
        _without_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_handler(shared)]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Their chatter at "info" says nothing that the service's own lines do not say.
    for name in ("alembic", "mlflow", "urllib3", "uvicorn.access", "uvicorn.error", "psycopg.pool"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _handler(shared: Sequence[structlog.types.Processor]) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_json),
            ],
        )
    )
    return handler
