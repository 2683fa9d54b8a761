"""The one shape of every JSON answer."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Generic, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from serving.kit.errors import ApiError
from serving.kit.log import request_id

T = TypeVar("T")
_WHEN = "2026-11-22T20:15:22.123Z"
_REQUEST = "5f0c7a3e9b1d4c2f8e6a"


class Pagination(BaseModel):
    """``page``, ``total``, ``pages`` and ``has_prev`` are null when a cursor (``after``) was followed."""

    page: int | None
    per_page: int
    total: int | None
    pages: int | None
    has_next: bool
    has_prev: bool | None
    next_cursor: str | None


class Envelope(BaseModel, Generic[T]):
    """A success. Only documents the answer: what is sent is written by ``success``."""

    status: Literal["success"]
    message: str
    data: T
    pagination: Pagination | None
    timestamp: dt.datetime
    request_id: str


class FailureDetail(BaseModel):
    field: str
    message: str
    code: str


class Failures(BaseModel):
    code: str
    details: list[FailureDetail]


class Failure(BaseModel):
    """A failure. Values that the caller sent are never repeated in it."""

    model_config = ConfigDict(title="Failure")

    status: Literal["error"]
    message: str
    data: None = Field(json_schema_extra={"type": "null"})
    pagination: None = Field(json_schema_extra={"type": "null"})
    errors: Failures
    timestamp: dt.datetime
    request_id: str


def timestamp(when: dt.datetime | None = None) -> str:
    """ISO-8601 UTC with milliseconds, ending in ``Z``."""
    when = dt.datetime.now(dt.UTC) if when is None else when.astimezone(dt.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _body(members: Mapping[str, object]) -> bytes:
    return orjson.dumps({**members, "timestamp": timestamp(), "request_id": request_id.get() or ""})


def json_array(entries: Iterable[str]) -> orjson.Fragment:
    """A JSON array of what Postgres wrote, untouched."""
    return orjson.Fragment("[" + ",".join(entries) + "]")


def success(
    data: object,
    message: str,
    *,
    status: int = 200,
    pagination: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    beside: Mapping[str, object] | None = None,
) -> Response:
    """An answer in the envelope.

    Args:
        data: Anything orjson can write; JSON made by Postgres goes in untouched as ``orjson.Fragment``.
        message: One short sentence for a person.
        status: HTTP status.
        pagination: The ``pagination`` member, see ``kit.paging``.
        headers: Extra headers.
        beside: Members to put beside the envelope's own (only OAuth2's token answer needs that).
    """
    members = {**(beside or {}), "status": "success", "message": message, "data": data, "pagination": pagination}
    return Response(_body(members), status_code=status, headers=headers, media_type="application/json")


def failure(error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
    members = {
        "status": "error",
        "message": error.message,
        "data": None,
        "pagination": None,
        "errors": {"code": error.code, "details": [detail._asdict() for detail in error.details]},
    }
    return Response(
        _body(members),
        status_code=error.status,
        headers={**error.headers, **(headers or {})},
        media_type="application/json",
    )


def example(data: object, message: str, pagination: Mapping[str, object] | None = None) -> dict[str, Any]:
    """A whole answer for the API's documentation."""
    return {
        "status": "success",
        "message": message,
        "data": data,
        "pagination": pagination,
        "timestamp": _WHEN,
        "request_id": _REQUEST,
    }


def failure_example(error: type[ApiError]) -> dict[str, Any]:
    return {
        "status": "error",
        "message": error.message,
        "data": None,
        "pagination": None,
        "errors": {"code": error.code, "details": []},
        "timestamp": _WHEN,
        "request_id": _REQUEST,
    }
