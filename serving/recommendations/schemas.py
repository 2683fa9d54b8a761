"""What the recommendation operations take and give."""

import datetime as dt
import uuid
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from serving.kit.fields import Body, Stars, refused
from serving.shapes import BOOK_EXAMPLE, Book

Kind = Literal["popular", "trending", "genre", "similar", "personal", "diversity", "preview", "starters"]
PAGE_EXAMPLE: Final = "019ad52a-6f4e-7f0e-9a1c-0d8f2c6f7b11"
DIVERSITY: Final = "0: the best picks as they are; 1: as different from each other as possible"


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
    generated_at: dt.datetime = Field(description="When the list was made; of a ranking, when it was computed")


class PopularQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=100)
    genre_id: uuid.UUID | None = Field(default=None, description="Only books of this genre")
    min_reviews: int = Field(default=5, ge=0, le=1_000_000, description="Reviews (of the window) that a book must have")
    days_back: int | None = Field(default=None, ge=1, le=365, description="Count the reviews of these days only")


class TrendingQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=100)
    days_back: int = Field(default=30, ge=1, le=365, description="The days that are compared with those before them")
    min_reviews_in_period: int = Field(default=3, ge=0, le=1_000_000, description="Reviews a book must have in them")


class GenreQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=50)
    exclude_user_books: bool = Field(default=True, description="Without the books that the reader has rated")
    min_rating: float | None = Field(default=None, ge=0, le=5, description="Lowest average rating", examples=[4])
    min_reviews: int = Field(default=1, ge=0, le=1_000_000, description="Reviews that a book must have")


class PersonalQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=50)
    genre_id: uuid.UUID | None = Field(default=None, description="Only books of this genre")
    diversity: float | None = Field(default=None, ge=0, le=1, description=DIVERSITY)


class SimilarQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=50)


class DiversityQuery(BaseModel):
    limit: int = Field(default=20, ge=1, le=50)
    genre_count: int = Field(default=5, ge=2, le=10, description="Different genres that the list is spread over")


class StartersQuery(BaseModel):
    limit: int = Field(default=5, ge=1, le=20)


class TriedRating(Body):
    book_id: uuid.UUID = Field(examples=[BOOK_EXAMPLE["id"]])
    rating: Stars = Field(examples=[5])


class Preview(Body):
    ratings: list[TriedRating] = Field(min_length=1, max_length=200, description="Oldest first; each book once")
    limit: int = Field(default=20, ge=1, le=50, strict=True)
    diversity: float | None = Field(default=None, ge=0, le=1, description=DIVERSITY)

    @model_validator(mode="after")
    def _each_book_once(self) -> Self:
        if len({rating.book_id for rating in self.ratings}) < len(self.ratings):
            raise refused("book_repeated", "Each book may be rated once", "ratings")
        return self


_EXPLAINED: Final[dict[str, str]] = {
    "popular": "Books that many readers rate highly",
    "trending": "Books that readers rate more, and like, than their own past let expect",
    "genres": "Books of this genre that many readers rate highly",
    "similar": "Books that readers like together with this one, or that have its author, series or genres",
    "starters": "Books to rate first: they would tell most about what else you like",
}
_OF_A_MODEL: Final = frozenset({"taste", "similar", "starters"})


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
        "explanation": _EXPLAINED.get(source, "From the books you rated, the latest most"),
        "total": 1,
        "limit": 20,
        "filters": {},
        "page_id": PAGE_EXAMPLE if signed_in else None,
        "model": {"name": "brs-recommender", "version": "7"} if source in _OF_A_MODEL else None,
        "degraded": False,
        "generated_at": "2026-11-22T20:15:22.123Z",
    }
