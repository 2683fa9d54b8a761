"""A client that waits for each answer, and what it may ask for in a generated library."""

import contextlib
import http.client
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import click

from data.database import connect
from data.text import sort_key

API = "/api/v1"
PASSWORD = "Quiet-Reading-Lamp-1843"  # noqa: S105 - of accounts that live as long as the measurement
RATED = 40  # books that the measuring reader has rated
MODEL_SECONDS = 60.0
_POPULAR, _CROWDED = 1000, 50


class Failed(RuntimeError):
    """An answer that is no success makes a figure worthless."""


@dataclass(frozen=True)
class Client:
    port: int
    token: str | None = None

    def ask(self, connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:  # noqa: PLR2004 - anything but success
            raise Failed(f"{method} {path} answered {answer.status}: {text[:300]!r}")
        return json.loads(text)

    def once(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            return self.ask(connection, method, path, body)


class Account(NamedTuple):
    email: str
    token: str


def register(port: int) -> Account:
    email = f"bench-{secrets.token_hex(6)}@example.org"
    draft = {"email": email, "password": PASSWORD, "first_name": "Bench", "last_name": "Reader"}
    return Account(email, str(Client(port).once("POST", f"{API}/auth/register", draft)["data"]["access_token"]))


class Shelf(NamedTuple):
    """What clients ask for: books that many have rated, the most rated ones of them, and texts that are typed."""

    popular: Sequence[str]
    crowded: Sequence[str]
    searches: Mapping[str, Sequence[str]]


def shelf(database_url: str) -> Shelf:
    statement = "SELECT id::text, title, author FROM books ORDER BY total_reviews DESC, id LIMIT %s"
    with connect(database_url) as connection:
        rows = connection.execute(statement, [_POPULAR]).fetchall()
    ids = [str(row[0]) for row in rows]
    names = [(sort_key(title).split(), sort_key(author).split()) for _, title, author in rows]
    searches = {
        "an author's two names": [" ".join(author) for _, author in names],
        "a word of a title and a name": [f"{author[-1]} {max(title, key=len)}" for title, author in names],
        "one word": [author[0] for _, author in names],
        "a beginning": [author[0][:4] for _, author in names],
        "mistyped": [_mistyped(" ".join(author)) for _, author in names],
        "a word that most books have": ["the"],
        "two words that all books have": ["set in", "tales by"],
    }
    return Shelf(ids, ids[:_CROWDED], searches)


def _mistyped(text: str) -> str:
    """The last two letters the other way round."""
    return text[:-2] + text[-1] + text[-2]


def search_path(text: str) -> str:
    return f"{API}/books/search?q={quote(text)}"


def experienced(port: int, popular: Sequence[str]) -> Client:
    """Somebody who has rated forty books, for whom the model answers."""
    client = Client(port, register(port).token)
    for place, book in enumerate(popular[:RATED]):
        client.once("POST", f"{API}/books/{book}/reviews", {"rating": 3 + place % 3})
    deadline = time.monotonic() + MODEL_SECONDS
    while client.once("GET", f"{API}/recommendations/personal?limit=1")["data"]["model"] is None:
        if time.monotonic() > deadline:
            raise click.ClickException("the API picked up no model")
        time.sleep(0.5)
    return client
