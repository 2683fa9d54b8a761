"""What the review operations take."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from serving.kit.fields import Body, Changes, Prose, SortOrder, Stars, refused
from serving.kit.paging import Continued, Paged

SHORTEST_TEXT, LONGEST_TEXT = 10, 2000
LONGEST_RUN = 10
MOST_LINKS = 2
SortBy = Literal["created_at", "rating", "updated_at"]
_RUN = re.compile(rf"(.)\1{{{LONGEST_RUN}}}", re.DOTALL)
# With a scheme, with www, or a bare host that a path follows. The host is eaten too, so that no link counts twice.
_LINK = re.compile(
    r"(?:\b[a-z][a-z0-9+.\-]*://|\bwww\.)[^\s/,;<>()\"']+|(?<![\w/@.\-])(?:[\w\-]+\.)+[a-z]{2,}/[^\s/]", re.IGNORECASE
)


def _review_text(text: str) -> str | None:
    """Blank means absent. Lengths count after trimming."""
    if not text:
        return None
    if len(text) < SHORTEST_TEXT:
        raise refused("string_too_short", f"Must have at least {SHORTEST_TEXT} characters")
    if len(text) > LONGEST_TEXT:
        raise refused("string_too_long", f"Must have at most {LONGEST_TEXT} characters")
    if _RUN.search(text):
        raise refused("repeated_character", f"Must not repeat a character more than {LONGEST_RUN} times in a row")
    if sum(1 for _ in _LINK.finditer(text)) > MOST_LINKS:
        raise refused("too_many_links", f"Must have at most {MOST_LINKS} links")
    return text


ReviewText = Annotated[Prose, AfterValidator(_review_text)]
_DESCRIPTION = f"{SHORTEST_TEXT} to {LONGEST_TEXT} characters; blank means none"


class ReviewDraft(Body):
    rating: Stars = Field(examples=[5])
    review_text: ReviewText | None = Field(default=None, examples=["I read it in one night."], description=_DESCRIPTION)


class ReviewChanges(Changes):
    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    rating: Stars = Field(default_factory=int, examples=[4])
    review_text: ReviewText | None = Field(
        default=None, examples=["I read it in two nights."], description=f"{_DESCRIPTION}; null removes the text"
    )


class BookReviewsQuery(Continued):
    sort_by: SortBy = "created_at"
    sort_order: SortOrder = "desc"
    rating_filter: Annotated[int, Field(ge=1, le=5)] | None = Field(
        default=None, description="Only reviews with so many stars", examples=[5]
    )


class OwnReviewsQuery(Paged):
    sort_by: SortBy = "created_at"
    sort_order: SortOrder = "desc"
