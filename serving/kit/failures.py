"""Renders every failure, the framework's included, in the envelope."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import psycopg
import structlog
from fastapi import FastAPI, Request, params
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from serving.kit import errors
from serving.kit.envelope import failure
from serving.kit.errors import ApiError, Detail

log = structlog.get_logger(__name__)

LONGEST_NAME = 60
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PLACES = ("body", "query", "path", "header", "cookie")

# Our own sentences, because pydantic's may repeat what was sent. ``{…}`` are limits of the schema.
_SENTENCES: Final[Mapping[str, str]] = {
    "missing": "This field is required",
    "extra_forbidden": "There is no such field here",
    "string_type": "Must be text",
    "string_too_short": "Must have at least {min_length} characters",
    "string_too_long": "Must have at most {max_length} characters",
    "int_type": "Must be a whole number",
    "int_parsing": "Must be a whole number",
    "int_parsing_size": "Must be a whole number of reasonable size",
    "int_from_float": "Must be a whole number",
    "float_type": "Must be a number",
    "float_parsing": "Must be a number",
    "finite_number": "Must be a finite number",
    "bool_type": "Must be true or false",
    "bool_parsing": "Must be true or false",
    "uuid_type": "Must be a UUID",
    "uuid_parsing": "Must be a UUID",
    "date_type": "Must be a date such as 2026-11-22",
    "date_parsing": "Must be a date such as 2026-11-22",
    "date_from_datetime_parsing": "Must be a date such as 2026-11-22",
    "greater_than_equal": "Must be at least {ge}",
    "less_than_equal": "Must be at most {le}",
    "enum": "Must be one of {expected}",
    "literal_error": "Must be one of {expected}",
    "list_type": "Must be a list",
    "too_short": "Must have at least {min_length} entries",
    "too_long": "Must have at most {max_length} entries",
    "model_attributes_type": "Must be a JSON object",
    "dict_type": "Must be a JSON object",
}
_OURS = "brs."  # prefix of the codes that ``refused`` makes; their sentences are ours and safe


def _sentence(error: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    if kind.startswith(_OURS):
        return str(error["msg"])
    return _SENTENCES.get(kind, "This value is not valid").format_map(error.get("ctx", {}))


def _field(error: Mapping[str, Any]) -> str:
    named = cast("Mapping[str, Any]", error.get("ctx") or {}).get("field")
    if isinstance(named, str):
        return named
    where = list(error["loc"])
    if len(where) > 1 and where[0] in _PLACES:
        where = where[1:]
    # An unknown field carries the caller's own name for it: shortened, and nothing but plain characters.
    return re.sub(r"[^\w.\-]", "?", ".".join(str(part) for part in where))[:LONGEST_NAME]


def details(exc: RequestValidationError) -> list[Detail]:
    return [Detail(_field(e), _sentence(e), str(e["type"]).removeprefix(_OURS)) for e in exc.errors()]


def _media_type_is_wrong(request: Request) -> bool:
    """Whether a body came, but not as what the operation reads."""
    field = getattr(request.scope.get("route"), "body_field", None)
    has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    if field is None or not has_body:
        return False
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if isinstance(field.field_info, params.Form):
        return sent not in {"application/x-www-form-urlencoded", "multipart/form-data"}
    return sent != "application/json" and not re.fullmatch(r"application/[\w.+-]+\+json", sent)


def _invalid(request: Request, exc: Exception) -> Response:
    refused = cast("RequestValidationError", exc).errors()
    if any(error["type"] == "json_invalid" for error in refused):
        return failure(errors.BadRequest([Detail("body", "This is not valid JSON", "json_invalid")]))
    if any(error["loc"][0] == "body" for error in refused) and _media_type_is_wrong(request):
        return failure(errors.UnsupportedMediaType())
    return failure(errors.Invalid(details(cast("RequestValidationError", exc))))


def verbs(scope: Scope) -> list[str]:
    """All methods that the path of ``scope`` answers; Starlette's own ``Allow`` names only those of one route."""
    return [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in scope["app"].routes)
    ]


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    error.status: error
    for error in (
        errors.BadRequest,
        errors.Unauthorized,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.Conflict,
        errors.PayloadTooLarge,
        errors.UnsupportedMediaType,
        errors.Invalid,
        errors.ServiceUnavailable,
    )
}


def _of_framework(request: Request, exc: Exception) -> Response:
    raised = cast("HTTPException", exc)
    error = _BY_STATUS.get(raised.status_code, errors.BadRequest if raised.status_code < 500 else ApiError)  # noqa: PLR2004  the border between the caller's faults and ours
    headers = {"Allow": ", ".join(verbs(request.scope))} if error is errors.MethodNotAllowed else {}
    return failure(error(), headers)


def _refusal(_: Request, exc: Exception) -> Response:
    return failure(cast("ApiError", exc))


def _database_gone(_: Request, exc: Exception) -> Response:
    log.error("postgres does not answer", reason=type(exc).__name__)
    return failure(errors.ServiceUnavailable())


def _cannot_be_stored(_: Request, exc: Exception) -> Response:
    """Postgres refuses a text that slipped past the fields' own checks; the input is wrong, not the service."""
    log.warning("postgres refused a value", reason=type(exc).__name__)
    return failure(errors.Invalid())


def install(app: FastAPI) -> None:
    handlers: dict[Any, Any] = {
        ApiError: _refusal,
        RequestValidationError: _invalid,
        HTTPException: _of_framework,
        psycopg.OperationalError: _database_gone,  # the pool's timeout is one of these
        psycopg.errors.UntranslatableCharacter: _cannot_be_stored,
        psycopg.errors.CharacterNotInRepertoire: _cannot_be_stored,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, _asynchronous(handler))


def _asynchronous(handler: Any) -> Any:  # noqa: ANN401  Starlette's own type for handlers
    """Starlette sends plain functions to a thread; these take microseconds."""

    async def handle(request: Request, exc: Exception) -> Response:
        return cast("Response", handler(request, exc))

    return handle
