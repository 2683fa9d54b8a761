"""Books like a book: from the model, and from the catalogue where there is none or it does not know the book."""

import uuid

import httpx2
import pytest
import structlog

from tests.serving.bundles import neighbours, with_catalogue
from tests.serving.conftest import FakeRegistry, Json, Library, Service, fields
from tests.serving.test_recommendations import eventually, has_model, ids, rate

MANY = 10**6  # raters: the neighbours decide alone


@pytest.fixture
def genre(library: Library) -> uuid.UUID:
    return library.genre("Fantasy")


@pytest.fixture
def books(library: Library, genre: uuid.UUID) -> list[uuid.UUID]:
    """Six books; the first four are fantasy, the first two by one author."""
    return [
        library.book(f"Book {place}", f"Author {max(place, 1)}", genres=[genre] if place < 4 else [])
        for place in range(6)
    ]


@pytest.fixture
def learned(service: Service, registry: FakeRegistry, books: list[uuid.UUID]) -> Service:
    """Readers of book 0 like books 5, 3, 4 and 1, in this order."""
    told = [{"raters": MANY} for _ in books]
    registry.promote(
        "1", {**with_catalogue(books, *told), **neighbours(6, {0: {5: 0.9, 3: 0.6, 4: 0.3, 1: 0.1}, 1: {0: 1.0}})}
    )
    eventually(has_model(service))
    return service


def ask(
    service: Service, book: uuid.UUID, who: Json | None = None, genre: uuid.UUID | None = None, **query: object
) -> httpx2.Response:
    path = f"/books/{book}/similar" if genre is None else f"/recommendations/genre/{genre}/similar-to/{book}"
    answer = service.get(path, params=query, headers=who or {})
    assert answer.status_code == 200, answer.text
    return answer


def shelf(books: list[uuid.UUID], *places: int) -> list[str]:
    return [str(books[place]) for place in places]


def sources(answer: httpx2.Response) -> list[str]:
    return [pick["source"] for pick in answer.json()["data"]["recommendations"]]


def scores_never_rise(answer: httpx2.Response) -> bool:
    scores = [pick["score"] for pick in answer.json()["data"]["recommendations"]]
    return scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)


def test_the_model_s_neighbours_come_first_then_what_shares_a_genre(learned: Service, books: list[uuid.UUID]) -> None:
    answer = ask(learned, books[0])
    data = answer.json()["data"]
    assert ids(answer) == shelf(books, 5, 3, 4, 1, 2)
    assert sources(answer) == ["similar"] * 4 + ["catalogue"]
    assert (data["recommendation_type"], data["model"]["version"], data["page_id"]) == ("similar", "1", None)
    assert data["filters"] == {"book_id": str(books[0])}
    assert data["limit"] == 20
    assert "like together" in data["explanation"]
    assert scores_never_rise(answer)
    assert ids(ask(learned, books[0], limit=2)) == shelf(books, 5, 3)


def test_without_a_model_the_catalogue_answers_and_says_so(service: Service, books: list[uuid.UUID]) -> None:
    answer = ask(service, books[0])
    data = answer.json()["data"]
    assert ids(answer)[0] == str(books[1])  # author and genre
    assert set(ids(answer)[1:]) == set(shelf(books, 2, 3))
    assert set(sources(answer)) == {"catalogue"}
    assert (data["model"], data["explanation"]) == (None, "Books of the same author, series or genres")
    assert scores_never_rise(answer)


def test_the_catalogue_knows_series_and_prefers_what_is_liked_and_leaves_other_editions_out(
    service: Service, library: Library
) -> None:
    series = {"series": "The Saga", "series_key": "the saga"}
    book = library.book("One", "A. Uthor", **series)
    second, other = library.book("Two", "A. Uthor", **series), library.book("Apart", "A. Uthor")
    liked, told = library.book("Liked", "A. Uthor"), library.book("Retold", "B. Uthor", **series)
    library.rated(liked, 5, 4)
    library.book("One", "A. Uthor", isbn="9780439023481")
    library.book("Stranger", "C. Uthor")
    assert ids(ask(service, book)) == [str(book) for book in (second, liked, other, told)]


