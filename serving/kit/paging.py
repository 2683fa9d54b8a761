"""Lists: by page number, or onward from a cursor at constant cost however deep."""

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from typing import Annotated, NamedTuple, Self

import orjson
from pydantic import BaseModel, Field, model_validator

from serving.kit.errors import Detail, Invalid
from serving.kit.fields import Line, refused

LAST_PAGE = 10_000
Key = str | float | int | None


class Paged(BaseModel):
    """``?page=&per_page=``."""

    page: int | None = Field(default=None, ge=1, le=LAST_PAGE, description="Page number; 1 when absent", examples=[1])
    per_page: int = Field(default=20, ge=1, le=100, description="Entries on a page", examples=[20])

    @property
    def offset(self) -> int:
        return ((self.page or 1) - 1) * self.per_page


class Continued(Paged):
    """``?page=&per_page=`` or ``?after=&per_page=``."""

    after: Annotated[Line, Field(max_length=4000)] | None = Field(
        default=None, description="A `next_cursor`; continues the list behind it. Not together with `page`"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.after is not None and self.page is not None:
            raise refused("page_and_after", "Use either page or after", "after")
        return self


class Page(NamedTuple):
    """A part of a list: a JSON array, and the envelope's ``pagination``."""

    entries: orjson.Fragment
    pagination: Mapping[str, object]


class Cursor(BaseModel, extra="forbid", strict=True):
    """The place behind one entry of a list: what it is sorted by, its key, its id."""

    sort: str
    key: Key
    id: str


def encode(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([cursor.sort, cursor.key, cursor.id])).decode().rstrip("=")


def decode(text: str, sort: str) -> Cursor:
    """The cursor that ``encode`` made.

    Raises:
        Invalid: it is none, or it was made for another sort.
    """
    try:
        padded = text.encode() + b"=" * (-len(text) % 4)
        made_for, key, last = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        cursor = Cursor(sort=made_for, key=key, id=last)
    except (binascii.Error, ValueError, TypeError) as exc:
        raise bad_cursor() from exc
    if cursor.sort != sort:
        raise Invalid([Detail("after", "This cursor was made for another sort", "cursor_for_another_sort")])
    return cursor


def moment(key: Key) -> dt.datetime:
    """The time that a cursor's key says. Raises ValueError: it says none, or not in which zone."""
    when = dt.datetime.fromisoformat(str(key))
    if when.tzinfo is None:
        raise ValueError
    return when


def bad_cursor() -> Invalid:
    return Invalid([Detail("after", "This is not a cursor of this list", "cursor_invalid")])


def by_page(request: Paged, total: int, next_cursor: str | None = None) -> dict[str, object]:
    page = request.page or 1
    pages = -(-total // request.per_page)
    return {
        "page": page,
        "per_page": request.per_page,
        "total": total,
        "pages": pages,
        "has_next": page < pages,
        "has_prev": page > 1,
        "next_cursor": next_cursor,
    }


def by_cursor(request: Paged, next_cursor: str | None) -> dict[str, object]:
    return {
        "page": None,
        "per_page": request.per_page,
        "total": None,
        "pages": None,
        "has_next": next_cursor is not None,
        "has_prev": None,
        "next_cursor": next_cursor,
    }
