"""Lists of books and why: popular, personal, preview."""

import datetime as dt
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import structlog

from serving.recommendations import popularity
from tests.serving.bundles import with_catalogue
from tests.serving.conftest import START, FakeRegistry, Json, Library, Running, Service, codes, fields, two_tastes

PICKS = {
    "recommendations", "recommendation_type", "explanation", "total", "limit", "filters", "page_id", "model",
    "degraded", "generated_at",
}  # fmt: skip


def eventually(holds: Callable[[], Any], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)


def has_model(service: Service, version: str = "1") -> Callable[[], bool]:
    def holds() -> bool:
        champion = service.app.state.engine.follower.current
        return champion is not None and champion.name.version == version

    return holds


def ids(answer: Any) -> list[str]:  # noqa: ANN401  an answer of httpx2
    return [pick["id"] for pick in answer.json()["data"]["recommendations"]]


def rate(service: Service, headers: dict[str, str], book: uuid.UUID, stars: int = 5) -> None:
    answer = service.post(f"/books/{book}/reviews", json={"rating": stars}, headers=headers)
    assert answer.status_code == 201, answer.text


@pytest.fixture
def books(library: Library) -> list[uuid.UUID]:
    """Twelve books; the higher the place, the more popular."""
    made = library.books(12)
    for place, book in enumerate(made):
        library.rated(book, *[3 + place % 3] * place)
    return made


@pytest.fixture
def learned(service: Service, registry: FakeRegistry, books: list[uuid.UUID]) -> Service:
    """A service whose model knows that even places are liked together, and odd places are."""
    registry.promote("1", two_tastes(books))
    eventually(has_model(service))
    return service


def test_popular_has_its_shape(service: Service, books: list[uuid.UUID]) -> None:
    data = service.get("/recommendations/popular", params={"limit": 3}).json()["data"]
    assert set(data) == PICKS
    assert (data["recommendation_type"], data["total"], data["limit"], data["page_id"]) == ("popular", 3, 3, None)
    assert (data["model"], data["degraded"], data["filters"]) == (None, False, {"min_reviews": 5})
    assert data["generated_at"].endswith("Z")
    first = data["recommendations"][0]
    assert {"id", "title", "genres", "average_rating", "rank", "score", "source", "because"} <= set(first)
    assert [pick["rank"] for pick in data["recommendations"]] == [1, 2, 3]
    assert (first["source"], first["because"]) == ("popular", [])
    scores = [pick["score"] for pick in data["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


def test_popular_means_liked_by_many(service: Service, library: Library) -> None:
    loved, lone, disliked = library.book("Loved"), library.book("Lone"), library.book("Disliked")
    library.rated(loved, *[5] * 30)
    library.rated(disliked, *[1] * 30)
    library.rated(lone, 5)
    answer = service.get("/recommendations/popular", params={"min_reviews": 1})
    assert ids(answer)[0] == str(loved)
    assert set(ids(answer)) == {str(loved), str(lone), str(disliked)}
    assert ids(service.get("/recommendations/popular")) == [str(loved), str(disliked)]


def test_popular_of_a_window_counts_that_window_alone(service: Service, library: Library) -> None:
    old, recent = library.book("Old"), library.book("Recent")
    now = dt.datetime.now(dt.UTC)
    for reader in [library.reader() for _ in range(6)]:
        library.rate(reader, old, 5, at=now - dt.timedelta(days=40))
        library.rate(reader, recent, 4, at=now - dt.timedelta(hours=30))
    assert ids(service.get("/recommendations/popular", params={"days_back": 2})) == [str(recent)]
    assert set(ids(service.get("/recommendations/popular", params={"days_back": 41}))) == {str(old), str(recent)}
    assert ids(service.get("/recommendations/popular", params={"days_back": 41, "min_reviews": 7})) == []


def test_popular_of_a_genre(service: Service, library: Library) -> None:
    genre, empty = library.genre("Fantasy"), library.genre("Empty")
    inside, outside = library.book("In", genres=[genre]), library.book("Out")
    for book in (inside, outside):
        library.rated(book, *[5] * 5)
    assert ids(service.get("/recommendations/popular", params={"genre_id": str(genre)})) == [str(inside)]
    recent = {"genre_id": str(genre), "days_back": 3}
    assert ids(service.get("/recommendations/popular", params=recent)) == [str(inside)]
    assert ids(service.get("/recommendations/popular", params={"genre_id": str(empty)})) == []
    unknown = service.get("/recommendations/popular", params={"genre_id": str(uuid.uuid4())})
    assert (unknown.status_code, unknown.json()["errors"]["code"]) == (404, "GENRE_NOT_FOUND")


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 101}, {"days_back": 0}, {"days_back": 366}, {"min_reviews": -1}, {"genre_id": "x"}],
)
def test_bad_popular_queries_are_422(service: Service, query: Json) -> None:
    answer = service.get("/recommendations/popular", params=query)
    assert (answer.status_code, fields(answer)) == (422, list(query))


