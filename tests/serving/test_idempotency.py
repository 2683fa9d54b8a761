"""``Idempotency-Key``: the same request sent twice is done once and answered alike."""

import concurrent.futures
import datetime as dt
import uuid

import httpx2
import pytest

from tests.serving.conftest import Json, Library, Service, codes, fields

HOUR = dt.timedelta(hours=1)


Headers = dict[str, str]


def rate(
    service: Service, book: uuid.UUID, headers: Headers, key: str | None = "once", body: Json | None = None
) -> httpx2.Response:
    headers = headers if key is None else {**headers, "Idempotency-Key": key}
    return service.post(f"/books/{book}/reviews", json=body or {"rating": 4}, headers=headers)


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"]["code"]


def test_the_same_request_again_gets_the_same_answer_and_one_row(service: Service, library: Library) -> None:
    headers, reader = service.signed_in()
    book = library.book()
    first = rate(service, book, headers)
    library.rated(book, 1, 1)  # the answer is the one that was given, not today's
    again = rate(service, book, headers, body={"review_text": "  ", "rating": 4})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["data"] == first.json()["data"]
    assert again.json()["message"] == first.json()["message"]
    assert library.run("SELECT count(*) FROM reviews WHERE user_id = %s", reader) == [(1,)]
    assert refusal(rate(service, book, headers, key=None)) == (409, "DUPLICATE_REVIEW")
    assert refusal(rate(service, book, headers, key="another")) == (409, "DUPLICATE_REVIEW")


def test_another_body_or_another_book_under_the_key_is_a_conflict(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    book = library.book()
    rate(service, book, headers)
    for asked, body in ((book, {"rating": 5}), (book, {"rating": 4, "review_text": "Ten letters."})):
        assert refusal(rate(service, asked, headers, body=body)) == (409, "IDEMPOTENCY_CONFLICT")
    assert refusal(rate(service, library.book(), headers)) == (409, "IDEMPOTENCY_CONFLICT")
    assert rate(service, book, headers).status_code == 201, "the key still holds its own answer"
    assert library.run("SELECT count(*), min(rating) FROM reviews") == [(1, 4)]


def test_a_key_is_one_reader_s_own(service: Service, library: Library) -> None:
    ada, _ = service.signed_in()
    grace, somebody = service.signed_in("grace@example.org")
    book = library.book()
    rate(service, book, ada)
    answer = rate(service, book, grace)
    assert (answer.status_code, answer.json()["data"]["user_id"]) == (201, str(somebody))


def test_refusals_are_kept_with_their_status_and_details(service: Service, library: Library) -> None:
    headers, reader = service.signed_in()
    book, text = library.book(), "Said about every book."
    review = library.rate(reader, book, 4)
    assert refusal(rate(service, book, headers, "twice")) == (409, "DUPLICATE_REVIEW")
    unknown = uuid.uuid4()
    assert refusal(rate(service, unknown, headers, "nowhere")) == (404, "BOOK_NOT_FOUND")
    written = [library.rate(reader, other, 4, text=text) for other in library.books(3)]
    spam: Json = {"rating": 4, "review_text": text}
    new = library.book()
    refused = rate(service, new, headers, "spam", spam)
    library.run("DELETE FROM reviews WHERE id = ANY(%s)", [review, *written])
    assert refusal(rate(service, book, headers, "twice")) == (409, "DUPLICATE_REVIEW")
    assert refusal(rate(service, unknown, headers, "nowhere")) == (404, "BOOK_NOT_FOUND")
    again = rate(service, new, headers, "spam", spam)
    assert (again.status_code, fields(again), codes(again)) == (422, ["review_text"], ["repeated_text"])
    assert again.json()["errors"] == refused.json()["errors"]
    assert library.run("SELECT count(*) FROM reviews") == [(0,)]
    assert library.run("SELECT status FROM idempotency_keys ORDER BY status") == [(404,), (409,), (422,)]


def test_input_that_is_refused_and_strangers_use_up_no_key(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    book = library.book()
    assert refusal(rate(service, book, headers, body={"rating": 6})) == (422, "VALIDATION_ERROR")
    assert refusal(rate(service, book, {})) == (401, "UNAUTHORIZED")
    assert library.run("SELECT count(*) FROM idempotency_keys") == [(0,)]
    assert rate(service, book, headers).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "caf\xe9", "\x7f"])
def test_bad_keys_are_422(service: Service, library: Library, key: str) -> None:
    headers, _ = service.signed_in()
    sent = [(name.encode(), value.encode("latin-1")) for name, value in {**headers, "Idempotency-Key": key}.items()]
    answer = service.client.post(f"/api/v1/books/{library.book()}/reviews", json={"rating": 5}, headers=sent)
    assert (answer.status_code, fields(answer)) == (422, ["Idempotency-Key"])
    assert library.run("SELECT count(*) FROM reviews") == [(0,)]


@pytest.mark.parametrize("key", ["x", "~" * 255, '"8e03 978e"', "a b"])
def test_any_printable_key_will_do(service: Service, library: Library, key: str) -> None:
    headers, _ = service.signed_in()
    book = library.book()
    assert [rate(service, book, headers, key).status_code for _ in range(2)] == [201, 201]


def test_identical_requests_at_once_make_one_row_and_one_answer(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    book = library.book()
    body: Json = {"rating": 4, "review_text": "Sent by an impatient client"}
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        sent = [threads.submit(rate, service, book, headers, "once", body) for _ in range(8)]
    answers = [answer.result() for answer in sent]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    assert all(answer.json()["data"] == answers[0].json()["data"] for answer in answers)
    assert library.run("SELECT count(*) FROM reviews") == [(1,)]


def test_different_requests_under_one_key_at_once_make_one_row(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        sent = [threads.submit(rate, service, book, headers) for book in library.books(6)]
    assert sorted(answer.result().status_code for answer in sent) == [201] + [409] * 5
    assert library.run("SELECT count(*) FROM reviews") == [(1,)]


def test_a_request_that_fails_on_our_side_frees_its_key(service: Service, library: Library) -> None:
    headers, _ = service.signed_in()
    book = library.book()
    library.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$")
    library.run("CREATE TRIGGER refuse AFTER INSERT ON reviews EXECUTE FUNCTION refuse()")
    assert rate(service, book, headers).status_code == 500
    assert library.run("SELECT count(*) FROM idempotency_keys") == [(0,)]
    library.run("DROP TRIGGER refuse ON reviews")
    assert rate(service, book, headers).status_code == 201


def age(library: Library, key: str, by: dt.timedelta) -> None:
    library.run("UPDATE idempotency_keys SET created_at = created_at - %s WHERE key = %s", by, key)


def test_keys_are_kept_a_day(service: Service, library: Library) -> None:
    headers, reader = service.signed_in()
    books = library.books(2)
    for key, book in zip(("young", "old"), books, strict=True):
        rate(service, book, headers, key)
    age(library, "young", 23 * HOUR)
    age(library, "old", 25 * HOUR)
    assert rate(service, books[0], headers, "young").status_code == 201
    assert refusal(rate(service, books[1], headers, "old")) == (409, "DUPLICATE_REVIEW"), "the key was free again"
    kept = library.run("SELECT user_id, key, status FROM idempotency_keys ORDER BY key")
    assert kept == [(reader, "old", 409), (reader, "young", 201)]
    library.run("DELETE FROM users WHERE id = %s", reader)
    assert library.run("SELECT count(*) FROM idempotency_keys") == [(0,)]
