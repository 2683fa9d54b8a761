"""Rating books."""

import asyncio
import concurrent.futures
import datetime as dt
import json
import random
import time
import uuid
from pathlib import Path

import httpx2
import pytest
import structlog

from serving.app import create_app
from serving.settings import ServiceSettings
from tests.serving.conftest import START, Json, Library, Service, at_once, bearer, codes, fields

AS_JSON = {"Content-Type": "application/json"}
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
WORDS = "I read it in one night."


def rate(service: Service, book: uuid.UUID, headers: dict[str, str], **draft: object) -> Json:
    answer = service.post(f"/books/{book}/reviews", json={"rating": 4, **draft}, headers=headers)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["data"])


def put(service: Service, review: object, body: object, headers: dict[str, str] | None = None) -> httpx2.Response:
    return service.client.put(f"/api/v1/reviews/{review}", json=body, headers=headers)


def delete(service: Service, review: object, headers: dict[str, str] | None = None) -> httpx2.Response:
    return service.client.delete(f"/api/v1/reviews/{review}", headers=headers)


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"]["code"]


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
        ({"rating": 2**70}, "rating"),
        ({"rating": [5]}, "rating"),
        ({"rating": 5, "review_text": "ab " * 667 + "a"}, "review_text"),
        ({"rating": 5, "review_text": 1234567890}, "review_text"),
        ({"rating": 5, "review_text": "  ten - one  "}, "review_text"),
        ({"rating": 5, "review_text": "a control \x1b character"}, "review_text"),
        ({"rating": 5, "review_text": "one at the very end \x1f"}, "review_text"),
        ({"rating": 5, "review_text": "\x00"}, "review_text"),
        ({"rating": 5, "review_text": "half of a pair \ud83d and no more"}, "review_text"),
        ({"rating": 5, "review_text": "a NUL \x00 in it"}, "review_text"),
        ({"rating": 5, "stars": 5}, "stars"),
    ],
)
def test_bad_reviews_are_422(service: Service, library: Library, body: Json, field: str) -> None:
    book = library.book()
    headers, _ = service.signed_in()
    answer = service.post(f"/books/{book}/reviews", content=json.dumps(body), headers={**headers, **AS_JSON})
    assert (answer.status_code, fields(answer)) == (422, [field])
    assert library.run("SELECT count(*) FROM reviews") == [(0,)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Sooo" + "o" * 8 + " good, really", "repeated_character"),
        ("Nothing but" + " " * 11 + "space", "repeated_character"),
        ("See http://a.example http://b.example and http://c.example", "too_many_links"),
        ("See https://a.example/x,HTTPS://b.example/y,www.c.example", "too_many_links"),
        ("bit.ly/abc bit.ly/abd bit.ly/abe", "too_many_links"),
    ],
)
def test_spam_is_refused(service: Service, library: Library, text: str, code: str) -> None:
    headers, _ = service.signed_in()
    body = {"rating": 5, "review_text": text}
    answer = service.post(f"/books/{library.book()}/reviews", json=body, headers=headers)
    assert (answer.status_code, codes(answer)) == (422, [code])
    assert text not in answer.text
    review = rate(service, library.book(), headers)["id"]
    assert codes(put(service, review, {"review_text": text}, headers)) == [code]


@pytest.mark.parametrize(
    "text",
    [
        "ten chars!",
        "ab " * 666 + "ab",
        "Good" + "d" * 9 + " (ten times the same)",
        "Two links: https://www.a.example/path/x.html and www.b.example",
        "A tab\tand a\nnew line, <b>bold</b> & <3",
        "\N{GRINNING FACE} and \u05e9\u05dc\u05d5\u05dd, e.g. and/or one sentence.Then another",
    ],
)
def test_honest_text_is_kept_as_it_is(service: Service, library: Library, text: str) -> None:
    headers, _ = service.signed_in()
    assert rate(service, library.book(), headers, review_text=text)["review_text"] == text


