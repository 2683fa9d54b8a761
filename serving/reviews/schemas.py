"""What the review operations take."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from serving.kit.fields import Body, Prose, SortOrder, Stars, refused
from serving.kit.paging import Paged

SHORTEST_TEXT, LONGEST_TEXT = 10, 2000


def _review_text(text: str) -> str | None:
    """Blank means absent. Lengths count after trimming."""
    if not text:
        return None
    if len(text) < SHORTEST_TEXT:
        raise refused("string_too_short", f"Must have at least {SHORTEST_TEXT} characters")
    if len(text) > LONGEST_TEXT:
        raise refused("string_too_long", f"Must have at most {LONGEST_TEXT} characters")
    return text


class ReviewDraft(Body):
    rating: Stars = Field(examples=[5])
    review_text: Annotated[Prose, AfterValidator(_review_text)] | None = Field(
        default=None, examples=["I read it in one night."], description="10 to 2000 characters; blank means none"
    )


class OwnReviewsQuery(Paged):
    sort_by: Literal["created_at", "rating", "updated_at"] = "created_at"
    sort_order: SortOrder = "desc"
