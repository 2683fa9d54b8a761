"""The shapes that several operations answer with: as documentation, and as the SQL that makes them.

Postgres writes the JSON: for twenty books that costs a third of reading rows and writing them with pydantic.
Each SQL fragment speaks of one row under a fixed alias: ``b`` books, ``g`` genres, ``r`` reviews, ``u`` users,
``f`` favorites.
"""
# ruff: noqa: S608  fragments are put together from constants of this module

import datetime as dt
import uuid
from typing import Any, Final

from pydantic import BaseModel, Field


class GenreName(BaseModel):
    id: uuid.UUID
    name: str


class Genre(GenreName):
    description: str | None
    created_at: dt.datetime


class CountedGenre(Genre):
    book_count: int


class Book(BaseModel):
    id: uuid.UUID
    title: str
    author: str
    isbn: str | None
    description: str | None
    cover_image_url: str | None
    publication_date: dt.date | None
    series: str | None
    series_position: float | None
    average_rating: float | None = Field(ge=1, le=5, description="Two decimals; null when nobody has rated yet")
    total_reviews: int
    genres: list[GenreName]
    created_at: dt.datetime
    updated_at: dt.datetime


class FavoriteBook(Book):
    favorited_at: dt.datetime


class Review(BaseModel):
    id: uuid.UUID
    user_id: uuid.UUID
    book_id: uuid.UUID
    rating: int = Field(ge=1, le=5)
    review_text: str | None
    created_at: dt.datetime
    updated_at: dt.datetime


class NamedReview(Review):
    user_name: str = Field(description="First name and initial; never the e-mail")


class ReviewWithBook(Review):
    book: Book


class FullReview(NamedReview, ReviewWithBook):
    pass


class BookDetail(Book):
    rating_distribution: dict[str, int]
    recent_reviews: list[NamedReview]


def moment(column: str) -> str:
    """SQL for a time as the API writes it: ISO-8601 UTC with milliseconds, ending in ``Z``."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


def json_object(members: str) -> str:
    return f"json_build_object({members})"


_GENRE_MEMBERS: Final = (
    f"'id', g.id, 'name', g.name, 'description', g.description, 'created_at', {moment('g.created_at')}"
)
_BOOK_MEMBERS: Final = f"""
'id', b.id, 'title', b.title, 'author', b.author, 'isbn', b.isbn, 'description', b.description,
'cover_image_url', b.cover_image_url, 'publication_date', b.publication_date,
'series', b.series, 'series_position', b.series_position,
'average_rating', b.average_rating, 'total_reviews', b.total_reviews,
'genres', (
    SELECT coalesce(json_agg(json_build_object('id', g.id, 'name', g.name) ORDER BY g.name_key, g.id), '[]')
    FROM book_genres bg JOIN genres g ON g.id = bg.genre_id WHERE bg.book_id = b.id
),
'created_at', {moment("b.created_at")}, 'updated_at', {moment("b.updated_at")}
"""
_REVIEW_MEMBERS: Final = f"""
'id', r.id, 'user_id', r.user_id, 'book_id', r.book_id, 'rating', r.rating, 'review_text', r.review_text,
'created_at', {moment("r.created_at")}, 'updated_at', {moment("r.updated_at")}
"""
_USER_NAME: Final = "btrim(u.first_name || coalesce(' ' || nullif(left(u.last_name, 1), '') || '.', ''))"

GENRE_SQL: Final = json_object(_GENRE_MEMBERS)
COUNTED_GENRE_SQL: Final = json_object(f"{_GENRE_MEMBERS}, 'book_count', coalesce(c.books, 0)")
BOOK_SQL: Final = json_object(_BOOK_MEMBERS)
FAVORITE_SQL: Final = json_object(f"{_BOOK_MEMBERS}, 'favorited_at', {moment('f.created_at')}")
REVIEW_SQL: Final = json_object(_REVIEW_MEMBERS)
NAMED_REVIEW_SQL: Final = json_object(f"{_REVIEW_MEMBERS}, 'user_name', {_USER_NAME}")
REVIEW_WITH_BOOK_SQL: Final = json_object(f"{_REVIEW_MEMBERS}, 'book', {BOOK_SQL}")
FULL_REVIEW_SQL: Final = json_object(f"{_REVIEW_MEMBERS}, 'user_name', {_USER_NAME}, 'book', {BOOK_SQL}")
BOOK_DETAIL_SQL: Final = json_object(
    f"""{_BOOK_MEMBERS},
'rating_distribution', json_build_object(
    '1', b.stars_1, '2', b.stars_2, '3', b.stars_3, '4', b.stars_4, '5', b.stars_5
),
'recent_reviews', (
    SELECT coalesce(json_agg({NAMED_REVIEW_SQL} ORDER BY r.created_at DESC, r.id DESC), '[]')
    FROM (SELECT * FROM reviews WHERE book_id = b.id ORDER BY created_at DESC, id DESC LIMIT 5) r
    JOIN users u ON u.id = r.user_id
)"""
)

GENRE_EXAMPLE: Final[dict[str, Any]] = {
    "id": "93b1d1b4-4d6d-5b5a-8d5b-2b7a1c0f9e55",
    "name": "Young Adult",
    "description": "Growing up.",
    "created_at": "2026-11-22T20:15:22.123Z",
}
BOOK_EXAMPLE: Final[dict[str, Any]] = {
    "id": "0c2f9a52-6f4e-5f0e-9a1c-0d8f2c6f7b11",
    "title": "The Hunger Games",
    "author": "Suzanne Collins",
    "isbn": "9780439023481",
    "description": "A girl takes her sister's place in a televised fight to the death.",
    "cover_image_url": None,
    "publication_date": "2008-09-14",
    "series": "The Hunger Games",
    "series_position": 1,
    "average_rating": 4.34,
    "total_reviews": 1210,
    "genres": [{"id": "93b1d1b4-4d6d-5b5a-8d5b-2b7a1c0f9e55", "name": "Young Adult"}],
    "created_at": "2026-11-22T20:15:22.123Z",
    "updated_at": "2026-11-22T20:15:22.123Z",
}
REVIEW_EXAMPLE: Final[dict[str, Any]] = {
    "id": "7b1e6a30-1d3c-4d53-8d0c-55d0c3d6f0aa",
    "user_id": "6f2f9a52-6f4e-4f0e-9a1c-0d8f2c6f7b11",
    "book_id": BOOK_EXAMPLE["id"],
    "rating": 5,
    "review_text": "I read it in one night.",
    "created_at": "2026-11-22T20:15:22.123Z",
    "updated_at": "2026-11-22T20:15:22.123Z",
}
NAMED_REVIEW_EXAMPLE: Final[dict[str, Any]] = {**REVIEW_EXAMPLE, "user_name": "Ada L."}
FULL_REVIEW_EXAMPLE: Final[dict[str, Any]] = {**NAMED_REVIEW_EXAMPLE, "book": BOOK_EXAMPLE}
BOOK_DETAIL_EXAMPLE: Final[dict[str, Any]] = {
    **BOOK_EXAMPLE,
    "rating_distribution": {"1": 12, "2": 40, "3": 158, "4": 400, "5": 600},
    "recent_reviews": [NAMED_REVIEW_EXAMPLE],
}
