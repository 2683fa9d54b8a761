"""A list across several genres, and the books to begin with."""

import uuid

import httpx2
import pytest
import structlog

from tests.serving.bundles import with_catalogue
from tests.serving.conftest import FakeRegistry, Json, Library, Service, fields
from tests.serving.test_recommendations import eventually, has_model, ids, rate

GENRES = 3


@pytest.fixture
def genres(library: Library) -> list[uuid.UUID]:
    return [library.genre(f"Genre {place}") for place in range(GENRES)]


@pytest.fixture
def books(library: Library, genres: list[uuid.UUID]) -> list[uuid.UUID]:
    """Twelve books, four of each genre in a row, of one kind of taste; the higher the place, the more popular."""
    made = [library.book(f"Book {place:02}", f"Author {place}", genres=[genres[place // 4]]) for place in range(12)]
    for place, book in enumerate(made):
        library.rated(book, *[4] * (place + 1))
    return made


@pytest.fixture
def learned(service: Service, registry: FakeRegistry, books: list[uuid.UUID]) -> Service:
    registry.promote("1", with_catalogue(books, *[{"genres": (place // 4,), "raters": place} for place in range(12)]))
    eventually(has_model(service))
    return service


def ask(service: Service, path: str, who: Json | None = None, **query: object) -> httpx2.Response:
    answer = service.get(f"/recommendations/{path}", params=query, headers=who or {})
    assert answer.status_code == 200, answer.text
    return answer


def places(answer: httpx2.Response, books: list[uuid.UUID]) -> list[int]:
    return [books.index(uuid.UUID(book)) for book in ids(answer)]


def sources(answer: httpx2.Response) -> set[str]:
    return {pick["source"] for pick in answer.json()["data"]["recommendations"]}


def sound(answer: httpx2.Response) -> bool:
    scores = [pick["score"] for pick in answer.json()["data"]["recommendations"]]
    return scores == sorted(scores, reverse=True) and len(set(ids(answer))) == len(scores)


@pytest.mark.parametrize("model", ["learned", "service"], ids=["with a model", "without"])
def test_anybody_gets_the_popular_books_of_the_genres_that_are_read_most_turn_by_turn(
    service: Service, request: pytest.FixtureRequest, books: list[uuid.UUID], model: str
) -> None:
    request.getfixturevalue(model)
    answer = ask(service, "diversity")
    data = answer.json()["data"]
    assert places(answer, books) == [11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0]
    assert sound(answer)
    assert sources(answer) == {"popular"}
    assert (data["recommendation_type"], data["model"], data["page_id"]) == ("diversity", None, None)
    assert data["filters"] == {"genre_count": 5}
    assert places(ask(service, "diversity", genre_count=2, limit=3), books) == [11, 7, 10]


def test_a_reader_s_own_taste_is_dealt_out_over_the_genres_they_like(learned: Service, books: list[uuid.UUID]) -> None:
    headers, _ = learned.signed_in()
    for place in (4, 8, 9):  # a book of the middle genre, then two of the last
        rate(learned, headers, books[place])
    answer = ask(learned, "diversity", headers, genre_count=2, limit=4)
    data = answer.json()["data"]
    assert [place // 4 for place in places(answer, books)] == [2, 1, 2, 1]
    assert sound(answer)
    assert sources(answer) <= {"taste", "genres"}
    assert data["model"] == {"name": "brs-recommender", "version": "1"}
    assert "the books you rated" in data["explanation"]
    whole = ask(learned, "diversity", headers, genre_count=2)
    assert sound(whole)
    assert set(places(whole, books)) == {5, 6, 7, 10, 11}
    assert data["recommendations"][0]["because"]


def test_who_likes_nothing_or_switched_it_off_gets_popular_books_without_their_own(
    learned: Service, library: Library, books: list[uuid.UUID]
) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[11], 1)
    library.run("INSERT INTO hidden_books (user_id, book_id) VALUES (%s, %s)", reader, books[7])
    for _ in range(2):
        answer = ask(learned, "diversity", headers, limit=3)
        assert places(answer, books) == [3, 10, 6]
        assert sources(answer) == {"popular"}
        switch_off = "INSERT INTO reader_settings (user_id, enabled) VALUES (%s, false) ON CONFLICT DO NOTHING"
        library.run(switch_off, reader)
    assert answer.json()["data"]["model"] is None


def test_a_library_without_genres_has_its_popular_books(service: Service, library: Library) -> None:
    book = library.book("Lone")
    library.rated(book, 5)
    assert ids(ask(service, "diversity")) == ids(ask(service, "starters")) == [str(book)]


def test_starters_come_from_the_model_and_leave_out_what_the_reader_has_rated(
    learned: Service, library: Library, books: list[uuid.UUID]
) -> None:
    answer = ask(learned, "starters")
    data = answer.json()["data"]
    assert (len(ids(answer)), sources(answer), sound(answer)) == (5, {"starters"}, True)
    assert (data["recommendation_type"], data["limit"], data["page_id"]) == ("starters", 5, None)
    assert data["model"]["version"] == "1"
    headers, reader = learned.signed_in()
    rate(learned, headers, books[11], 2)
    library.run("INSERT INTO hidden_books (user_id, book_id) VALUES (%s, %s)", reader, books[10])
    own = ask(learned, "starters", headers, limit=20)
    assert set(places(own, books)) == set(range(10))
    assert sound(own)
    assert own.json()["data"]["page_id"] is not None


def test_without_a_model_starters_are_popular_books_of_many_genres(service: Service, books: list[uuid.UUID]) -> None:
    answer = ask(service, "starters")
    assert places(answer, books) == [11, 7, 3, 10, 6]
    assert (sources(answer), answer.json()["data"]["model"]) == ({"popular"}, None)
    headers, _ = service.signed_in()
    rate(service, headers, books[7])
    assert places(ask(service, "starters", headers), books) == [11, 3, 10, 6, 2]


def test_they_take_three_statements_beside_the_caller_s_at_most(learned: Service, books: list[uuid.UUID]) -> None:
    headers, _ = learned.signed_in()
    rate(learned, headers, books[0])
    with structlog.testing.capture_logs() as lines:
        for path in ("diversity", "starters"):
            for who in ({}, headers, {}, headers):
                ask(learned, path, who, limit=20)
    counted = [line["statements"] for line in lines if line["event"] == "request"]
    assert counted == [2, 3, 0, 3, 2, 3, 1, 3]


def test_signed_in_readers_pages_are_stored(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[0])
    told = [ask(learned, path, headers, limit=5).json()["data"] for path in ("diversity", "starters")]
    eventually(lambda: library.run("SELECT count(*) FROM served_pages") == [(2,)])
    stored = library.run(
        "SELECT id::text, user_id, recommendation_type, filters, model_version FROM served_pages ORDER BY created_at"
    )
    assert stored == [(data["page_id"], reader, data["recommendation_type"], data["filters"], "1") for data in told]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("diversity", {"limit": 0}),
        ("diversity", {"limit": 51}),
        ("diversity", {"genre_count": 1}),
        ("diversity", {"genre_count": 11}),
        ("starters", {"limit": 0}),
        ("starters", {"limit": 21}),
    ],
)
def test_bad_queries_are_422(service: Service, path: str, query: Json) -> None:
    answer = service.get(f"/recommendations/{path}", params=query)
    assert (answer.status_code, fields(answer)) == (422, list(query))
