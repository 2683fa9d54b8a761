"""The reviews of a book: order, pages, cursors, cost."""

import base64
import datetime as dt
import itertools
import random
import uuid
from typing import Any

import httpx2
import orjson
import pytest
import structlog

from serving.kit import paging
from serving.reviews import queries
from serving.reviews.queries import Listing
from tests.serving.conftest import START, Json, Library, Service, codes, fields

SORTS = list(itertools.product(("created_at", "rating", "updated_at"), ("asc", "desc")))


def listed(service: Service, book: uuid.UUID, **query: object) -> Json:
    answer = service.get(f"/books/{book}/reviews", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"]["code"]


def ids(body: Json) -> list[str]:
    return [review["id"] for review in body["data"]]


def reviewed(library: Library, n: int, chance: random.Random) -> uuid.UUID:
    """A book with reviews of few different stars and times, so that many tie."""
    book = library.book()
    while len(library.readers) < n:
        library.readers.append(library.reader())
    for reader in library.readers[:n]:
        at = START + dt.timedelta(microseconds=chance.randint(0, 3))
        review = library.rate(reader, book, chance.randint(2, 5), at=at)
        library.run(
            "UPDATE reviews SET updated_at = %s WHERE id = %s", at + dt.timedelta(days=chance.randint(0, 2)), review
        )
    return book


def in_order(library: Library, book: uuid.UUID, sort_by: str, order: str) -> list[str]:
    rows = library.run(f"SELECT id::text FROM reviews WHERE book_id = %s ORDER BY {sort_by} {order}, id {order}", book)
    return [identity for (identity,) in rows]


def test_a_review_says_who_wrote_it_and_never_an_e_mail(service: Service, library: Library) -> None:
    book = library.book()
    first = library.rate(library.reader("Ada", "Lovelace"), book, 4, at=START, text="I read it in one night.")
    library.rate(library.reader("\N{CYRILLIC CAPITAL LETTER YA}", "\xc5ngstr\xf6m"), book, 2)
    body = listed(service, book)
    assert [(r["user_name"], r["rating"]) for r in body["data"]] == [
        ("\N{CYRILLIC CAPITAL LETTER YA} \xc5.", 2),
        ("Ada L.", 4),
    ], "newest first"
    oldest = body["data"][1]
    assert set(oldest) == {
        "id", "user_id", "book_id", "rating", "review_text", "created_at", "updated_at", "user_name",
    }  # fmt: skip
    assert (oldest["id"], oldest["book_id"], oldest["review_text"]) == (
        str(first),
        str(book),
        "I read it in one night.",
    )
    assert oldest["created_at"] == "2026-01-01T00:00:00.000Z"
    assert "@" not in str(body)


@pytest.mark.parametrize(("sort_by", "order"), SORTS)
def test_pages_and_cursors_tell_the_same_list(service: Service, library: Library, sort_by: str, order: str) -> None:
    book = reviewed(library, 23, random.Random(7))
    library.rated(library.book("Another"), 1, 5)
    expected = in_order(library, book, sort_by, order)
    query: Json = {"sort_by": sort_by, "sort_order": order, "per_page": 5}
    by_page: list[str] = []
    for page in range(1, 6):
        body = listed(service, book, page=page, **query)
        by_page += ids(body)
        pagination = body["pagination"]
        assert (pagination["page"], pagination["total"], pagination["pages"]) == (page, 23, 5)
        assert (pagination["has_next"], pagination["has_prev"]) == (page < 5, page > 1)
    assert (by_page, pagination["next_cursor"]) == (expected, None)
    body = listed(service, book, **query)
    by_cursor = ids(body)
    while cursor := body["pagination"]["next_cursor"]:
        body = listed(service, book, after=cursor, **query)
        by_cursor += ids(body)
        assert [body["pagination"][name] for name in ("page", "total", "pages", "has_prev")] == [None] * 4
        assert body["pagination"]["has_next"] == (body["pagination"]["next_cursor"] is not None)
    assert by_cursor == expected


@pytest.mark.parametrize(("sort_by", "order"), SORTS)
def test_only_reviews_with_so_many_stars(service: Service, library: Library, sort_by: str, order: str) -> None:
    book = reviewed(library, 20, random.Random(11))
    stars = dict(library.run("SELECT id::text, rating FROM reviews"))
    query: Json = {"sort_by": sort_by, "sort_order": order, "rating_filter": 4, "per_page": 2}
    expected = [review for review in in_order(library, book, sort_by, order) if stars[review] == 4]
    assert len(expected) > 2
    body = listed(service, book, **query)
    assert body["pagination"]["total"] == len(expected)
    found = ids(body)
    while cursor := body["pagination"]["next_cursor"]:
        body = listed(service, book, after=cursor, **query)
        found += ids(body)
    assert found == expected
    nobody = listed(service, book, rating_filter=1)
    assert (nobody["data"], nobody["pagination"]["total"], nobody["pagination"]["pages"]) == ([], 0, 0)


def test_empty_lists_and_pages_behind_the_last_one(service: Service, library: Library) -> None:
    book = library.book()
    body = listed(service, book)
    assert (body["data"], body["pagination"]["total"], body["pagination"]["next_cursor"]) == ([], 0, None)
    library.rated(book, 5, 4)
    beyond = listed(service, book, page=3)
    assert (beyond["data"], beyond["pagination"]["total"], beyond["pagination"]["has_next"]) == ([], 2, False)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": 0}, "page"),
        ({"page": 10_001}, "page"),
        ({"per_page": 101}, "per_page"),
        ({"sort_by": "user_id"}, "sort_by"),
        ({"sort_order": "up"}, "sort_order"),
        ({"rating_filter": 0}, "rating_filter"),
        ({"rating_filter": 6}, "rating_filter"),
        ({"rating_filter": "4.5"}, "rating_filter"),
        ({"after": "nonsense"}, "after"),
        ({"after": "", "page": 1}, "after"),
    ],
)
def test_bad_queries_are_422(service: Service, library: Library, query: Json, field: str) -> None:
    answer = service.get(f"/books/{library.book()}/reviews", params=query)
    assert (answer.status_code, fields(answer)) == (422, [field])