def test_the_same_text_goes_on_three_books_at_most(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    other, _ = service.signed_in("grace@example.org")
    books = library.books(6)
    reviews = [rate(service, book, headers, review_text=WORDS)["id"] for book in books[:3]]
    for text in (WORDS, f"  {WORDS.upper()} ", WORDS.replace(" ", "\n ")):
        answer = service.post(f"/books/{books[3]}/reviews", json={"rating": 4, "review_text": text}, headers=headers)
        assert (answer.status_code, fields(answer), codes(answer)) == (422, ["review_text"], ["repeated_text"])
    fourth = rate(service, books[3], headers, review_text="Something else to say")["id"]
    assert codes(put(service, fourth, {"review_text": WORDS}, headers)) == ["repeated_text"]
    assert put(service, reviews[0], {"rating": 1, "review_text": WORDS}, headers).status_code == 200, "its own text"
    rate(service, books[4], headers)
    rate(service, books[4], other, review_text=WORDS)
    assert delete(service, reviews[1], headers).status_code == 204
    assert put(service, fourth, {"review_text": WORDS}, headers).status_code == 200


def test_the_same_text_sent_about_eight_books_at_once_stays_on_three(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    body = {"rating": 4, "review_text": WORDS}
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        sent = [
            threads.submit(service.post, f"/books/{book}/reviews", json=body, headers=headers)
            for book in library.books(8)
        ]
    assert sorted(answer.result().status_code for answer in sent) == [201] * 3 + [422] * 5
    assert library.run("SELECT count(*) FROM reviews") == [(3,)]


def test_one_review_is_shown_to_everybody_with_its_book_and_without_the_e_mail(
    service: Service, library: Library
) -> None:
    headers, _ = service.signed_in()
    made = rate(service, library.book("Emma"), headers, review_text=WORDS)
    answer = service.get(f"/reviews/{made['id']}")
    shown = answer.json()["data"]
    assert (answer.status_code, shown) == (200, made)
    assert (shown["user_name"], shown["book"]["title"]) == ("Ada L.", "Emma")
    assert "@" not in answer.text
    assert refusal(service.get(f"/reviews/{uuid.uuid4()}")) == (404, "REVIEW_NOT_FOUND")
    assert refusal(service.get("/reviews/7")) == (422, "VALIDATION_ERROR")


def test_the_owner_changes_what_was_sent_and_nothing_else(service: Service, library: Library) -> None:
    book = library.book()
    headers, _ = service.signed_in()
    made = rate(service, book, headers, rating=2, review_text=WORDS)
    steps: list[tuple[Json, tuple[int, str | None]]] = [
        ({"rating": 5}, (5, WORDS)),
        ({"review_text": " Rather two nights. "}, (5, "Rather two nights.")),
        ({"review_text": None}, (5, None)),
        ({"rating": 1, "review_text": WORDS}, (1, WORDS)),
        ({"review_text": "  "}, (1, None)),
    ]
    before = made["updated_at"]
    for body, expected in steps:
        answer = put(service, made["id"], body, headers)
        shown = answer.json()["data"]
        assert (answer.status_code, (shown["rating"], shown["review_text"])) == (200, expected)
        assert shown["updated_at"] > before
        assert shown["created_at"] == made["created_at"]
        assert shown["book"]["average_rating"] == expected[0]
        before = shown["updated_at"]
    assert service.get(f"/reviews/{made['id']}").json()["data"] == shown
    assert library.run("SELECT average_rating, total_reviews, stars_1 FROM books") == [(1.0, 1, 1)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"rating": None}, "rating"),
        ({"rating": 6}, "rating"),
        ({"rating": 4.0}, "rating"),
        ({"rating": True}, "rating"),
        ({"review_text": "too short"}, "review_text"),
        ({"rating": 5, "book_id": str(uuid.uuid4())}, "book_id"),
        ([], "body"),
    ],
)
def test_bad_changes_are_422(service: Service, library: Library, body: object, field: str) -> None:
    headers, _ = service.signed_in()
    made = rate(service, library.book(), headers)
    answer = put(service, made["id"], body, headers)
    assert (answer.status_code, fields(answer)) == (422, [field])
    assert service.get(f"/reviews/{made['id']}").json()["data"] == made


