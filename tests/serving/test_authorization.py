"""Who may do what: every operation, asked by everybody. The expected status of each is written down in the table."""

import datetime as dt
import json
import uuid
from dataclasses import dataclass
from typing import Any, Final

import jwt
import pytest

from serving.openapi import document
from tests.serving.conftest import PASSWORD, Library, Service, Start, bearer

ROLES: Final = ("anonymous", "expired", "refresh", "disabled", "other", "admin", "reader")
# What the first four get. "Open" operations do not look at a token; where signing in is optional, a bad one is refused.
NEEDED: Final = (401, 401, 401, 403)
NEW_PASSWORD: Final = "Difference-Engine-1822"
CSV: Final = "Book Id,Title,Author,ISBN,ISBN13,My Rating,Date Read,Date Added,My Review\n"


@dataclass(frozen=True)
class Asked:
    """One operation and what each role gets, in the order of ROLES. ``body`` may hold the names of ``Scene``."""

    method: str
    path: str
    statuses: tuple[int, ...]
    body: Any = None
    form: Any = None
    files: Any = None

    @property
    def operation(self) -> tuple[str, str]:
        return self.method.lower(), self.path


def opened(status: int) -> tuple[int, ...]:
    return (status,) * len(ROLES)


def optional(status: int) -> tuple[int, ...]:
    return (status, *NEEDED[1:], status, status, status)


def signed_in(status: int, *, other: int | None = None, admin: int | None = None) -> tuple[int, ...]:
    return (*NEEDED, other or status, admin or status, status)


def administered(status: int) -> tuple[int, ...]:
    return (*NEEDED, 403, status, 403)


API = "/api/v1"
ACCOUNT = {"email": "{email}", "password": PASSWORD}
TABLE = [
    Asked("GET", "/", opened(200)),
    Asked("GET", "/health", opened(200)),
    Asked("GET", "/metrics", opened(200)),
    Asked("GET", f"{API}/monitoring/health/liveness", opened(200)),
    Asked("GET", f"{API}/monitoring/health/readiness", opened(200)),
    Asked("GET", f"{API}/monitoring/health/detailed", opened(200)),
    Asked("GET", f"{API}/monitoring/metrics", opened(200)),
    Asked("GET", f"{API}/monitoring/version", opened(200)),
    Asked("GET", f"{API}/monitoring/status", opened(200)),
    Asked("POST", f"{API}/auth/register", opened(201), {**ACCOUNT, "first_name": "Ada", "last_name": "Lovelace"}),
    Asked("POST", f"{API}/auth/login", opened(200), form={"username": "reader@example.org", "password": PASSWORD}),
    Asked("POST", f"{API}/auth/login/json", opened(200), {"email": "reader@example.org", "password": PASSWORD}),
    Asked("POST", f"{API}/auth/refresh", opened(401), {"refresh_token": "unknown"}),
    Asked("POST", f"{API}/auth/logout", signed_in(200)),
    Asked(
        "POST",
        f"{API}/auth/change-password",
        signed_in(200),
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    ),
    Asked("GET", f"{API}/auth/me", signed_in(200)),
    Asked("GET", f"{API}/users/profile", signed_in(200)),
    Asked("PUT", f"{API}/users/profile", signed_in(200), {"first_name": "Augusta"}),
    Asked("DELETE", f"{API}/users/profile", signed_in(204), {"password": PASSWORD}),
    Asked("GET", f"{API}/users/stats", signed_in(200)),
    Asked("GET", f"{API}/users/favorites", signed_in(200)),
    Asked("GET", f"{API}/users/favorites/{{book_id}}", signed_in(200)),
    Asked("POST", f"{API}/users/favorites/{{book_id}}", signed_in(201)),
    Asked("DELETE", f"{API}/users/favorites/{{book_id}}", signed_in(204)),
    Asked("GET", f"{API}/users/reviews", signed_in(200)),
    Asked("GET", f"{API}/users/export", signed_in(200)),
    Asked(
        "POST",
        f"{API}/users/import/goodreads",
        signed_in(200),
        files={"file": ("library.csv", CSV.encode(), "text/csv")},
    ),
    Asked("GET", f"{API}/books", opened(200)),
    Asked("GET", f"{API}/books/search", opened(200)),
    Asked("GET", f"{API}/books/{{book_id}}", opened(200)),
    Asked("GET", f"{API}/books/{{book_id}}/genre-proposals", administered(200)),
    Asked("POST", f"{API}/books", administered(201), {"title": "{word}", "author": "Some Body"}),
    Asked("PUT", f"{API}/books/{{book_id}}", administered(200), {"title": "Another"}),
    Asked("DELETE", f"{API}/books/{{book_id}}", administered(204)),
    Asked("GET", f"{API}/genres", opened(200)),
    Asked("POST", f"{API}/genres", administered(201), {"name": "{word}"}),
    Asked("PUT", f"{API}/genres/{{genre_id}}", administered(200), {"description": "Better than before."}),
    Asked("DELETE", f"{API}/genres/{{genre_id}}", administered(204)),
    Asked("GET", f"{API}/books/{{book_id}}/reviews", opened(200)),
    Asked("POST", f"{API}/books/{{unrated_id}}/reviews", signed_in(201), {"rating": 4}),
    Asked("GET", f"{API}/reviews/{{review_id}}", opened(200)),
    Asked("PUT", f"{API}/reviews/{{review_id}}", signed_in(200, other=403, admin=403), {"rating": 1}),
    Asked("DELETE", f"{API}/reviews/{{review_id}}", signed_in(204, other=403, admin=403)),
    Asked("GET", f"{API}/recommendations/popular", optional(200)),
    Asked("GET", f"{API}/recommendations/trending", optional(200)),
    Asked("GET", f"{API}/recommendations/genre/{{genre_id}}", optional(200)),
    Asked("GET", f"{API}/recommendations/genre/{{genre_id}}/similar-to/{{book_id}}", optional(200)),
    Asked("GET", f"{API}/books/{{book_id}}/similar", optional(200)),
    Asked("GET", f"{API}/recommendations/diversity", optional(200)),
    Asked("GET", f"{API}/recommendations/starters", optional(200)),
    Asked("GET", f"{API}/recommendations/personal", signed_in(200)),
    Asked("POST", f"{API}/recommendations/preview", opened(200), {"ratings": [{"book_id": "{book_id}", "rating": 5}]}),
    Asked("GET", f"{API}/recommendations/muted", signed_in(200)),
    Asked("PUT", f"{API}/recommendations/muted/{{book_id}}", signed_in(204, other=404, admin=404)),
    Asked("DELETE", f"{API}/recommendations/muted/{{book_id}}", signed_in(204, other=404, admin=404)),
    Asked("GET", f"{API}/recommendations/hidden", signed_in(200)),
    Asked("PUT", f"{API}/recommendations/hidden/{{book_id}}", signed_in(204)),
    Asked("DELETE", f"{API}/recommendations/hidden/{{book_id}}", signed_in(204)),
    Asked("GET", f"{API}/recommendations/settings", signed_in(200)),
    Asked("PUT", f"{API}/recommendations/settings", signed_in(200), {"enabled": False}),
    Asked(
        "POST",
        f"{API}/recommendations/feedback",
        signed_in(202, other=404, admin=404),
        {"page_id": "{page_id}", "book_id": "{book_id}", "event": "click"},
    ),
]


