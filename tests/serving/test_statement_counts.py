"""No list asks Postgres more often when it is longer. The API's own description says which operations give lists."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from serving.openapi import document
from tests.serving.conftest import FakeRegistry, Library, Running, Service, two_tastes

if TYPE_CHECKING:
    import uuid

MOST: Final = 3
FEW, MANY = 1, 30  # of everything; more than a page
API: Final = "/api/v1"
# Nothing that is asked for here says what is in it: the file of everything a reader has.
WITHOUT_SCHEMA: Final = frozenset({f"{API}/users/export"})

Params = Mapping[str, object]
Json = dict[str, Any]
# Each list with the requests that ask most of it. "{…}" are names of Scene. "after" is what the request before gave.
PAGED: Final[tuple[Params, ...]] = ({}, {"per_page": 100}, {"page": 9000})
CONTINUED: Final[tuple[Params, ...]] = (*PAGED, {"per_page": 1}, {"after": "{cursor}"})
TABLE: Final[Mapping[str, tuple[Params, ...]]] = {
    f"{API}/books": (
        *CONTINUED,
        {"genre_id": "{genre_id}", "author": "author", "min_rating": 1, "sort_by": "average_rating"},
        {"genre_id": "{empty_id}"},
        {"genre_id": "{empty_id}", "page": 2},
    ),
    f"{API}/books/search": (
        {"q": "book"},
        {"q": "boko", "genre_id": "{genre_id}", "min_rating": 1, "per_page": 100},
        {"q": "book", "genre_id": "{empty_id}"},
        {"q": "book", "page": 9000},
        {"q": "9780439023481", "genre_id": "{empty_id}"},
    ),
    f"{API}/books/{{book_id}}": ({},),
    f"{API}/books/{{book_id}}/reviews": (*CONTINUED, {"rating_filter": 4, "sort_by": "rating"}, {"rating_filter": 1}),
    f"{API}/genres": ({},),
    f"{API}/monitoring/metrics": ({},),
    f"{API}/recommendations/personal": ({}, {"limit": 50}, {"genre_id": "{genre_id}"}),
    f"{API}/recommendations/popular": (
        {"min_reviews": 1},
        {"limit": 100, "min_reviews": 0},
        {"genre_id": "{genre_id}", "min_reviews": 0, "days_back": 365},
        {"genre_id": "{empty_id}"},
    ),
    f"{API}/books/{{book_id}}/genre-proposals": ({},),
    f"{API}/books/{{book_id}}/similar": ({}, {"limit": 50}),
    f"{API}/recommendations/diversity": ({}, {"limit": 50, "genre_count": 10}),
    f"{API}/recommendations/genre/{{genre_id}}": ({}, {"limit": 50, "min_reviews": 0}, {"exclude_user_books": False}),
    f"{API}/recommendations/genre/{{genre_id}}/similar-to/{{book_id}}": ({}, {"limit": 50}),
    f"{API}/recommendations/hidden": PAGED,
    f"{API}/recommendations/muted": PAGED,
    f"{API}/recommendations/starters": ({}, {"limit": 20}),
    f"{API}/recommendations/trending": (
        {"limit": 100, "min_reviews_in_period": 0},
        {"limit": 100, "min_reviews_in_period": 0, "days_back": 7},
    ),
    f"{API}/reviews/{{review_id}}": ({},),
    f"{API}/users/export": ({},),
    f"{API}/users/favorites": PAGED,
    f"{API}/users/reviews": PAGED,
    f"{API}/users/stats": ({},),
}


def lists() -> Iterator[tuple[str, Json]]:
    """Every GET whose answer has an array in it, however deep."""
    described = json.loads(document())
    schemas = described["components"]["schemas"]
    for path, methods in described["paths"].items():
        operation = methods.get("get", {"responses": {"200": {}}})
        media = operation["responses"]["200"].get("content", {})
        if any(has_array(one.get("schema", {}), schemas) for one in media.values()) or path in WITHOUT_SCHEMA:
            yield path, operation


def has_array(schema: object, schemas: Json, inside: frozenset[str] = frozenset()) -> bool:
    if isinstance(schema, list):
        return any(has_array(part, schemas, inside) for part in schema)
    if not isinstance(schema, dict):
        return False
    named = str(schema.get("$ref", "")).rpartition("/")[2]
    if named:
        return named not in inside and has_array(schemas[named], schemas, inside | {named})
    parts = [schema[key] for key in ("additionalProperties", "anyOf", "oneOf", "allOf") if key in schema]
    parts += schema.get("properties", {}).values()
    return schema.get("type") == "array" or any(has_array(part, schemas, inside) for part in parts)


class Scene:
    """A reader with so many of everything, and a model that knows all books."""

    def __init__(self, service: Service, library: Library) -> None:
        self.library = library
        self.headers, self.reader = service.signed_in()
        library.run("UPDATE users SET is_admin = true WHERE id = %s", self.reader)  # some lists are for librarians
        self.genres: list[uuid.UUID] = []
        self.books: list[uuid.UUID] = []
        self.reviews: list[uuid.UUID] = []
        self.empty = library.genre("Nobody writes this")

    def grow(self, n: int) -> None:
        """Until there are ``n`` genres, and ``n`` books each that were read, that were not, and that are hidden."""
        library = self.library
        for place in range(len(self.genres), n):
            genre = library.genre(f"Genre {place}")
            self.genres.append(genre)
            read, unread, hidden = (
                library.book(f"Book {kind} {place}", genres=[self.genres[0]]) for kind in ("read", "unread", "hidden")
            )
            self.books += [read, unread, hidden]
            if place:
                library.run("INSERT INTO book_genres (book_id, genre_id) VALUES (%s, %s)", self.books[0], genre)
            self.reviews.append(library.rate(self.reader, read, 4, text=f"What I thought of number {place}."))
            if place % 2:  # the others are what the model has to go by
                library.run("INSERT INTO muted_books (user_id, book_id) VALUES (%s, %s)", self.reader, read)
            proposed = library.genre(f"Proposed {place}")
            library.run("INSERT INTO genre_proposals VALUES (%s, %s, 0.5)", self.books[0], proposed)
            for table, book in (("favorites", read), ("hidden_books", hidden)):
                library.run(f"INSERT INTO {table} (user_id, book_id) VALUES (%s, %s)", self.reader, book)
            library.rated(unread, 5)
            library.rate(library.reader(), self.books[0], 4)

    def names(self) -> dict[str, str]:
        return {
            "book_id": str(self.books[0]),
            "genre_id": str(self.genres[0]),
            "empty_id": str(self.empty),
            "review_id": str(self.reviews[0]),
        }


class Count(NamedTuple):
    """Statements beside the one that identifies the caller, and how long the answer was."""

    statements: int
    length: int


def counts(service: Service, scene: Scene) -> dict[tuple[str, str], Count]:
    counted = {}
    for path, operation in lists():
        names = scene.names()
        for params in TABLE[path]:
            asked = {name: filled(value, names) for name, value in params.items()}
            with structlog.testing.capture_logs() as lines:
                answer = service.client.get(filled(path, names), params=asked, headers=scene.headers)
            assert answer.status_code == 200, (path, params, answer.text)
            names["cursor"] = (answer.json().get("pagination") or {}).get("next_cursor") or ""
            (of_request,) = [line["statements"] for line in lines if line["event"] == "request"]
            identified = 1 if operation.get("security") else 0
            counted[path, str(dict(params))] = Count(of_request - identified, len(answer.content))
    return counted


def filled(text: object, names: Mapping[str, str]) -> str:
    told = str(text)
    for name, value in names.items():
        told = told.replace("{" + name + "}", value)
    return told


def with_model(service: Service, registry: FakeRegistry, version: str, scene: Scene) -> Service:
    registry.promote(version, two_tastes(scene.books))
    until = time.monotonic() + 10
    while (champion := service.app.state.engine.follower.current) is None or champion.name.version != version:
        assert time.monotonic() < until, "the model does not come"
        time.sleep(0.02)
    return service


def test_the_table_names_every_list() -> None:
    assert {path for path, _ in lists()} == set(TABLE)


def test_every_list_takes_three_statements_at_most_and_no_more_when_it_is_long(
    running: Running, registry: FakeRegistry, library: Library
) -> None:
    with running() as service:
        scene = Scene(service, library)
        scene.grow(FEW)
        few = counts(with_model(service, registry, "1", scene), scene)
    scene.grow(MANY)
    with running() as service:  # another one, which remembers nothing
        many = counts(with_model(service, registry, "2", scene), scene)
    asked = {path for (path, _), count in many.items() if count.statements}
    assert asked <= {request[0] for request, count in many.items() if count.length > few[request].length}
    assert {request: count.statements for request, count in many.items()} == {
        request: count.statements for request, count in few.items()
    }
    assert {request: count.statements for request, count in many.items() if count.statements > MOST} == {}
