"""Books of a genre: what many like, and for a signed-in reader what their own books speak for first."""

import uuid

import httpx2
import pytest
import structlog

from tests.serving.conftest import FakeRegistry, Json, Library, Service, fields, two_tastes
from tests.serving.test_recommendations import eventually, has_model, ids, rate


@pytest.fixture
def genre(library: Library) -> uuid.UUID:
    return library.genre("Fantasy")


@pytest.fixture
def books(library: Library, genre: uuid.UUID) -> list[uuid.UUID]:
    """Eight books, the higher the place the more popular; the last two are of no genre."""
    made = [library.book(f"Book {place}", genres=[genre] if place < 6 else []) for place in range(8)]
    for place, book in enumerate(made):
        library.rated(book, *[4] * (place + 1))
    return made


@pytest.fixture
def learned(service: Service, registry: FakeRegistry, books: list[uuid.UUID]) -> Service:
    """Even places are liked together, and odd places are."""
    registry.promote("1", two_tastes(books))
    eventually(has_model(service))
    return service


def ask(service: Service, genre: uuid.UUID, headers: dict[str, str] | None = None, **query: object) -> httpx2.Response:
    answer = service.get(f"/recommendations/genre/{genre}", params=query, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer


def shelf(books: list[uuid.UUID], *places: int) -> list[str]:
    return [str(books[place]) for place in places]


def test_anybody_gets_the_genre_s_popular_books(learned: Service, genre: uuid.UUID, books: list[uuid.UUID]) -> None:
    answer = ask(learned, genre)
    data = answer.json()["data"]
    assert ids(answer) == shelf(books, 5, 4, 3, 2, 1, 0)
    assert (data["recommendation_type"], data["model"], data["page_id"], data["limit"]) == ("genre", None, None, 20)
    assert data["filters"] == {"genre_id": str(genre), "exclude_user_books": True, "min_reviews": 1}
    assert {pick["source"] for pick in data["recommendations"]} == {"genres"}
    scores = [pick["score"] for pick in data["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert ids(ask(learned, genre, limit=2)) == shelf(books, 5, 4)


def test_a_book_must_have_the_reviews_and_the_stars(
    learned: Service, library: Library, genre: uuid.UUID, books: list[uuid.UUID]
) -> None:
    library.book("Unread", genres=[genre])
    library.rated(library.book("Disliked", genres=[genre]), *[2] * 9)
    headers, _ = learned.signed_in()
    rate(learned, headers, books[6])
    for who in (None, headers):
        assert set(ids(ask(learned, genre, who, min_reviews=4, min_rating=4))) == set(shelf(books, 5, 4, 3))
        assert len(ids(ask(learned, genre, who, min_reviews=4))) == 4
        assert len(ids(ask(learned, genre, who))) == 7
    filters = ask(learned, genre, min_reviews=4, min_rating=4).json()["data"]["filters"]
    assert filters == {"genre_id": str(genre), "exclude_user_books": True, "min_reviews": 4, "min_rating": 4}


def test_a_reader_s_own_taste_comes_first_and_their_own_books_are_left_out(
    learned: Service, genre: uuid.UUID, books: list[uuid.UUID]
) -> None:
    headers, _ = learned.signed_in()
    assert ids(ask(learned, genre, headers)) == shelf(books, 5, 4, 3, 2, 1, 0)
    rate(learned, headers, books[0])
    answer = ask(learned, genre, headers)
    picks = answer.json()["data"]["recommendations"]
    assert ids(answer) == shelf(books, 2, 4, 5, 3, 1)
    assert [pick["source"] for pick in picks] == ["taste"] * 2 + ["genres"] * 3
    assert picks[0]["because"][0]["book_id"] == str(books[0])
    assert answer.json()["data"]["model"] == {"name": "brs-recommender", "version": "1"}
    assert "the books you rated" in answer.json()["data"]["explanation"]


def test_own_books_come_back_when_asked_for(learned: Service, genre: uuid.UUID, books: list[uuid.UUID]) -> None:
    headers, _ = learned.signed_in()
    rate(learned, headers, books[0])
    answer = ask(learned, genre, headers, exclude_user_books=False)
    assert set(ids(answer)) == set(shelf(books, 0, 1, 2, 3, 4, 5))
    assert answer.json()["data"]["filters"]["exclude_user_books"] is False
    assert answer.json()["data"]["model"] is None


def test_who_switched_it_off_gets_everybody_s_order(
    learned: Service, library: Library, genre: uuid.UUID, books: list[uuid.UUID]
) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[0])
    library.run("INSERT INTO reader_settings (user_id, enabled) VALUES (%s, false)", reader)
    data = ask(learned, genre, headers).json()["data"]
    assert [pick["id"] for pick in data["recommendations"]] == shelf(books, 5, 4, 3, 2, 1)
    assert data["model"] is None
    assert "the books you rated" not in data["explanation"]


def test_an_unknown_genre_is_404_and_an_empty_one_is_empty(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    empty = library.genre("Empty")
    for who in ({}, headers):
        assert ids(ask(service, empty, who)) == []
        for query in ({}, {"exclude_user_books": False}):
            answer = service.get(f"/recommendations/genre/{uuid.uuid4()}", headers=who, params=query)
            assert (answer.status_code, answer.json()["errors"]["code"]) == (404, "GENRE_NOT_FOUND")


def test_it_costs_a_bounded_number_of_statements(learned: Service, genre: uuid.UUID, books: list[uuid.UUID]) -> None:
    headers, _ = learned.signed_in()
    rate(learned, headers, books[0])
    for who in ({}, headers):
        ask(learned, genre, who)
    with structlog.testing.capture_logs() as lines:
        ask(learned, genre)
        ask(learned, genre, headers)
    assert [line["statements"] for line in lines if line["event"] == "request"] == [0, 3]


def test_a_signed_in_reader_s_page_is_stored(
    learned: Service, library: Library, genre: uuid.UUID, books: list[uuid.UUID]
) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[0])
    data = ask(learned, genre, headers, limit=3).json()["data"]
    eventually(lambda: library.run("SELECT 1 FROM served_pages"))
    stored = library.run("SELECT id::text, user_id, recommendation_type, filters, model_version FROM served_pages")
    assert stored == [(data["page_id"], reader, "genre", data["filters"], "1")]
    picks = library.run("SELECT book_id::text, source FROM served_picks ORDER BY rank")
    assert picks == [(pick["id"], pick["source"]) for pick in data["recommendations"]]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 51}, {"min_rating": 5.1}, {"min_reviews": -1}, {"exclude_user_books": "perhaps"}]
)
def test_bad_genre_queries_are_422(service: Service, genre: uuid.UUID, query: Json) -> None:
    answer = service.get(f"/recommendations/genre/{genre}", params=query)
    assert (answer.status_code, fields(answer)) == (422, list(query))