def test_popular_is_computed_once_a_minute(
    service: Service, library: Library, books: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr("serving.recommendations.popularity.time.monotonic", lambda: now)
    with structlog.testing.capture_logs() as lines:
        before = ids(service.get("/recommendations/popular"))
        assert ids(service.get("/recommendations/popular")) == before
        assert [line["statements"] for line in lines] == [2, 0]
        library.rated(library.book("New"), *[5] * 30)
        now += popularity.FRESH_SECONDS - 1
        assert ids(service.get("/recommendations/popular")) == before
        now += 1
        assert ids(service.get("/recommendations/popular")) != before


def test_a_hidden_book_is_in_no_list(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[0])
    for path in ("/recommendations/popular", "/recommendations/personal"):
        shown = ids(learned.get(path, headers=headers))
        library.run("INSERT INTO hidden_books (user_id, book_id) VALUES (%s, %s)", reader, shown[0])
        assert ids(learned.get(path, headers=headers)) == shown[1:]


def test_without_a_model_personal_answers_with_popular_books(service: Service, books: list[uuid.UUID]) -> None:
    headers, _ = service.signed_in()
    rate(service, headers, books[11])
    data = service.get("/recommendations/personal", headers=headers).json()["data"]
    assert (data["recommendation_type"], data["model"], data["degraded"]) == ("personal", None, False)
    assert {pick["source"] for pick in data["recommendations"]} == {"popular"}
    assert str(books[11]) not in [pick["id"] for pick in data["recommendations"]]
    assert data["total"] == 10


def test_a_rating_counts_in_the_very_next_answer_and_is_the_reason(learned: Service, books: list[uuid.UUID]) -> None:
    headers, _ = learned.signed_in()
    before = learned.get("/recommendations/personal", headers=headers).json()["data"]
    assert {pick["source"] for pick in before["recommendations"]} == {"popular"}
    rate(learned, headers, books[1])
    data = learned.get("/recommendations/personal", params={"limit": 5}, headers=headers).json()["data"]
    assert [pick["id"] for pick in data["recommendations"]] == [str(books[place]) for place in (3, 5, 7, 9, 11)]
    assert data["model"] == {"name": "brs-recommender", "version": "1"}
    for pick in data["recommendations"]:
        assert pick["source"] == "taste"
        assert pick["because"] == [{"book_id": str(books[1]), "title": "Book 0001", "share": 1.0}]


def test_popular_books_fill_up_behind_taste_and_scores_never_rise(learned: Service, books: list[uuid.UUID]) -> None:
    headers, _ = learned.signed_in()
    rate(learned, headers, books[0])
    picks = learned.get("/recommendations/personal", headers=headers).json()["data"]["recommendations"]
    assert [pick["source"] for pick in picks] == ["taste"] * 5 + ["popular"] * 6
    assert [pick["rank"] for pick in picks] == list(range(1, 12))
    scores = [pick["score"] for pick in picks]
    assert scores == sorted(scores, reverse=True)
    assert str(books[0]) not in [pick["id"] for pick in picks]


def test_a_muted_book_does_not_speak_for_the_reader(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[0])
    rate(learned, headers, books[1])
    library.run("INSERT INTO muted_books (user_id, book_id) VALUES (%s, %s)", reader, books[1])
    data = learned.get("/recommendations/personal", params={"limit": 5}, headers=headers).json()["data"]
    assert {pick["id"] for pick in data["recommendations"]} == {str(books[place]) for place in (2, 4, 6, 8, 10)}
    assert str(books[1]) not in str(data)


def test_who_switched_it_off_gets_popular_books_only(
    learned: Service, library: Library, books: list[uuid.UUID]
) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[0])
    library.run("INSERT INTO reader_settings (user_id, enabled) VALUES (%s, false)", reader)
    data = learned.get("/recommendations/personal", headers=headers).json()["data"]
    assert {pick["source"] for pick in data["recommendations"]} == {"popular"}
    assert (data["recommendation_type"], data["model"]) == ("personal", None)


