"""What the sign-in operations take and give."""

import datetime as dt
import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from serving.kit.fields import LONGEST_EMAIL, Body, Email, Line, Password, PersonName, TriedPassword

_ACCOUNT: JsonDict = {"email": "ada@example.org", "password": "Analytical-Engine-1843"}


class Registration(Body):
    email: Email = Field(examples=["ada@example.org"])
    password: Password = Field(examples=["Analytical-Engine-1843"])
    first_name: PersonName = Field(examples=["Ada"])
    last_name: PersonName = Field(examples=["Lovelace"])


# At sign-in nothing is said about the shape of an address: it is right or it is not.
_Account = Annotated[Line, StringConstraints(min_length=1, max_length=LONGEST_EMAIL)]


class Login(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _ACCOUNT})

    email: _Account
    password: TriedPassword


class LoginForm(Body):
    """OAuth2's password flow (RFC 6749 section 4.3.2); only the first two fields matter."""

    username: _Account
    password: TriedPassword
    grant_type: Annotated[str, StringConstraints(pattern="^password$")] | None = None
    scope: str = ""
    client_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)


class Refresh(Body):
    refresh_token: Annotated[Line, StringConstraints(min_length=1, max_length=256)] = Field(
        repr=False, examples=["Zk0tq…"]
    )


class PasswordChange(Body):
    current_password: TriedPassword = Field(examples=["Analytical-Engine-1843"])
    new_password: Password = Field(examples=["Difference-Engine-1822"])


class User(BaseModel):
    id: uuid.UUID
    email: str
    first_name: str
    last_name: str
    is_active: bool
    is_admin: bool
    created_at: dt.datetime
    updated_at: dt.datetime


class Tokens(BaseModel):
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="Seconds until the access token expires")
    user: User


USER_EXAMPLE = {
    "id": "6f2f9a52-6f4e-4f0e-9a1c-0d8f2c6f7b11",
    "email": "ada@example.org",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "is_active": True,
    "is_admin": False,
    "created_at": "2026-11-22T20:15:22.123Z",
    "updated_at": "2026-11-22T20:15:22.123Z",
}
TOKENS_EXAMPLE = {
    "access_token": "eyJhbGciOiJIUzI1NiIs…",
    "refresh_token": "Zk0tq…",
    "token_type": "bearer",
    "expires_in": 900,
    "user": USER_EXAMPLE,
}
