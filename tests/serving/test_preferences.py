"""What readers say about their recommendations: muted and hidden books, settings, feedback."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
import structlog

from serving.recommendations.pages import LATEST_SECONDS, may_be_on_its_way, new_page_id
from tests.serving.conftest import FakeRegistry, Json, Library, Service, codes, fields, two_tastes

API = "/api/v1/recommendations"
SOME = "00000000-0000-4000-8000-000000000000"


class Person:
    """Somebody who is signed in."""

    def __init__(self, service: Service, email: str = "ada@example.org") -> None:
        self.service = service
        self.headers, self.id = service.signed_in(email)

    def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401  what httpx2 takes
        return self.service.client.request(method, API + path, headers=self.headers, **more)

    def rate(self, book: uuid.UUID, stars: int = 5) -> str:
        answer = self.service.post(f"/books/{book}/reviews", json={"rating": stars}, headers=self.headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["id"])

    def picks(self, path: str, **query: object) -> list[Json]:
        answer = self.ask("GET", path, params={"limit": 50, **query})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"]["recommendations"])

    def listed(self, path: str, **query: object) -> list[str]:
        return [book["id"] for book in self.ask("GET", path, params=query).json()["data"]]


@pytest.fixture
def ada(service: Service) -> Person:
    return Person(service)


def failed(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"]["code"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/muted"), ("PUT", f"/muted/{SOME}"), ("DELETE", f"/muted/{SOME}"),
        ("GET", "/hidden"), ("PUT", f"/hidden/{SOME}"), ("DELETE", f"/hidden/{SOME}"),
        ("GET", "/settings"), ("PUT", "/settings"), ("POST", "/feedback"),
    ],
)  # fmt: skip
def test_anonymous_callers_are_asked_to_sign_in(service: Service, method: str, path: str) -> None:
    assert failed(service.client.request(method, API + path)) == (401, "UNAUTHORIZED")


def test_a_muted_book_is_listed_until_it_is_not(ada: Person, library: Library) -> None:
    book = library.book("Twilight")
    ada.rate(book, 1)
    for _ in range(2):
        assert ada.ask("PUT", f"/muted/{book}").status_code == 204
        assert ada.listed("/muted") == [str(book)]
    for _ in range(2):
        assert ada.ask("DELETE", f"/muted/{book}").status_code == 204
        assert ada.listed("/muted") == []


def test_only_an_own_rated_book_can_be_muted(ada: Person, library: Library) -> None:
    theirs = library.book()
    library.rate(library.reader(), theirs, 5)
    for method in ("PUT", "DELETE"):
        assert failed(ada.ask(method, f"/muted/{theirs}")) == (404, "REVIEW_NOT_FOUND")
        assert failed(ada.ask(method, f"/muted/{uuid.uuid4()}")) == (404, "BOOK_NOT_FOUND")
        assert failed(ada.ask(method, "/muted/x")) == (422, "VALIDATION_ERROR")
    assert library.run("SELECT count(*) FROM muted_books") == [(0,)]


def test_a_muting_goes_with_its_review_and_no_other(ada: Person, library: Library) -> None:
    gone, kept = library.books(2)
    reviews = [ada.rate(book) for book in (gone, kept)]
    grace = Person(ada.service, "grace@example.org")
    grace.rate(gone)
    for person, book in ((ada, gone), (ada, kept), (grace, gone)):
        assert person.ask("PUT", f"/muted/{book}").status_code == 204
    stranger = ada.service.client.delete(f"/api/v1/reviews/{reviews[0]}", headers=grace.headers)
    assert stranger.status_code == 403
    assert len(ada.listed("/muted")) == 2
    assert ada.service.client.delete(f"/api/v1/reviews/{reviews[0]}", headers=ada.headers).status_code == 204
    ada.rate(gone)  # rated anew, it speaks for its reader
    assert ada.listed("/muted") == [str(kept)]
    assert grace.listed("/muted") == [str(gone)]


def test_a_muting_without_its_review_is_not_shown(ada: Person, library: Library) -> None:
    library.run("INSERT INTO muted_books (user_id, book_id) VALUES (%s, %s)", ada.id, library.book())
    assert ada.listed("/muted") == []
    assert ada.ask("GET", "/muted").json()["pagination"]["total"] == 0


def test_muting_and_unmuting_count_in_the_very_next_answer(
    ada: Person, library: Library, registry: FakeRegistry
) -> None:
    books = library.books(8)
    registry.promote("1", two_tastes(books))
    eventually(lambda: ada.service.app.state.engine.follower.current is not None)
    ada.rate(books[0])
    ada.rate(books[1])

    def reasons() -> set[str]:
        return {reason["book_id"] for pick in ada.picks("/personal") for reason in pick["because"]}

    assert reasons() == {str(books[0]), str(books[1])}
    ada.ask("PUT", f"/muted/{books[1]}")
    assert reasons() == {str(books[0])}
    assert str(books[1]) not in [pick["id"] for pick in ada.picks("/personal")]
    ada.ask("DELETE", f"/muted/{books[1]}")
    assert reasons() == {str(books[0]), str(books[1])}


def eventually(holds: Callable[[], Any], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)


def test_a_hidden_book_is_in_no_list_until_it_is_shown_again(
    ada: Person, library: Library, registry: FakeRegistry
) -> None:
    genre = library.genre("Fantasy")
    books = [library.book(f"Book {place}", genres=[genre]) for place in range(6)]
    for book in books:
        library.rated(book, *[5] * 5)
    registry.promote("1", two_tastes(books))
    eventually(lambda: ada.service.app.state.engine.follower.current is not None)
    ada.rate(books[0])
    lists: list[tuple[str, Json]] = [
        ("/popular", {}), ("/trending", {}), ("/personal", {}), ("/personal", {"genre_id": str(genre)}),
        (f"/genre/{genre}", {}), (f"/genre/{genre}", {"exclude_user_books": False}),
    ]  # fmt: skip

    def has(path: str, query: Json) -> bool:
        return str(books[2]) in [pick["id"] for pick in ada.picks(path, **query)]

    assert [has(*asked) for asked in lists] == [True] * len(lists)
    for _ in range(2):
        assert ada.ask("PUT", f"/hidden/{books[2]}").status_code == 204
    assert [has(*asked) for asked in lists] == [False] * len(lists)
    assert ada.listed("/hidden") == [str(books[2])]
    for _ in range(2):
        assert ada.ask("DELETE", f"/hidden/{books[2]}").status_code == 204
    assert ada.listed("/hidden") == []
    assert [has(*asked) for asked in lists] == [True] * len(lists)


def test_what_one_reader_hides_others_see(ada: Person, library: Library) -> None:
    book = library.book()
    library.rated(book, *[5] * 5)
    ada.ask("PUT", f"/hidden/{book}")
    grace = Person(ada.service, "grace@example.org")
    assert [pick["id"] for pick in grace.picks("/popular")] == [str(book)]
    assert grace.listed("/hidden") == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_unknown_book_cannot_be_hidden(ada: Person, method: str) -> None:
    assert failed(ada.ask(method, f"/hidden/{uuid.uuid4()}")) == (404, "BOOK_NOT_FOUND")
    assert failed(ada.ask(method, "/hidden/x")) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("marks", ["muted", "hidden"])
def test_marked_books_come_in_pages_the_latest_first(ada: Person, library: Library, marks: str) -> None:
    books = library.books(5)
    for book in books:
        ada.rate(book)
        ada.ask("PUT", f"/{marks}/{book}")
    library.run(f"UPDATE {marks}_books SET created_at = '2026-01-01' WHERE book_id = ANY(%s)", books[:3])
    order = [books[4], books[3], *sorted(books[:3], reverse=True)]  # of one moment: by id
    pages = [ada.listed(f"/{marks}", page=page, per_page=2) for page in (1, 2, 3, 4)]
    assert [book for page in pages for book in page] == [str(book) for book in order]
    for page in (1, 4):
        with structlog.testing.capture_logs() as lines:
            pagination = ada.ask("GET", f"/{marks}", params={"page": page, "per_page": 2}).json()["pagination"]
        assert (pagination["total"], pagination["pages"], pagination["has_next"]) == (5, 3, page == 1)
        assert [line["statements"] for line in lines if line["event"] == "request"] <= [3]
    assert failed(ada.ask("GET", f"/{marks}", params={"per_page": 101})) == (422, "VALIDATION_ERROR")


def settings(person: Person, **changes: object) -> Json:
    answer = person.ask("PUT", "/settings", json=changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def test_settings_change_what_was_sent(ada: Person) -> None:
    assert ada.ask("GET", "/settings").json()["data"] == {"enabled": True, "diversity": None}
    assert settings(ada, diversity=0.25) == {"enabled": True, "diversity": 0.25}
    assert settings(ada, enabled=False) == {"enabled": False, "diversity": 0.25}
    assert settings(ada, diversity=None) == {"enabled": False, "diversity": None}
    assert settings(ada, enabled=True, diversity=1) == {"enabled": True, "diversity": 1.0}
    assert ada.ask("GET", "/settings").json()["data"] == {"enabled": True, "diversity": 1.0}
    grace = Person(ada.service, "grace@example.org")
    assert grace.ask("GET", "/settings").json()["data"] == {"enabled": True, "diversity": None}


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({}, "body", "nothing_sent"),
        ({"enabled": None}, "enabled", "bool_type"),
        ({"enabled": "yes"}, "enabled", "bool_type"),
        ({"diversity": 1.01}, "diversity", "less_than_equal"),
        ({"diversity": -0.1}, "diversity", "greater_than_equal"),
        ({"diversity": "0.5"}, "diversity", "float_type"),
        ({"diversity": True}, "diversity", "float_type"),
        ({"colour": "red"}, "colour", "extra_forbidden"),
    ],
)
def test_bad_settings_are_422_and_change_nothing(ada: Person, changes: Json, field: str, code: str) -> None:
    settings(ada, enabled=False, diversity=0.5)
    answer = ada.ask("PUT", "/settings", json=changes)
    assert (answer.status_code, fields(answer), codes(answer)) == (422, [field], [code])
    assert ada.ask("GET", "/settings").json()["data"] == {"enabled": False, "diversity": 0.5}


def test_the_reader_s_diversity_holds_until_a_request_names_another(ada: Person, library: Library) -> None:
    library.rated(library.book(), *[5] * 5)

    def effective(**query: object) -> object:
        return ada.ask("GET", "/personal", params=query).json()["data"]["filters"].get("diversity")

    assert effective() is None
    settings(ada, diversity=0.25)
    assert effective() == 0.25
    assert effective(diversity=0) == 0


@pytest.fixture
def shelf(library: Library) -> list[uuid.UUID]:
    books = library.books(3)
    for book in books:
        library.rated(book, *[5] * 5)
    return books


def page_of(person: Person) -> str:
    return str(person.ask("GET", "/popular").json()["data"]["page_id"])


def tell(person: Person, page: object, book: object, event: str = "click") -> httpx2.Response:
    return person.ask("POST", "/feedback", json={"page_id": str(page), "book_id": str(book), "event": event})


def test_a_page_takes_feedback_at_once_although_it_is_stored_later(
    ada: Person, library: Library, shelf: list[uuid.UUID]
) -> None:
    page = page_of(ada)
    assert library.run("SELECT 1 FROM served_pages") == []
    answer = tell(ada, page, shelf[1])
    assert answer.status_code == 202, answer.text
    assert answer.json()["data"] == {"page_id": page, "book_id": str(shelf[1]), "event": "click"}
    stored = library.run("SELECT page_id::text, book_id, event FROM feedback_events")
    assert stored == [(page, shelf[1], "click")]


def test_an_event_counts_once_and_each_kind_for_itself(ada: Person, library: Library, shelf: list[uuid.UUID]) -> None:
    page = page_of(ada)
    for event in ("click", "read", "click", "dismiss", "read"):
        assert tell(ada, page, shelf[0], event).status_code == 202
    assert library.run("SELECT event FROM feedback_events ORDER BY id") == [("click",), ("read",), ("dismiss",)]
    told = ada.service.get("/users/export", headers=ada.headers).json()
    assert [entry["event"] for entry in told["feedback"]] == ["click", "read", "dismiss"]
    assert [entry["page_id"] for entry in told["served_pages"]] == [page]


def test_feedback_joins_the_reader_s_own_page_only(ada: Person, library: Library, shelf: list[uuid.UUID]) -> None:
    page, beside = page_of(ada), library.book("Not on the page")
    assert tell(ada, page, shelf[0]).status_code == 202
    grace = Person(ada.service, "grace@example.org")
    assert failed(tell(grace, page, shelf[0])) == (404, "NOT_FOUND")
    assert failed(tell(ada, page, beside)) == (404, "NOT_FOUND")
    assert failed(tell(ada, page, uuid.uuid4())) == (404, "NOT_FOUND")
    assert failed(tell(ada, uuid.uuid4(), shelf[0])) == (404, "NOT_FOUND")
    assert library.run("SELECT count(*) FROM feedback_events") == [(1,)]


def test_a_page_that_another_worker_stores_is_waited_for(ada: Person, library: Library, shelf: list[uuid.UUID]) -> None:
    page = new_page_id()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(tell, ada, page, shelf[0])
        time.sleep(0.6)
        assert not answer.done()
        library.run(
            "INSERT INTO served_pages (id, user_id, recommendation_type) VALUES (%s, %s, 'popular')", page, ada.id
        )
        library.run("INSERT INTO served_picks VALUES (%s, 1, %s, 'popular', 0.5)", page, shelf[0])
        assert answer.result(timeout=5).status_code == 202


def test_the_wait_for_a_page_is_bounded_and_a_page_that_cannot_come_costs_none(
    ada: Person, shelf: list[uuid.UUID]
) -> None:
    def asked(page: uuid.UUID) -> tuple[float, list[int]]:
        start = time.monotonic()
        with structlog.testing.capture_logs() as lines:
            assert tell(ada, page, shelf[0]).status_code == 404
        return time.monotonic() - start, [line["statements"] for line in lines if line["event"] == "request"]

    seconds, statements = asked(new_page_id())
    assert 2 < seconds < 4
    assert statements == [8]
    seconds, statements = asked(uuid.uuid4())
    assert seconds < 1
    assert statements == [2]


def test_page_ids_tell_their_age(monkeypatch: pytest.MonkeyPatch) -> None:
    page = new_page_id()
    assert (page.version, page.variant) == (7, uuid.RFC_4122)
    assert page != new_page_id()
    assert may_be_on_its_way(page)
    assert not may_be_on_its_way(uuid.uuid4())
    now = time.time()
    monkeypatch.setattr("serving.recommendations.pages.time.time", lambda: now + LATEST_SECONDS)
    assert not may_be_on_its_way(page)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"event": "like"}, "event"), ({"page_id": "x"}, "page_id"), ({"book_id": None}, "book_id"), ({"n": 1}, "n")],
)
def test_bad_feedback_is_422(ada: Person, changes: Json, field: str) -> None:
    told = {"page_id": SOME, "book_id": SOME, "event": "click", **changes}
    answer = ada.ask("POST", "/feedback", json=told)
    assert (answer.status_code, fields(answer)) == (422, [field])
