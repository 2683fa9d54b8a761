"""Rating books."""

import asyncio
import concurrent.futures
import datetime as dt
import uuid
from pathlib import Path

import pytest
import structlog

from serving.app import create_app
from serving.settings import ServiceSettings
from tests.serving.conftest import START, Json, Library, Service, at_once, bearer, fields


def test_a_reader_rates_a_book_and_its_average_follows(service: Service, library: Library) -> None:
    book = library.book("Emma")
    headers, reader = service.signed_in()
    answer = service.post(
        f"/books/{book}/reviews", json={"rating": 4, "review_text": "  <3 it a lot  "}, headers=headers
    )
    shown = answer.json()["data"]
    assert answer.status_code == 201
    assert set(shown) == {
        "id", "user_id", "book_id", "rating", "review_text", "created_at", "updated_at", "user_name", "book",
    }  # fmt: skip
    assert (shown["user_id"], shown["rating"], shown["review_text"]) == (str(reader), 4, "<3 it a lot")
    assert shown["user_name"] == "Ada L."
    assert (shown["book"]["average_rating"], shown["book"]["total_reviews"]) == (4.0, 1)
    assert service.get(f"/books/{book}").json()["data"]["average_rating"] == 4.0


def test_one_review_a_book(service: Service, library: Library) -> None:
    book = library.book()
    headers, _ = service.signed_in()
    with concurrent.futures.ThreadPoolExecutor() as threads:
        sent = [
            threads.submit(service.post, f"/books/{book}/reviews", json={"rating": 5}, headers=headers)
            for _ in range(5)
        ]
    answers = [answer.result() for answer in sent]
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert {a.json()["errors"]["code"] for a in answers if a.status_code == 409} == {"DUPLICATE_REVIEW"}
    assert library.run("SELECT total_reviews FROM books") == [(1,)]


def test_anonymous_callers_and_unknown_books_are_refused(service: Service, library: Library) -> None:
    book = library.book()
    assert service.post(f"/books/{book}/reviews", json={"rating": 5}).status_code == 401
    headers, _ = service.signed_in()
    unknown = service.post(f"/books/{uuid.uuid4()}/reviews", json={"rating": 5}, headers=headers)
    assert (unknown.status_code, unknown.json()["errors"]["code"]) == (404, "BOOK_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rating"),
        ({"rating": 0}, "rating"),
        ({"rating": 6}, "rating"),
        ({"rating": "5"}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": 4.0}, "rating"),
        ({"rating": None}, "rating"),
        ({"rating": 5, "review_text": "too short"}, "review_text"),
        ({"rating": 5, "review_text": "x" * 2001}, "review_text"),
        ({"rating": 5, "review_text": "a NUL \x00 in it"}, "review_text"),
        ({"rating": 5, "stars": 5}, "stars"),
    ],
)
def test_bad_reviews_are_422(service: Service, library: Library, body: Json, field: str) -> None:
    book = library.book()
    headers, _ = service.signed_in()
    answer = service.post(f"/books/{book}/reviews", json=body, headers=headers)
    assert (answer.status_code, fields(answer)) == (422, [field])
    assert library.run("SELECT count(*) FROM reviews") == [(0,)]


@pytest.mark.parametrize("text", [None, "", "   \n "])
def test_blank_text_is_absent(service: Service, library: Library, text: str | None) -> None:
    headers, _ = service.signed_in()
    answer = service.post(f"/books/{library.book()}/reviews", json={"rating": 5, "review_text": text}, headers=headers)
    assert answer.json()["data"]["review_text"] is None


def test_own_reviews_are_sorted_paged_and_counted_in_two_statements(service: Service, library: Library) -> None:
    headers, reader = service.signed_in()
    stranger = library.reader()
    for place, book in enumerate(library.books(7)):
        library.rate(reader, book, 1 + place % 5, at=START + dt.timedelta(days=place))
        library.rate(stranger, book, 1)
    with structlog.testing.capture_logs() as lines:
        body = service.get("/users/reviews", params={"per_page": 5}, headers=headers).json()
    assert [line["statements"] for line in lines] == [2]
    assert [review["book"]["title"] for review in body["data"]] == [f"Book {place:04}" for place in (6, 5, 4, 3, 2)]
    assert (body["pagination"]["total"], body["pagination"]["pages"], body["pagination"]["next_cursor"]) == (7, 2, None)
    query = {"sort_by": "rating", "sort_order": "asc"}
    stars = [r["rating"] for r in service.get("/users/reviews", params=query, headers=headers).json()["data"]]
    assert stars == sorted(stars)
    beyond = service.get("/users/reviews", params={"page": 3, "per_page": 5}, headers=headers).json()
    assert (beyond["data"], beyond["pagination"]["total"]) == ([], 7)
    assert service.get("/users/reviews", params={"sort_by": "email"}, headers=headers).status_code == 422


def test_a_commit_that_fails_is_never_answered_with_a_success(service: Service, library: Library) -> None:
    library.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$")
    library.run(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON reviews DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    headers, _ = service.signed_in()
    answer = service.post(f"/books/{library.book()}/reviews", json={"rating": 5}, headers=headers)
    assert answer.status_code == 500
    assert answer.json()["errors"]["code"] == "INTERNAL_ERROR"
    assert library.run("SELECT count(*) FROM reviews") == [(0,)]


def test_a_refused_request_leaves_its_connection_clean(service: Service, library: Library) -> None:
    book = library.book()
    headers, _ = service.signed_in()
    for status in (201, 409, 409):
        assert service.post(f"/books/{book}/reviews", json={"rating": 5}, headers=headers).status_code == status
    idle = library.run(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND starts_with(state, 'idle in transaction')"
    )
    assert idle == [(0,)]


def test_fifty_requests_at_once_are_all_answered_with_a_pool_of_two(
    database_url: str, library: Library, tmp_path: Path
) -> None:
    book, others = library.book("Rated by all"), library.books(5)

    async def run() -> list[int]:
        app = create_app(
            ServiceSettings(database_pool_size=2), database_url=database_url, tracking_uri=None, bundles=tmp_path
        )
        async with at_once(app) as client:
            drafts = (
                {
                    "email": f"r{n}@example.org",
                    "password": "Analytical-Engine-1843",
                    "first_name": "R",
                    "last_name": "R",
                }
                for n in range(10)
            )
            made = await asyncio.gather(*(client.post("/api/v1/auth/register", json=draft) for draft in drafts))
            tokens = [bearer(answer.json()["data"]["access_token"]) for answer in made]
            rated = [client.post(f"/api/v1/books/{book}/reviews", json={"rating": 5}, headers=t) for t in tokens]
            listed = [client.get("/api/v1/users/reviews", headers=token) for token in tokens]
            personal = [client.get("/api/v1/recommendations/personal", headers=token) for token in tokens]
            read = [client.get(f"/api/v1/books/{other}") for other in others * 2]
            lists = [client.get("/api/v1/books") for _ in range(10)]
            answers = await asyncio.gather(*rated, *listed, *personal, *read, *lists)
            return [answer.status_code for answer in answers]

    statuses = asyncio.run(run())
    assert len(statuses) == 50
    assert set(statuses) == {200, 201}
    assert library.run("SELECT total_reviews FROM books WHERE id = %s", book) == [(10,)]