def test_personal_within_a_genre(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    genre = library.genre("Fantasy")
    for place in (2, 5, 7):
        library.run("INSERT INTO book_genres VALUES (%s, %s)", books[place], genre)
    headers, _ = learned.signed_in()
    rate(learned, headers, books[0])
    answer = learned.get("/recommendations/personal", params={"genre_id": str(genre)}, headers=headers)
    assert ids(answer) == [str(books[2]), str(books[7]), str(books[5])]
    assert answer.json()["data"]["filters"] == {"genre_id": str(genre)}
    unknown = learned.get("/recommendations/personal", params={"genre_id": str(uuid.uuid4())}, headers=headers)
    assert unknown.status_code == 404


def test_a_book_that_was_deleted_since_is_replaced(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    headers, _ = learned.signed_in()
    rate(learned, headers, books[0])
    library.run("DELETE FROM books WHERE id = %s", books[2])
    answer = learned.get("/recommendations/personal", params={"limit": 3}, headers=headers)
    assert ids(answer) == [str(books[place]) for place in (4, 6, 8)]


def test_personal_costs_four_statements_whatever_the_history(
    learned: Service, library: Library, books: list[uuid.UUID]
) -> None:
    headers, reader = learned.signed_in()
    learned.get("/recommendations/personal", headers=headers)
    for place in range(0, 10, 2):
        library.rate(reader, books[place], 4, at=START + dt.timedelta(days=place))
    with structlog.testing.capture_logs() as lines:
        learned.get("/recommendations/personal", headers=headers)
    assert [line["statements"] for line in lines if line["event"] == "request"] == [3]


def test_a_failing_source_degrades_the_answer_and_is_counted(
    learned: Service, books: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, _ = learned.signed_in()
    rate(learned, headers, books[0])

    def fail(*_: object) -> None:
        raise RuntimeError("the arrays are gone")

    monkeypatch.setattr("models.taste.Taste.picks", fail)
    data = learned.get("/recommendations/personal", headers=headers).json()["data"]
    assert data["degraded"] is True
    assert {pick["source"] for pick in data["recommendations"]} == {"popular"}
    assert 'brs_source_failures_total{source="taste"} 1.0' in learned.client.get("/metrics").text


def test_a_signed_in_page_is_stored_within_five_seconds(
    learned: Service, library: Library, books: list[uuid.UUID]
) -> None:
    headers, reader = learned.signed_in()
    rate(learned, headers, books[0])
    for path in ("/recommendations/personal", "/recommendations/popular"):
        data = learned.get(path, params={"limit": 3}, headers=headers).json()["data"]
        page = data["page_id"]
        eventually(lambda page=page: library.run("SELECT 1 FROM served_pages WHERE id = %s", page))  # type: ignore[misc]  # mypy cannot infer it
        stored = library.run(
            "SELECT user_id, recommendation_type, model_version, degraded FROM served_pages WHERE id = %s", page
        )
        version = data["model"]["version"] if data["model"] else None
        assert stored == [(reader, data["recommendation_type"], version, False)]
        picks = library.run(
            "SELECT book_id::text, rank, source FROM served_picks WHERE page_id = %s ORDER BY rank", page
        )
        assert picks == [(pick["id"], pick["rank"], pick["source"]) for pick in data["recommendations"]]


def test_stopping_stores_what_is_left_although_a_reader_or_a_book_went_away(running: Running, library: Library) -> None:
    books = library.books(3)
    for book in books:
        library.rated(book, *[5] * 5)
    pages, readers = [], []
    with running() as service:
        for email in ("a@example.org", "b@example.org"):
            headers, reader = service.signed_in(email)
            readers.append(reader)
            pages.append(service.get("/recommendations/popular", headers=headers).json()["data"]["page_id"])
        library.run("DELETE FROM books WHERE id = %s", books[1])
        library.run("DELETE FROM users WHERE id = %s", readers[0])
    assert library.run("SELECT id::text FROM served_pages") == [(pages[1],)]
    assert library.run("SELECT count(*) FROM served_picks") == [(2,)]


def test_anonymous_answers_store_nothing(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    learned.get("/recommendations/popular")
    learned.post("/recommendations/preview", json={"ratings": [{"book_id": str(books[0]), "rating": 5}]})
    time.sleep(0.7)
    assert library.run("SELECT count(*) FROM served_pages") == [(0,)]


def test_preview_answers_without_an_account(learned: Service, library: Library, books: list[uuid.UUID]) -> None:
    ratings = [{"book_id": str(books[0]), "rating": 5}, {"book_id": str(books[1]), "rating": 1}]
    answer = learned.post("/recommendations/preview", json={"ratings": ratings, "limit": 3})
    data = answer.json()["data"]
    assert ids(answer) == [str(books[place]) for place in (2, 4, 6)]
    assert (data["recommendation_type"], data["page_id"]) == ("preview", None)
    assert data["recommendations"][0]["because"][0]["title"] == "Book 0000"


def test_the_order_of_a_preview_matters(learned: Service, books: list[uuid.UUID]) -> None:
    def first(*places: int) -> str:
        ratings = [{"book_id": str(books[place]), "rating": 5} for place in places]
        return ids(learned.post("/recommendations/preview", json={"ratings": ratings, "limit": 1}))[0]

    assert first(10, 11) == str(books[1])
    assert first(11, 10) == str(books[0])


def test_bad_previews_are_422(service: Service, books: list[uuid.UUID]) -> None:
    known = {"book_id": str(books[0]), "rating": 5}
    stranger = {"book_id": str(uuid.uuid4()), "rating": 5}

    def refused(**body: object) -> tuple[list[str], list[str]]:
        answer = service.post("/recommendations/preview", json=body)
        assert answer.status_code == 422, answer.text
        return fields(answer), codes(answer)

    assert refused(ratings=[])[0] == ["ratings"]
    assert refused(ratings=[{"book_id": str(uuid.uuid4()), "rating": 5} for _ in range(201)])[0] == ["ratings"]
    assert refused(ratings=[known, known]) == (["ratings"], ["book_repeated"])
    assert refused(ratings=[known, stranger]) == (["ratings.1.book_id"], ["book_unknown"])
    assert refused(ratings=[{**known, "rating": 6}])[0] == ["ratings.0.rating"]
    assert refused(ratings=[known], limit=51)[0] == ["limit"]
    assert refused(ratings=[known], diversity=1.1)[0] == ["diversity"]
    assert refused(ratings=[known], colour="red")[0] == ["colour"]
    assert refused()[0] == ["ratings"]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 51}, {"diversity": 2}, {"genre_id": "x"}])
def test_bad_personal_queries_are_422(service: Service, query: Json) -> None:
    headers, _ = service.signed_in()
    answer = service.get("/recommendations/personal", params=query, headers=headers)
    assert (answer.status_code, fields(answer)) == (422, list(query))


def test_a_next_volume_and_a_genre_s_book_name_their_reasons_without_a_share(
    service: Service, registry: FakeRegistry, library: Library
) -> None:
    """The model has factors of two tastes: nothing of either is left for taste to pick."""
    first, second, alike = library.book("First"), library.book("Second"), library.book("Alike")
    told = [{"series": 0, "position": 1, "genres": (0,)}, {"series": 0, "position": 2}, {"genres": (0,)}]
    arrays = with_catalogue([first, second, alike, library.book("Other")], *told)
    arrays["item_factors"] = np.diag([1, 1, 1, 1]).astype(np.float32)
    arrays["item_factors"][3] = [0, 0, 0.9, 1]  # somebody can be recommended something
    registry.promote("1", arrays)
    eventually(has_model(service))
    headers, _ = service.signed_in()
    rate(service, headers, first)
    data = service.get("/recommendations/personal", headers=headers).json()["data"]
    picks = data["recommendations"]
    assert [(pick["id"], pick["source"]) for pick in picks] == [
        (str(second), "next_in_series"),
        (str(alike), "genres"),
    ]
    assert all(pick["because"] == [{"book_id": str(first), "title": "First", "share": None}] for pick in picks)
    assert "the books you rated" in data["explanation"]


def test_diversity_is_the_query_s_else_the_setting_s_else_the_model_s(
    service: Service, registry: FakeRegistry, library: Library
) -> None:
    books = library.books(8)
    arrays = with_catalogue(books, *[{"author": place < 6} for place in range(8)])
    arrays["item_factors"][6] *= 0.3  # too little for the model's own measure
    registry.promote("1", arrays)
    eventually(has_model(service))
    headers, reader = service.signed_in()
    rate(service, headers, books[0])

    def asked(**query: float) -> tuple[list[str], Json]:
        answer = service.get("/recommendations/personal", params={"limit": 2, **query}, headers=headers)
        return ids(answer), answer.json()["data"]["filters"]

    best, different = [str(books[2]), str(books[4])], [str(books[2]), str(books[6])]
    assert asked() == (best, {})
    assert asked(diversity=0.9) == (different, {"diversity": 0.9})
    library.run("INSERT INTO reader_settings (user_id, diversity) VALUES (%s, 0.9)", reader)
    assert asked() == (different, {"diversity": 0.9})
    assert asked(diversity=0) == (best, {"diversity": 0})
    ratings = [{"book_id": str(books[0]), "rating": 5}]
    for diversity, expected in ((0, best), (0.9, different)):
        body = {"ratings": ratings, "limit": 2, "diversity": diversity}
        assert ids(service.post("/recommendations/preview", json=body)) == expected