def test_a_book_that_the_model_does_not_know_is_looked_up_in_the_catalogue(
    learned: Service, library: Library, genre: uuid.UUID, books: list[uuid.UUID]
) -> None:
    answer = ask(learned, library.book("New", "Author 5", genres=[genre]))
    assert ids(answer)[0] == str(books[5])
    assert set(ids(answer)) == set(shelf(books, 0, 1, 2, 3, 5))
    assert set(sources(answer)) == {"catalogue"}


def test_a_book_that_shares_nothing_has_nothing_like_it(service: Service, library: Library) -> None:
    library.book("Other", "Other Author")
    assert ids(ask(service, library.book("Alone", "Hermit"))) == []


def test_what_the_reader_has_rated_or_hidden_is_left_out(
    learned: Service, library: Library, books: list[uuid.UUID]
) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[5], 1)
    library.run("INSERT INTO hidden_books (user_id, book_id) VALUES (%s, %s)", reader, books[1])
    assert ids(ask(learned, books[0], headers)) == shelf(books, 3, 4, 2)
    assert ids(ask(learned, books[1], headers))[0] == str(books[0])


def test_a_book_deleted_since_is_replaced(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    library.run("DELETE FROM books WHERE id = %s", books[3])
    assert ids(ask(learned, books[0], limit=2)) == shelf(books, 5, 4)


def test_within_a_genre(learned: Service, library: Library, genre: uuid.UUID, books: list[uuid.UUID]) -> None:
    answer = ask(learned, books[0], genre=genre)
    assert ids(answer) == shelf(books, 3, 1, 2)
    assert sources(answer) == ["similar", "similar", "catalogue"]
    assert answer.json()["data"]["filters"] == {"book_id": str(books[0]), "genre_id": str(genre)}
    assert ids(ask(learned, books[0], genre=library.genre("Empty"))) == []
    assert ids(ask(learned, books[4], genre=genre)) == []


def test_an_unknown_book_or_genre_is_404(service: Service, genre: uuid.UUID, books: list[uuid.UUID]) -> None:
    headers, _ = service.signed_in()
    unknown = uuid.uuid4()
    asked = {
        f"/books/{unknown}/similar": "BOOK_NOT_FOUND",
        f"/recommendations/genre/{genre}/similar-to/{unknown}": "BOOK_NOT_FOUND",
        f"/recommendations/genre/{unknown}/similar-to/{books[0]}": "GENRE_NOT_FOUND",
    }
    for path, code in asked.items():
        for who in ({}, headers):
            answer = service.get(path, headers=who)
            assert (answer.status_code, answer.json()["errors"]["code"]) == (404, code)


@pytest.mark.parametrize("limit", [0, 51, "many"])
def test_bad_limits_are_422(service: Service, genre: uuid.UUID, books: list[uuid.UUID], limit: object) -> None:
    for path in (f"/books/{books[0]}/similar", f"/recommendations/genre/{genre}/similar-to/{books[0]}"):
        answer = service.get(path, params={"limit": limit})
        assert (answer.status_code, fields(answer)) == (422, ["limit"])


def test_it_takes_three_statements_beside_the_caller_s_and_one_less_the_second_time(
    learned: Service, genre: uuid.UUID, books: list[uuid.UUID]
) -> None:
    headers, _ = learned.signed_in()
    with structlog.testing.capture_logs() as lines:
        ask(learned, books[0], headers, limit=2)  # the model fills it
        ask(learned, books[0], headers)
        ask(learned, books[0], headers)
        ask(learned, books[0], genre=genre)
    assert [line["statements"] for line in lines if line["event"] == "request"] == [3, 4, 3, 3]


def test_a_signed_in_reader_s_page_is_stored(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    headers, reader = learned.signed_in()
    data = ask(learned, books[0], headers, limit=5).json()["data"]
    eventually(lambda: library.run("SELECT 1 FROM served_pages"))
    stored = library.run("SELECT id::text, user_id, recommendation_type, filters, model_version FROM served_pages")
    assert stored == [(data["page_id"], reader, "similar", data["filters"], "1")]
    picks = library.run("SELECT book_id::text, source FROM served_picks ORDER BY rank")
    assert picks == [(pick["id"], pick["source"]) for pick in data["recommendations"]]
