"""A running service on a database of the test's own, and rows made with plain SQL."""

import contextlib
import dataclasses
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import numpy as np
import psycopg
import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute, _EffectiveRouteContext, _RouterIncludeContext
from starlette.testclient import TestClient

from data.database import connect
from data.text import sort_key
from models import bundle
from models.registry import RegistryUnavailable, Version
from serving.app import create_app
from serving.settings import ServiceSettings

Json = dict[str, Any]
PASSWORD = "Analytical-Engine-1843"
_OVERRIDES = SimpleNamespace(dependency_overrides={})
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="session", autouse=True)
def _plain_log_lines() -> None:
    """Structlog's default draws an exception with all its variables, which takes seconds."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer(sort_keys=True)]
    )


@pytest.fixture(scope="session", autouse=True)
def _routes_made_once() -> Iterator[None]:
    """FastAPI works out every route anew for each application, .2 s at its first request; a thousand tests make one.

    What it works out depends on the route and where it is included alone, but for the application whose dependencies a
    test may override: those of all are in ``overrides``.
    """
    make = _EffectiveRouteContext.from_api_route
    made: dict[tuple[int, str], _EffectiveRouteContext] = {}

    def once(*, original_route: APIRoute, include_context: _RouterIncludeContext) -> _EffectiveRouteContext:
        key = (id(original_route), include_context.path_for(original_route))
        if key not in made:
            alike = dataclasses.replace(include_context, dependency_overrides_provider=_OVERRIDES)
            made[key] = make(original_route=original_route, include_context=alike)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_EffectiveRouteContext, "from_api_route", once)
        yield


@pytest.fixture(autouse=True)
def _nothing_computed_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's first question is the first: statements are counted, and tables are locked."""
    monkeypatch.setattr("serving.app.always", tuple)


@pytest.fixture
def overrides() -> Iterator[dict[Any, Any]]:
    """Dependency to what stands in for it, until the test ends."""
    yield _OVERRIDES.dependency_overrides
    _OVERRIDES.dependency_overrides.clear()


@dataclass
class Library:
    """Rows, written past the service."""

    connection: psycopg.Connection
    readers: list[uuid.UUID] = field(default_factory=list)

    def run(self, statement: str, *params: object) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, params)
        return cursor.fetchall() if cursor.description else []

    def genre(self, name: str) -> uuid.UUID:
        key = sort_key(name)
        rows = self.run("INSERT INTO genres (name, name_key) VALUES (%s, %s) RETURNING id", name, key)
        return uuid.UUID(str(rows[0][0]))

    def book(
        self, title: str = "A Book", author: str = "Some Body", *, genres: Sequence[uuid.UUID] = (), **more: object
    ) -> uuid.UUID:
        row = {"title": title, "author": author, "title_key": sort_key(title), "author_key": sort_key(author), **more}
        columns = ", ".join(row)
        places = ", ".join(["%s"] * len(row))
        rows = self.run(f"INSERT INTO books ({columns}) VALUES ({places}) RETURNING id", *row.values())
        book = uuid.UUID(str(rows[0][0]))
        for genre in genres:
            self.run("INSERT INTO book_genres (book_id, genre_id) VALUES (%s, %s)", book, genre)
        return book

    def books(self, n: int) -> list[uuid.UUID]:
        return [self.book(f"Book {place:04}", f"Author {place % 7}") for place in range(n)]

    def reader(self, first: str = "Grace", last: str = "Hopper") -> uuid.UUID:
        rows = self.run(
            "INSERT INTO users (email, first_name, last_name) VALUES (%s, %s, %s) RETURNING id",
            f"{uuid.uuid4().hex}@example.org",
            first,
            last,
        )
        return uuid.UUID(str(rows[0][0]))

    def rate(
        self, reader: uuid.UUID, book: uuid.UUID, stars: int, *, at: dt.datetime | None = None, text: str | None = None
    ) -> uuid.UUID:
        rows = self.run(
            "INSERT INTO reviews (user_id, book_id, rating, review_text, created_at)"
            " VALUES (%s, %s, %s, %s, coalesce(%s, clock_timestamp())) RETURNING id",
            reader,
            book,
            stars,
            text,
            at,
        )
        return uuid.UUID(str(rows[0][0]))

    def rated(self, book: uuid.UUID, *stars: int) -> None:
        """Ratings by readers who exist for nothing else."""
        while len(self.readers) < len(stars):
            self.readers.append(self.reader())
        for reader, given in zip(self.readers, stars, strict=False):
            self.rate(reader, book, given)


