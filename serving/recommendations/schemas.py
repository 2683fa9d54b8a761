"""What the recommendation operations take and give."""

import datetime as dt
import uuid
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from serving.kit.fields import Body, Stars, refused
from serving.shapes import BOOK_EXAMPLE, Book

Kind = Literal["popular", "trending", "genre", "similar", "personal", "diversity", "preview", "starters"]
_DIVERSITY = "0: the best picks as they are; 1: as different from each other as possible"


class Reason(BaseModel):
    book_id: uuid.UUID
    title: str
    share: float | None = Field(gt=0, le=1, description="Part of the liking that this book of yours contributed")


class ShownPick(Book):
    rank: int
    score: float = Field(ge=0, le=1)
    source: str = Field(description="The part of the engine that chose it")
    because: list[Reason]


class ModelName(BaseModel):
    name: str
    version: str


class Picks(BaseModel):
    recommendations: list[ShownPick]
    recommendation_type: Kind
    explanation: str
    total: int
    limit: int
    filters: dict[str, Any]
    page_id: uuid.UUID | None = Field(description="Names this page in later feedback; null for anonymous callers")
    model: ModelName | None
    degraded: bool = Field(description="A part of the engine failed, and the list is not what it should have been")
    generated_at: dt.datetime


class PopularQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=100)
    genre_id: uuid.UUID | None = Field(default=None, description="Only books of this genre")
    min_reviews: int = Field(default=5, ge=0, le=1_000_000, description="Reviews (of the window) that a book must have")
    days_back: int | None = Field(default=None, ge=1, le=365, description="Count the reviews of these days only")


class PersonalQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=50)
    genre_id: uuid.UUID | None = Field(default=None, description="Only books of this genre")
    diversity: float | None = Field(default=None, ge=0, le=1, description=_DIVERSITY)


class TriedRating(Body):
    book_id: uuid.UUID = Field(examples=[BOOK_EXAMPLE["id"]])
    rating: Stars = Field(examples=[5])


class Preview(Body):
    ratings: list[TriedRating] = Field(min_length=1, max_length=200, description="Oldest first; each book once")
    limit: int = Field(default=20, ge=1, le=50, strict=True)
    diversity: float | None = Field(default=None, ge=0, le=1, description=_DIVERSITY)

    @model_validator(mode="after")
    def _each_book_once(self) -> Self:
        if len({rating.book_id for rating in self.ratings}) < len(self.ratings):
            raise refused("book_repeated", "Each book may be rated once", "ratings")
        return self


def picks_example(kind: Kind, source: str, *, signed_in: bool) -> dict[str, Any]:
    reason = {"book_id": "c1d8d0a4-1f2b-5a8e-9d55-3a1f5b7c9e01", "title": "Divergent", "share": 0.62}
    return {
        "recommendations": [
            {
                **BOOK_EXAMPLE,
                "rank": 1,
                "score": 0.71,
                "source": source,
                "because": [reason] if source == "taste" else [],
            }
        ],
        "recommendation_type": kind,
        "explanation": "Books that many readers rate highly" if source == "popular" else "From the books you rated",
        "total": 1,
        "limit": 20,
        "filters": {},
        "page_id": "1f0f9a52-6f4e-4f0e-9a1c-0d8f2c6f7b11" if signed_in else None,
        "model": {"name": "brs-recommender", "version": "7"} if source == "taste" else None,
        "degraded": False,
        "generated_at": "2026-11-22T20:15:22.123Z",
    }
