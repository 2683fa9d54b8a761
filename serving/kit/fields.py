"""Kinds of input that several domains take."""

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Self

import email_validator
from disposable_email_domains import blocklist
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

SortOrder = Literal["asc", "desc"]
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 128
LONGEST_NAME = 50
LONGEST_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets
# Half a surrogate pair is no character: JSON can carry it, UTF-8 cannot.
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_PROSE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_IN_NAMES = " -'\u2019."  # beside letters; the last but one is the typographic apostrophe


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


def refused(code: str, message: str, field: str | None = None) -> PydanticCustomError:
    """A refusal in our own words: ``message`` must not repeat the input. ``field`` names it where pydantic cannot."""
    return PydanticCustomError("brs." + code, message, {"field": field} if field else None)


class Changes(Body):
    """A PUT's body: what was ``sent`` is changed. A field that may be absent but not null has a default factory."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise refused("nothing_sent", "Send at least one field", "body")
        return self

    def sent(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


def without_control_characters(text: str) -> str:
    if _NOT_IN_A_LINE.search(text):
        raise refused("control_character", "Must not contain control characters")
    return text


def _prose(text: str) -> str:
    text = text.replace("\r\n", "\n")
    if _NOT_IN_PROSE.search(text):  # before the trimming, which takes some of them for white space
        raise refused("control_character", "Must not contain control characters")
    return text.strip()


def _is_disposable(domain: str) -> bool:
    """Whether ``domain`` (ASCII) is listed, or lies below a listed one."""
    labels = domain.lower().split(".")
    return any(".".join(labels[place:]) in blocklist for place in range(len(labels)))


def _email(text: str) -> str:
    if len(text) > LONGEST_EMAIL:
        raise refused("email_too_long", f"Must have at most {LONGEST_EMAIL} characters")
    without_control_characters(text)
    try:
        checked = email_validator.validate_email(text.strip(), check_deliverability=False)
    except email_validator.EmailNotValidError as exc:
        raise refused("email_invalid", "This is not a valid e-mail address") from exc
    if _is_disposable(checked.ascii_domain):
        raise refused("email_disposable", "Throw-away e-mail addresses are not taken")
    return checked.normalized.lower()


def _name(text: str) -> str:
    """Letters of any script with their marks; at least one letter."""
    name = unicodedata.normalize("NFC", without_control_characters(text).strip())
    if not name:
        raise refused("name_blank", "Must not be blank")
    if len(name) > LONGEST_NAME:
        raise refused("name_too_long", f"Must have at most {LONGEST_NAME} characters")
    fits = all(c in _IN_NAMES or unicodedata.category(c)[0] in "LM" for c in name)
    if not fits or not any(unicodedata.category(c)[0] == "L" for c in name):
        raise refused("name_invalid", "Must be letters, spaces, hyphens, apostrophes and full stops")
    return name


# What a password must have, with the end of the code that says it has not. "Special" is any printable character that
# is none of the others, so that a letter without case counts as one.
_KINDS: Final[tuple[tuple[str, str, Callable[[str], bool]], ...]] = (
    ("no_upper", "an upper case letter", str.isupper),
    ("no_lower", "a lower case letter", str.islower),
    ("no_digit", "a digit", str.isdecimal),
    (
        "no_special",
        "a special character",
        lambda c: c.isprintable() and not (c.isupper() or c.islower() or c.isdecimal()),
    ),
)


def _password(password: str) -> str:
    """What a password must be made of. Whether it can be guessed is asked later: ``kit.passwords``."""
    if len(password) < SHORTEST_PASSWORD:
        raise refused("password_too_short", f"Must have at least {SHORTEST_PASSWORD} characters")
    if len(password) > LONGEST_PASSWORD:
        raise refused("password_too_long", f"Must have at most {LONGEST_PASSWORD} characters")
    without_control_characters(password)
    for code, what, is_one in _KINDS:
        if not any(is_one(c) for c in password):
            raise refused(f"password_{code}", f"Must have {what}")
    if any(a == b == c for a, b, c in zip(password, password[1:], password[2:], strict=False)):
        raise refused("password_repeats", "Must not have the same character three times in a row")
    return password


def _documented(**schema: JsonValue) -> Any:  # noqa: ANN401  pydantic's own type for it is Any
    return Field(json_schema_extra=schema)


Line = Annotated[str, AfterValidator(without_control_characters)]
Prose = Annotated[str, AfterValidator(_prose)]
# Lengths are checked in the validators, whose codes say more than pydantic's; here they are documented.
Email = Annotated[str, AfterValidator(_email), _documented(format="email", maxLength=LONGEST_EMAIL)]
PersonName = Annotated[str, AfterValidator(_name), _documented(minLength=1, maxLength=LONGEST_NAME)]
Password = Annotated[
    str,
    AfterValidator(_password),
    _documented(format="password", minLength=SHORTEST_PASSWORD, maxLength=LONGEST_PASSWORD),
    Field(repr=False),
]
# A password that is only compared with the stored one: nothing is said about its shape.
TriedPassword = Annotated[str, StringConstraints(min_length=1, max_length=1024), Field(repr=False)]
Stars = Annotated[int, Field(strict=True, ge=1, le=5)]