@pytest.fixture
def library(database_url: str) -> Iterator[Library]:
    with connect(database_url, autocommit=True) as connection:
        yield Library(connection)


class FakeRegistry:
    """The twin of ``models.registry.Registry`` that a test can steer."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.alias: Version | None = None
        self.beside: Version | None = None
        self.is_down = False
        self.downloads = 0
        self.stored: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
        self.spoil: Callable[[Path], None] = lambda _: None

    def promote(self, version: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Version:
        self.stored[version] = arrays
        self.alias = Version("brs-recommender", version, f"run{version}", START, ("champion",), {})
        return self.alias

    def champion(self) -> Version | None:
        if self.is_down:
            raise RegistryUnavailable("the registry is down")
        return self.alias

    def challenge(self, version: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Version:
        self.stored[version] = arrays
        self.beside = Version("brs-recommender", version, f"run{version}", START, ("challenger",), {})
        return self.beside

    def challenger(self) -> Version | None:
        if self.is_down:
            raise RegistryUnavailable("the registry is down")
        return self.beside

    def download(self, version: Version, into: Path) -> Path:
        folder = into / f"{version.version}-{version.run_id}"
        if not folder.exists():
            self.downloads += 1
            bundle.save(folder, self.stored[version.version], params={}, metrics={}, training_window=None)
            self.spoil(folder)
        return folder


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    return FakeRegistry(tmp_path / "registry")


def two_tastes(books: Sequence[uuid.UUID]) -> dict[str, np.ndarray[Any, Any]]:
    """A model in which even places are liked together, and odd places are; later places a little less."""
    n = len(books)
    factors = np.zeros((n, 2), dtype=np.float32)
    factors[np.arange(n), np.arange(n) % 2] = 1.0 - 0.5 * np.arange(n, dtype=np.float32) / n
    return {
        "book_ids": np.frombuffer(b"".join(book.bytes for book in books), dtype=np.uint8).reshape(n, 16),
        "item_factors": factors,
        "star_weights": np.array([0.0, 0.0, 0.2, 1.0, 1.5]),
        "recency": np.array(0.5),
    }


@dataclass
class Service:
    """The application, its client, and accounts made through it."""

    app: FastAPI
    client: TestClient

    def get(self, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401  what httpx2 takes
        return self.client.get("/api/v1" + path, **more)

    def post(self, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401  what httpx2 takes
        return self.client.post("/api/v1" + path, **more)

    def register(self, email: str = "ada@example.org", **more: object) -> Json:
        draft = {"email": email, "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace", **more}
        answer = self.post("/auth/register", json=draft)
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["data"])

    def signed_in(self, email: str = "ada@example.org") -> tuple[dict[str, str], uuid.UUID]:
        """Headers that sign a new reader in, and the reader's id."""
        tokens = self.register(email)
        return bearer(tokens["access_token"]), uuid.UUID(tokens["user"]["id"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


Start = Callable[..., Service]
Running = Callable[..., AbstractContextManager[Service]]


@pytest.fixture
def running(database_url: str, registry: FakeRegistry, tmp_path: Path) -> Running:
    """``with running(options_of_create_app, **settings) as service``."""

    @contextlib.contextmanager
    def run(options: Mapping[str, Any] | None = None, **settings: object) -> Iterator[Service]:
        told: dict[str, Any] = {
            "database_url": database_url,
            "tracking_uri": None,
            "bundles": tmp_path / "bundles",
            "registry": registry,
            **(options or {}),
        }
        app = create_app(
            ServiceSettings.model_validate({"model_poll_seconds": 0.05, "rate_limits": False, **settings}), **told
        )
        with TestClient(app, base_url="http://localhost") as client:
            yield Service(app, client)
        assert not app.dependency_overrides, "the fixture ``overrides`` is what counts"

    return run


@pytest.fixture
def start(running: Running) -> Iterator[Start]:
    """``start(options_of_create_app, **settings)``: a service that runs until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda options=None, **settings: stack.enter_context(running(options, **settings))


@pytest.fixture
def service(start: Start) -> Service:
    return start()


@contextlib.asynccontextmanager
async def at_once(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that can have many requests under way."""
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


def codes(answer: httpx2.Response) -> list[str]:
    return [detail["code"] for detail in answer.json()["errors"]["details"]]


def fields(answer: httpx2.Response) -> list[str]:
    return [detail["field"] for detail in answer.json()["errors"]["details"]]