class Scene:
    """A library, and somebody of each role."""

    def __init__(self, service: Service, library: Library, secret: str) -> None:
        self.service = service
        self.library = library
        self.headers: dict[str, dict[str, str]] = {"anonymous": {}}
        ids = {}
        for role in ("reader", "other", "admin", "disabled"):
            tokens = service.register(f"{role}@example.org")
            self.headers[role] = bearer(tokens["access_token"])
            ids[role] = uuid.UUID(tokens["user"]["id"])
            if role == "reader":
                self.headers["refresh"] = bearer(tokens["refresh_token"])
                self.headers["expired"] = bearer(aged(tokens["access_token"], secret))
        library.run("UPDATE users SET is_admin = true WHERE id = %s", ids["admin"])
        library.run("UPDATE users SET is_active = false WHERE id = %s", ids["disabled"])
        self.names = {
            "book_id": str(library.book("Emma")),
            "unrated_id": str(library.book("Persuasion")),
            "genre_id": str(library.genre("Classics")),
        }
        self.names["page_id"] = self._page(ids["reader"], self.names["book_id"])
        self.names["review_id"] = str(library.rate(ids["reader"], uuid.UUID(self.names["book_id"]), 5))

    def _page(self, reader: uuid.UUID, book: str) -> str:
        """A page that was served to ``reader``."""
        page = self.library.run(
            "INSERT INTO served_pages (user_id, recommendation_type) VALUES (%s, 'popular') RETURNING id", reader
        )[0][0]
        self.library.run("INSERT INTO served_picks VALUES (%s, 1, %s, 'popular', 0.5)", page, book)
        return str(page)

    def ask(self, asked: Asked, role: str) -> int:
        names = {**self.names, "word": role, "email": f"new-{role}@example.org"}
        body = None if asked.body is None else json.loads(filled(json.dumps(asked.body), names))
        answer = self.service.client.request(
            asked.method,
            filled(asked.path, names),
            json=body,
            data=asked.form,
            files=asked.files,
            headers=self.headers[role],
            params={"q": "emma"} if asked.path.endswith("/search") else None,
        )
        return answer.status_code


def filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def aged(token: str, secret: str) -> str:
    """The same token, as it is an hour after its end."""
    claims = jwt.decode(token, options={"verify_signature": False})
    now = dt.datetime.now(dt.UTC)
    claims |= {"iat": now - dt.timedelta(hours=2), "exp": now - dt.timedelta(hours=1)}
    header = jwt.get_unverified_header(token)
    return jwt.encode(claims, secret, algorithm=header["alg"], headers={k: v for k, v in header.items() if k == "kid"})


def test_the_table_names_every_operation() -> None:
    described = json.loads(document())["paths"]
    there = {(method, path) for path, methods in described.items() for method in methods}
    listed = {(method, path.replace("{unrated_id}", "{book_id}")) for method, path in (a.operation for a in TABLE)}
    assert listed == there


@pytest.mark.parametrize("asked", TABLE, ids=lambda asked: f"{asked.method} {asked.path}")
def test_everybody_gets_what_the_table_says(asked: Asked, start: Start, library: Library) -> None:
    service = start()
    scene = Scene(service, library, service.app.state.settings.secret_key.get_secret_value())
    got = {role: scene.ask(asked, role) for role in ROLES}
    assert got == dict(zip(ROLES, asked.statuses, strict=True))
