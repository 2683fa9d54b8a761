"""What the book operations take."""

import datetime as dt
import re
import unicodedata
import urllib.parse
import uuid
from typing import Annotated, Final, Literal, Self

import stdnum.exceptions
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator
from stdnum import isbn

from serving.kit.fields import Body, Changes, Line, Prose, SortOrder, refused, without_control_characters
from serving.kit.paging import Continued, Paged
from serving.shapes import GenreName

LONGEST_TITLE, LONGEST_AUTHOR, LONGEST_DESCRIPTION, LONGEST_URL, LONGEST_SEARCH = 500, 300, 5000, 1000, 200
MOST_GENRES: Final = 10
EARLIEST_YEAR: Final = 1000

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


def _search_text(text: str) -> str:
    text = _not_blank(text)
    if len(text) > LONGEST_SEARCH:
        raise refused("string_too_long", f"Must have at most {LONGEST_SEARCH} characters")
    return text


class SearchQuery(Paged):
    q: Annotated[Line, AfterValidator(_search_text)] = Field(
        description="Words of title, author, series and description in any order, beginnings of words, with typing"
        " errors; or an ISBN",
        examples=["collins hunger"],
        json_schema_extra={"minLength": 1},
    )
    genre_id: uuid.UUID | None = Field(default=None, description="Only books of this genre")
    min_rating: float | None = Field(default=None, ge=0, le=5, description="Lowest average rating", examples=[4])


def isbn13(text: str) -> str | None:
    """An ISBN-10 or ISBN-13, with or without hyphens, as an ISBN-13; ``None`` when it is none."""
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"[0-9]{9}[0-9Xx]|[0-9]{13}", digits):  # the library also takes the nine digits of before 1970
        return None
    try:
        return isbn.validate(digits, convert=True)
    except stdnum.exceptions.ValidationError:
        return None


def _isbn(text: str) -> str:
    found = isbn13(text.strip())
    if found is None:
        raise refused("isbn_invalid", "This is not a valid ISBN-10 or ISBN-13")
    return found


def heading(longest: int) -> AfterValidator:
    """A text in one line that somebody can read: white space collapsed, then not blank and not too long."""

    def check(text: str) -> str:
        text = " ".join(unicodedata.normalize("NFC", without_control_characters(text)).split())
        if not any(unicodedata.category(c)[0] in "LNPS" for c in text):
            raise refused("blank", "Must not be blank")
        if len(text) > longest:
            raise refused("string_too_long", f"Must have at most {longest} characters")
        return text

    return AfterValidator(check)


def long_text(longest: int) -> AfterValidator:
    """Goes behind ``Prose``. Blank means absent."""

    def check(text: str) -> str | None:
        if len(text) > longest:
            raise refused("string_too_long", f"Must have at most {longest} characters")
        return text or None

    return AfterValidator(check)


def _cover(text: str) -> str:
    if len(text) > LONGEST_URL:
        raise refused("string_too_long", f"Must have at most {LONGEST_URL} characters")
    try:
        url = urllib.parse.urlsplit(text)
        fits = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and "@" not in url.netloc
    except ValueError:  # brackets that do not close, a port beyond 65535
        fits = False
    if not fits or re.search(r"[\s\\<>\"]", text):
        raise refused("url_invalid", "Must be a http or https address")
    if not re.search(r"[^/]\.(jpe?g|png|gif|webp)$", url.path, re.IGNORECASE):
        raise refused("url_no_image", "The path must end in jpg, jpeg, png, gif or webp")
    return text


def _written_date(value: object) -> object:
    """Pydantic would also take a number of seconds, or a moment at midnight, for a date."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise refused("date_parsing", "Must be a date such as 2026-11-22")
    return value


def _published(date: dt.date) -> dt.date:
    if date.year < EARLIEST_YEAR:
        raise refused("date_too_early", f"Must not be before the year {EARLIEST_YEAR}")
    if date > dt.datetime.now(dt.UTC).date():
        raise refused("date_in_future", "Must not be in the future")
    return date


def _folded(genres: list[uuid.UUID]) -> list[uuid.UUID]:
    folded = list(dict.fromkeys(genres))
    if len(folded) > MOST_GENRES:
        raise refused("too_many_genres", f"Must have at most {MOST_GENRES} different genres")
    return folded


Title = Annotated[str, heading(LONGEST_TITLE), Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_TITLE})]
Author = Annotated[str, heading(LONGEST_AUTHOR), Field(json_schema_extra={"minLength": 1, "maxLength": LONGEST_AUTHOR})]
Isbn = Annotated[Line, AfterValidator(_isbn)]
Description = Annotated[
    Prose, long_text(LONGEST_DESCRIPTION), Field(json_schema_extra={"maxLength": LONGEST_DESCRIPTION})
]
Cover = Annotated[
    Line, AfterValidator(str.strip), AfterValidator(_cover), Field(json_schema_extra={"maxLength": LONGEST_URL})
]
Published = Annotated[dt.date, BeforeValidator(_written_date), AfterValidator(_published)]
Position = Annotated[float, Field(strict=True, ge=0, le=100_000, allow_inf_nan=False)]
Genres = Annotated[list[uuid.UUID], AfterValidator(_folded)]

_ISBN_WORDS = "ISBN-10 or ISBN-13, hyphens allowed; kept as ISBN-13"
_DATE_WORDS = f"Not in the future, year {EARLIEST_YEAR} or later"
_GENRE_WORDS = f"At most {MOST_GENRES} different genres, each of which exists"


class _Optional(Body):
    """What a book may have, and may lose again."""

    isbn: Isbn | None = Field(default=None, description=_ISBN_WORDS, examples=["978-0-439-02348-1"])
    description: Description | None = Field(default=None, examples=["A girl takes her sister's place."])
    cover_image_url: Cover | None = Field(
        default=None,
        description="http(s); its path ends in jpg, jpeg, png, gif or webp",
        examples=["https://covers.example/hunger-games.jpg"],
    )
    publication_date: Published | None = Field(default=None, description=_DATE_WORDS, examples=["2008-09-14"])
    series: Author | None = Field(default=None, examples=["The Hunger Games"])
    series_position: Position | None = Field(default=None, examples=[1])


class BookDraft(_Optional):
    title: Title = Field(examples=["The Hunger Games"])
    author: Author = Field(examples=["Suzanne Collins"])
    genre_ids: Genres = Field(default=[], description=_GENRE_WORDS, examples=[[]])


class BookChanges(_Optional, Changes):
    """The fields that were sent are changed; null empties one that may be empty."""

    title: Title = Field(default_factory=str, examples=["The Hunger Games"])
    author: Author = Field(default_factory=str, examples=["Suzanne Collins"])
    genre_ids: Genres = Field(default_factory=list, description=_GENRE_WORDS, examples=[[]])


class GenreProposal(BaseModel):
    genre: GenreName
    probability: float = Field(ge=0, le=1, description="Calibrated: of proposals with .8 about four in five are right")
