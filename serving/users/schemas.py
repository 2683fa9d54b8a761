"""What the operations on one's own account take and give."""

import uuid
from typing import Annotated, Any, Final, Literal

from fastapi import UploadFile
from pydantic import BaseModel, Field

from serving.kit.fields import Body, Changes, Email, PersonName, TriedPassword

LARGEST_EXPORT: Final = 5_000_000  # bytes of a Goodreads file
AROUND_A_FILE: Final = 10_000  # bytes that multipart/form-data puts around it


class ProfileChanges(Changes):
    first_name: PersonName = Field(default_factory=str, examples=["Ada"])
    last_name: PersonName = Field(default_factory=str, examples=["Lovelace"])
    email: Email = Field(default_factory=str, examples=["ada@example.org"])


class Farewell(Body):
    password: TriedPassword = Field(examples=["Analytical-Engine-1843"])


class GoodreadsFile(Body):
    file: UploadFile = Field(description="The library export of Goodreads, at most 5 MB")


class IsFavorite(BaseModel):
    is_favorite: bool


class GenreCount(BaseModel):
    id: uuid.UUID
    name: str
    count: int


class AuthorCount(BaseModel):
    author: str
    count: int


class MonthCount(BaseModel):
    month: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]
    count: int


class Stats(BaseModel):
    total_reviews: int
    average_rating: float | None
    rating_distribution: dict[str, int]
    total_favorites: int
    top_genres: list[GenreCount] = Field(description="Of the reviewed books; at most 5, the most frequent first")
    top_authors: list[AuthorCount] = Field(description="Of the reviewed books; at most 5, the most frequent first")
    reviews_per_month: list[MonthCount] = Field(description="Months (UTC) with reviews, oldest first")
    member_since: str


class ImportedRow(BaseModel):
    row: int = Field(description="1 is the first row below the header")
    title: str
    status: Literal["imported", "updated", "unmatched", "skipped"]
    book_id: uuid.UUID | None
    reason: str | None


class Import(BaseModel):
    rows: list[ImportedRow]
    imported: int
    updated: int
    unmatched: int
    skipped: int


STATS_EXAMPLE: Final[dict[str, Any]] = {
    "total_reviews": 2,
    "average_rating": 4.5,
    "rating_distribution": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1},
    "total_favorites": 1,
    "top_genres": [{"id": "93b1d1b4-4d6d-5b5a-8d5b-2b7a1c0f9e55", "name": "Young Adult", "count": 2}],
    "top_authors": [{"author": "Suzanne Collins", "count": 2}],
    "reviews_per_month": [{"month": "2026-11", "count": 2}],
    "member_since": "2026-11-22T20:15:22.123Z",
}
IMPORT_EXAMPLE: Final[dict[str, Any]] = {
    "rows": [
        {
            "row": 1,
            "title": "The Hunger Games (The Hunger Games, #1)",
            "status": "imported",
            "book_id": "0c2f9a52-6f4e-5f0e-9a1c-0d8f2c6f7b11",
            "reason": None,
        },
        {
            "row": 2,
            "title": "A Book Nobody Has",
            "status": "unmatched",
            "book_id": None,
            "reason": "The library does not have this book",
        },
    ],
    "imported": 1,
    "updated": 0,
    "unmatched": 1,
    "skipped": 0,
}
EXPORT_EXAMPLE: Final[dict[str, Any]] = {
    "exported_at": "2026-11-22T20:15:22.123Z",
    "profile": {"id": "6f2f9a52-6f4e-4f0e-9a1c-0d8f2c6f7b11", "email": "ada@example.org", "first_name": "Ada"},
    "reviews": [],
    "favorites": [],
    "settings": {"enabled": True, "diversity": None},
    "muted_books": [],
    "hidden_books": [],
    "served_pages": [],
    "feedback": [],
    "sessions": [],
    "idempotency_keys": [],
}
