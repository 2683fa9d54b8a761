"""Kinds of input that several domains take."""

import re
import unicodedata
from typing import Annotated, Literal

import email_validator
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

SortOrder = Literal["asc", "desc"]
LONGEST_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_IN_PROSE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_IN_NAMES = " -'\u2019."  # beside letters; the last but one is the typographic apostrophe


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


def refused(code: str, message: str, field: str | None = None) -> PydanticCustomError:
    """A refusal in our own words: ``message`` must not repeat the input. ``field`` names it where pydantic cannot."""
    return PydanticCustomError("brs." + code, message, {"field": field} if field else None)


def without_control_characters(text: str) -> str:
    if _NOT_IN_A_LINE.search(text):
        raise refused("control_character", "Must not contain control characters")
    return text


def _prose(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if _NOT_IN_PROSE.search(text):
        raise refused("control_character", "Must not contain control characters")
    return text


def _email(text: str) -> str:
    try:
        return email_validator.validate_email(text.strip(), check_deliverability=False).normalized.lower()
    except email_validator.EmailNotValidError as exc:
        raise refused("email_invalid", "This is not a valid e-mail address") from exc


def _name(text: str) -> str:
    """Letters of any script with their marks, a letter first."""
    name = unicodedata.normalize("NFC", text.strip())
    fits = all(c in _IN_NAMES or unicodedata.category(c)[0] in "LM" for c in name)
    if not name or not fits or unicodedata.category(name[0])[0] != "L":
        raise refused("name_invalid", "Must be letters, spaces, hyphens, apostrophes and full stops")
    return name


Line = Annotated[str, AfterValidator(without_control_characters)]
Prose = Annotated[str, AfterValidator(_prose)]
Email = Annotated[str, StringConstraints(max_length=LONGEST_EMAIL), AfterValidator(_email)]
PersonName = Annotated[str, StringConstraints(min_length=1, max_length=50), AfterValidator(_name)]
Password = Annotated[
    str, StringConstraints(min_length=8, max_length=128), AfterValidator(without_control_characters), Field(repr=False)
]
Stars = Annotated[int, Field(strict=True, ge=1, le=5)]