@pytest.mark.parametrize(
    ("sort_by", "key", "last"),
    [
        ("created_at", "2026-01-01T00:00:00", uuid.uuid4()),
        ("created_at", "yesterday", uuid.uuid4()),
        ("updated_at", None, uuid.uuid4()),
        ("updated_at", 5, uuid.uuid4()),
        ("rating", "5", uuid.uuid4()),
        ("rating", True, uuid.uuid4()),
        ("rating", 2**40, uuid.uuid4()),
        ("rating", 4.5, uuid.uuid4()),
        ("rating", 4, "seven"),
    ],
)
def test_forged_cursors_are_422(service: Service, library: Library, sort_by: str, key: Any, last: object) -> None:  # noqa: ANN401  anything
    forged = orjson.dumps([f"reviews.{sort_by}.desc", key, str(last)])
    cursor = base64.urlsafe_b64encode(forged).decode().rstrip("=")
    answer = service.get(f"/books/{library.book()}/reviews", params={"sort_by": sort_by, "after": cursor})
    assert (answer.status_code, codes(answer)) == (422, ["cursor_invalid"])


def test_a_cursor_belongs_to_its_sort(service: Service, library: Library) -> None:
    book = library.book()
    library.rated(book, 5, 4, 3)
    cursor = listed(service, book, per_page=1)["pagination"]["next_cursor"]
    for query in ({"sort_by": "rating"}, {"sort_order": "asc"}):
        answer = service.get(f"/books/{book}/reviews", params={"after": cursor, **query})
        assert (answer.status_code, codes(answer)) == (422, ["cursor_for_another_sort"])
    ends = paging.encode(
        paging.Cursor(sort="reviews.created_at.desc", key="0001-01-01T00:00:00+14:00", id=str(uuid.uuid4()))
    )
    assert listed(service, book, after=ends)["data"] == []