def test_a_review_is_its_owner_s_alone_to_change_and_delete(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    stranger, somebody = service.signed_in("grace@example.org")
    library.run("UPDATE users SET is_admin = true WHERE id = %s", somebody)
    made = rate(service, library.book(), headers)
    unknown = uuid.uuid4()
    for given, review, expected in (
        (None, made["id"], (401, "UNAUTHORIZED")),
        (stranger, made["id"], (403, "FORBIDDEN")),
        (stranger, unknown, (404, "REVIEW_NOT_FOUND")),
        (headers, unknown, (404, "REVIEW_NOT_FOUND")),
        (headers, "seven", (422, "VALIDATION_ERROR")),
    ):
        assert refusal(put(service, review, {"rating": 1}, given)) == expected
        assert refusal(delete(service, review, given)) == expected
    assert service.get(f"/reviews/{made['id']}").json()["data"] == made


def test_a_deleted_review_is_gone_and_the_average_follows(service: Service, library: Library) -> None:
    book = library.book()
    headers, _ = service.signed_in()
    review = rate(service, book, headers)["id"]
    answer = delete(service, review, headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert refusal(delete(service, review, headers)) == (404, "REVIEW_NOT_FOUND")
    assert refusal(put(service, review, {"rating": 1}, headers)) == (404, "REVIEW_NOT_FOUND")
    assert refusal(service.get(f"/reviews/{review}")) == (404, "REVIEW_NOT_FOUND")
    assert library.run("SELECT average_rating, total_reviews FROM books") == [(None, 0)]
    assert rate(service, book, headers)["id"] != review, "the book may be reviewed anew"


@pytest.mark.parametrize("table", ["reviews", "idempotency_keys"])
def test_an_account_deleted_meanwhile_is_answered_like_one_that_never_was(
    service: Service, library: Library, table: str
) -> None:
    headers, _ = service.signed_in()
    library.run(
        "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN DELETE FROM users WHERE id = NEW.user_id; RETURN NEW; END $$"
    )
    library.run(f"CREATE TRIGGER leave BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION leave()")
    headers = {**headers, "Idempotency-Key": "once"} if table == "idempotency_keys" else headers
    answer = service.post(f"/books/{library.book()}/reviews", json={"rating": 5}, headers=headers)
    assert refusal(answer) == (401, "UNAUTHORIZED")


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


@pytest.mark.parametrize("sort_by", ["created_at", "rating", "updated_at"])
def test_own_reviews_have_a_total_order_both_ways(service: Service, library: Library, sort_by: str) -> None:
    headers, reader = service.signed_in()
    chance = random.Random(sort_by)
    for book in library.books(15):
        review = library.rate(reader, book, chance.randint(1, 5), at=START + dt.timedelta(days=chance.randint(0, 3)))
        days = dt.timedelta(days=10 + chance.randint(0, 3))
        library.run("UPDATE reviews SET updated_at = %s WHERE id = %s", START + days, review)
    rows = library.run(f"SELECT id::text FROM reviews ORDER BY {sort_by}, id")
    ascending = [identity for (identity,) in rows]
    for order, expected in (("asc", ascending), ("desc", ascending[::-1])):
        listed: list[str] = []
        for page in (1, 2, 3):
            query = {"sort_by": sort_by, "sort_order": order, "page": page, "per_page": 6}
            listed += [r["id"] for r in service.get("/users/reviews", params=query, headers=headers).json()["data"]]
        assert listed == expected
    assert refusal(service.get("/users/reviews")) == (401, "UNAUTHORIZED")


def deadlocks(library: Library, times: int) -> None:
    """The next so many writes of a review are chosen as a deadlock's victim; a sequence survives the rollback."""
    library.run("CREATE SEQUENCE tries")
    library.run(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('tries') <= {times} THEN RAISE 'deadlock detected' USING ERRCODE = '40P01'; END IF;"
        " RETURN NULL; END $$"
    )
    library.run("CREATE TRIGGER lose AFTER INSERT OR UPDATE OR DELETE ON reviews EXECUTE FUNCTION lose()")


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "once"}])
def test_a_deadlock_s_victim_is_retried_once(service: Service, library: Library, key: dict[str, str]) -> None:
    headers, _ = service.signed_in()
    book = library.book()
    deadlocks(library, 1)
    made = rate(service, book, {**headers, **key})
    library.run("ALTER SEQUENCE tries RESTART")
    assert put(service, made["id"], {"rating": 2}, headers).json()["data"]["rating"] == 2
    library.run("ALTER SEQUENCE tries RESTART")
    assert delete(service, made["id"], headers).status_code == 204
    assert library.run("SELECT last_value, (SELECT total_reviews FROM books) FROM tries") == [(2, 0)]


def test_a_change_that_meets_the_deletion_of_its_book_ends_in_404(service: Service, library: Library) -> None:
    """A real deadlock: the change has the review and waits for the book, the deletion has the book and waits for it."""
    headers, _ = service.signed_in()
    book = library.book()
    review = rate(service, book, headers)["id"]
    library.run("SET deadlock_timeout = '20s'")  # so that the change is the victim
    with structlog.testing.capture_logs() as lines, concurrent.futures.ThreadPoolExecutor(1) as threads:
        with library.connection.transaction():
            library.run("SELECT 1 FROM books WHERE id = %s FOR UPDATE", book)
            change = threads.submit(put, service, review, {"rating": 1}, headers)
            while library.run(WAITING) == [(0,)]:
                time.sleep(0.01)
            library.run("DELETE FROM books WHERE id = %s", book)
        assert refusal(change.result()) == (404, "REVIEW_NOT_FOUND")
    assert [line["event"] for line in lines] == ["deadlock", "request"]


def test_a_write_that_loses_twice_is_503_and_leaves_nothing(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    book = library.book()
    deadlocks(library, 2)
    answer = service.post(f"/books/{book}/reviews", json={"rating": 5}, headers={**headers, "Idempotency-Key": "once"})
    assert refusal(answer) == (503, "SERVICE_UNAVAILABLE")
    left = "SELECT (SELECT count(*) FROM reviews), (SELECT count(*) FROM idempotency_keys), last_value FROM tries"
    assert library.run(left) == [(0, 0, 2)]


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
            ServiceSettings(database_pool_size=2, rate_limits=False),
            database_url=database_url,
            tracking_uri=None,
            bundles=tmp_path,
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
