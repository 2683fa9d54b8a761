"""What the book operations take."""

import datetime as dt
import uuid
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from serving.kit.fields import Line, SortOrder, refused
from serving.kit.paging import Continued

SortBy = Literal["title", "author", "average_rating", "total_reviews", "publication_date", "created_at"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise refused("blank", "Must not be blank")
    return text.strip()


class BooksQuery(Continued):
    """The filters and the order of the list of books. Bounds are inclusive; a book without a value is outside them."""

    genre_id: uuid.UUID | None = Field(default=None, description="Only books of this genre")
    author: Annotated[Line, StringConstraints(max_length=300), AfterValidator(_not_blank)] | None = Field(
        default=None, description="Part of the author's name, without regard to case and accents", examples=["collins"]
    )
    min_rating: float | None = Field(default=None, ge=0, le=5, description="Lowest average rating", examples=[4])
    max_rating: float | None = Field(default=None, ge=0, le=5, description="Highest average rating")
    published_after: dt.date | None = Field(default=None, description="First day", examples=["2000-01-01"])
    published_before: dt.date | None = Field(default=None, description="Last day")
    sort_by: SortBy = "title"
    sort_order: SortOrder = "asc"

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        for low, high in (("min_rating", "max_rating"), ("published_after", "published_before")):
            lowest, highest = getattr(self, low), getattr(self, high)
            if lowest is not None and highest is not None and lowest > highest:
                raise refused("bounds_reversed", "The lower bound is above the upper one", low)
        return self