def test_an_unknown_book_is_404_however_the_list_is_asked_for(service: Service, library: Library) -> None:
    book = library.book()
    library.rated(book, 5, 4, 3)
    cursor = listed(service, book, per_page=1)["pagination"]["next_cursor"]
    library.run("DELETE FROM books WHERE id = %s", book)
    queries_of_it: list[Json] = [{}, {"page": 2}, {"after": cursor}, {"rating_filter": 3}]
    for query in queries_of_it:
        assert refusal(service.get(f"/books/{book}/reviews", params=query)) == (404, "BOOK_NOT_FOUND")
    assert refusal(service.get("/books/7/reviews")) == (422, "VALIDATION_ERROR")


def test_a_list_of_any_length_takes_one_statement(service: Service, library: Library) -> None:
    book = reviewed(library, 60, random.Random(3))
    cursor = listed(service, book, per_page=10)["pagination"]["next_cursor"]
    asked: list[Json] = [{"per_page": 1}, {"per_page": 100}, {"per_page": 40, "after": cursor}, {"rating_filter": 5}]
    for query in asked:
        with structlog.testing.capture_logs() as lines:
            listed(service, book, **query)
        assert [line["statements"] for line in lines] == [1]


@pytest.mark.parametrize(("sort_by", "order"), SORTS)
@pytest.mark.parametrize("seed", range(3))
def test_reviews_deleted_while_the_list_is_paged_never_break_it(
    service: Service, library: Library, sort_by: str, order: str, seed: int
) -> None:
    """Whatever goes: no entry comes twice, the order holds, and all that stays is seen."""
    chance = random.Random(seed)
    book = reviewed(library, 30, chance)
    expected = in_order(library, book, sort_by, order)
    gone: set[str] = set()
    seen: list[str] = []
    query: Json = {"sort_by": sort_by, "sort_order": order}
    body = listed(service, book, per_page=chance.randint(1, 6), **query)
    while True:
        seen += ids(body)
        victims = set(chance.sample(expected, 3)) | ({seen[-1]} if chance.random() < 0.7 else set())
        library.run("DELETE FROM reviews WHERE id = ANY(%s)", [uuid.UUID(victim) for victim in victims])
        gone |= victims
        cursor = body["pagination"]["next_cursor"]
        if cursor is None:
            break
        body = listed(service, book, per_page=chance.randint(1, 6), after=cursor, **query)
    assert seen == [review for review in expected if review in set(seen)]
    assert set(expected) - gone <= set(seen)


@pytest.mark.parametrize(("sort_by", "order"), SORTS)
def test_a_cursor_is_followed_in_the_sort_s_index_however_deep(library: Library, sort_by: Any, order: Any) -> None:  # noqa: ANN401  literals
    book, *others = library.books(20)
    library.run(
        "WITH readers AS (INSERT INTO users (email, first_name, last_name)"
        " SELECT n || '@example.org', 'R', 'R' FROM generate_series(1, 600) n RETURNING id)"
        " INSERT INTO reviews (user_id, book_id, rating)"
        " SELECT r.id, b.id, 1 + abs(hashtext(r.id::text)) %% 5 FROM readers r CROSS JOIN unnest(%s::uuid[]) AS b(id)",
        [book, *others],
    )
    library.run("VACUUM ANALYZE reviews")
    statement = queries._after_statement(Listing(sort_by, order, with_rating=False))
    nth = f"SELECT {sort_by}, id FROM reviews WHERE book_id = %s ORDER BY {sort_by}, id LIMIT 1 OFFSET 300"
    middle = library.run(nth, book)[0]
    params = {"book": book, "limit": 20, "key": middle[0], "last": middle[1]}
    explained = library.connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, params).fetchall()
    plan = explained[0][0][0]["Plan"]
    text = str(plan)
    assert f"ix_reviews_book_id_{sort_by}_id" in text
    assert "Seq Scan" not in text
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20 * 10
