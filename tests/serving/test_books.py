"""Finding books."""

import base64
import datetime as dt
import itertools
import json
import uuid
from typing import Any

import orjson
import pytest
import structlog

from tests.serving.conftest import Json, Library, Service, fields

SORTS = ("title", "author", "average_rating", "total_reviews", "publication_date", "created_at")
BOOK = {
    "id", "title", "author", "isbn", "description", "cover_image_url", "publication_date", "series", "series_position",
    "average_rating", "total_reviews", "genres", "created_at", "updated_at",
}  # fmt: skip


def titles(service: Service, **query: Any) -> list[str]:  # noqa: ANN401  query parameters of any kind
    answer = service.get("/books", params=query)
    assert answer.status_code == 200, answer.text
    return [book["title"] for book in answer.json()["data"]]


def walk(service: Service, first: Json, **query: Any) -> list[Json]:  # noqa: ANN401  query parameters of any kind
    """All pages behind ``first``, by cursor."""
    pages, cursor = [first], first["pagination"]["next_cursor"]
    while cursor is not None:
        body = service.get("/books", params={**query, "after": cursor}).json()
        pages.append(body)
        cursor = body["pagination"]["next_cursor"]
    return pages


@pytest.fixture
def shelf(library: Library) -> Library:
    """Twelve books with ties and gaps in every column that can be sorted by."""
    for place in range(12):
        book = library.book(
            f"Title {place // 2}",
            f"Author {place // 3}",
            publication_date=dt.date(2000 + place // 4, 1, 1) if place % 3 else None,
            created_at=dt.datetime(2026, 1, 1 + place // 2, tzinfo=dt.UTC),
        )
        library.rated(book, *[1 + place // 4] * (place % 4))
    return library


def test_a_book_has_its_shape_in_the_list(service: Service, library: Library) -> None:
    later, earlier = library.genre("Science fiction"), library.genre("Älpine")
    book = library.book(
        "The Hunger Games", "Suzanne Collins", genres=[later, earlier], isbn="9780439023481", description="A fight.",
        cover_image_url="https://covers.example/1.jpg", publication_date=dt.date(2008, 9, 14),
        series="The Hunger Games", series_position=1.5,
    )  # fmt: skip
    library.rated(book, 5, 4, 4)
    [shown] = service.get("/books").json()["data"]
    assert set(shown) == BOOK
    assert shown["id"] == str(book)
    assert shown["genres"] == [
        {"id": str(earlier), "name": "Älpine"},
        {"id": str(later), "name": "Science fiction"},
    ]
    assert (shown["average_rating"], shown["total_reviews"]) == (4.33, 3)
    assert (shown["publication_date"], shown["series_position"]) == ("2008-09-14", 1.5)
    assert shown["created_at"].endswith("Z")


def test_nothing_stored_is_an_empty_page(service: Service) -> None:
    body = service.get("/books").json()
    assert body["data"] == []
    assert body["pagination"] == {
        "page": 1, "per_page": 20, "total": 0, "pages": 0, "has_next": False, "has_prev": False, "next_cursor": None,
    }  # fmt: skip


def test_pages_tell_where_they_are(service: Service, library: Library) -> None:
    library.books(45)
    body = service.get("/books", params={"page": 2, "per_page": 20}).json()
    cursor = body["pagination"].pop("next_cursor")
    assert body["pagination"] == {
        "page": 2, "per_page": 20, "total": 45, "pages": 3, "has_next": True, "has_prev": True,
    }  # fmt: skip
    assert cursor is not None
    last = service.get("/books", params={"page": 3, "per_page": 20}).json()
    assert (len(last["data"]), last["pagination"]["has_next"], last["pagination"]["next_cursor"]) == (5, False, None)
    beyond = service.get("/books", params={"page": 9, "per_page": 20}).json()
    assert (beyond["data"], beyond["pagination"]["total"], beyond["pagination"]["has_prev"]) == ([], 45, True)


@pytest.mark.parametrize(("sort", "order"), [*itertools.product(SORTS, ("asc", "desc"))])
def test_every_sort_is_total_with_nulls_last_and_the_same_by_page_and_by_cursor(
    service: Service, shelf: Library, sort: str, order: str
) -> None:
    query = {"sort_by": sort, "sort_order": order, "per_page": 5}
    by_page = [
        book for page in (1, 2, 3) for book in service.get("/books", params={**query, "page": page}).json()["data"]
    ]
    pages = walk(service, service.get("/books", params=query).json(), **query)
    assert [book["id"] for page in pages for book in page["data"]] == [book["id"] for book in by_page]
    assert len({book["id"] for book in by_page}) == 12
    keys = [(book[sort], book["id"]) for book in by_page]
    known = [key for key in keys if key[0] is not None]
    assert known == sorted(known, reverse=order == "desc")
    unknown = keys[len(known) :]
    assert all(key is None for key, _ in unknown)
    assert unknown == sorted(unknown, key=lambda key: key[1], reverse=order == "desc")
    followed = pages[1]["pagination"]
    assert (followed["page"], followed["total"], followed["pages"]) == (None, None, None)


@pytest.mark.parametrize("sort", SORTS)
def test_deleting_rows_while_a_list_is_followed_neither_repeats_nor_skips(
    service: Service, shelf: Library, sort: str
) -> None:
    query = {"sort_by": sort, "per_page": 4}
    everything = [book["id"] for book in service.get("/books", params={**query, "per_page": 100}).json()["data"]]
    first = service.get("/books", params=query).json()
    gone = everything[3]  # the very book the cursor stands behind, and one before it
    shelf.run("DELETE FROM books WHERE id = ANY(%s)", [uuid.UUID(gone), uuid.UUID(everything[0])])
    rest = [book["id"] for page in walk(service, first, **query)[1:] for book in page["data"]]
    assert rest == everything[4:]


def test_text_sorts_without_case_and_accents(service: Service, library: Library) -> None:
    for title in ("zebra", "Émile", "apple", "Zoo", "emily"):
        library.book(title)
    assert titles(service) == ["apple", "Émile", "emily", "zebra", "Zoo"]


def test_filters_select(service: Service, library: Library) -> None:
    genre = library.genre("Fantasy")
    low = library.book("Low", "Jo Nesbø", publication_date=dt.date(1990, 5, 1))
    high = library.book("High", "J. R. R. Tolkien", genres=[genre], publication_date=dt.date(1954, 7, 29))
    library.book("Unrated", "100% Somebody_Else")
    library.rated(low, 2, 2)
    library.rated(high, 5, 4)
    assert titles(service, genre_id=genre) == ["High"]
    assert titles(service, author="NESBO") == ["Low"]
    assert titles(service, author="tolk") == ["High"]
    assert titles(service, author="100%") == titles(service, author="somebody_e") == ["Unrated"]
    assert titles(service, author="%") == ["Unrated"]
    assert titles(service, author="\\") == []
    assert titles(service, min_rating=2) == ["High", "Low"]
    assert titles(service, min_rating=2.01) == ["High"]
    assert titles(service, max_rating=2.0) == ["Low"]
    assert titles(service, min_rating=4.5, max_rating=4.5) == ["High"]
    assert titles(service, published_after="1990-05-01") == ["Low"]
    assert titles(service, published_before="1990-05-01") == ["High", "Low"]
    assert titles(service, genre_id=genre, author="nesbo") == []
    assert service.get("/books", params={"author": "nesbo", "per_page": 1}).json()["pagination"]["total"] == 1
    assert titles(service, nonsense="ignored") == ["High", "Low", "Unrated"]


def test_a_filter_holds_while_a_list_is_followed(service: Service, library: Library) -> None:
    genre = library.genre("Fantasy")
    for place in range(9):
        library.book(f"Book {place}", genres=[genre] if place % 2 else [])
    query = {"genre_id": str(genre), "per_page": 3}
    pages = walk(service, service.get("/books", params=query).json(), **query)
    assert [book["title"] for page in pages for book in page["data"]] == ["Book 1", "Book 3", "Book 5", "Book 7"]


def test_an_unknown_genre_is_404(service: Service, library: Library) -> None:
    library.book()
    answer = service.get("/books", params={"genre_id": str(uuid.uuid4())})
    assert (answer.status_code, answer.json()["errors"]["code"]) == (404, "GENRE_NOT_FOUND")
    empty = library.genre("Nobody writes this")
    assert service.get("/books", params={"genre_id": str(empty)}).status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": 0}, "page"),
        ({"page": 10_001}, "page"),
        ({"page": "x"}, "page"),
        ({"page": "9" * 5000}, "page"),
        ({"per_page": 101}, "per_page"),
        ({"sort_by": "password_hash"}, "sort_by"),
        ({"sort_order": "sideways"}, "sort_order"),
        ({"min_rating": 4, "max_rating": 3}, "min_rating"),
        ({"min_rating": "nan"}, "min_rating"),
        ({"published_after": "2001-01-01", "published_before": "2000-01-01"}, "published_after"),
        ({"published_after": "yesterday"}, "published_after"),
        ({"genre_id": "x"}, "genre_id"),
        ({"author": "a\x00b"}, "author"),
        ({"author": " "}, "author"),
        ({"author": "x" * 301}, "author"),
        ({"after": "x", "page": 1}, "after"),
        ({"after": "nonsense"}, "after"),
        ({"after": "ü"}, "after"),
    ],
)
def test_bad_queries_are_422(service: Service, query: Json, field: str) -> None:
    answer = service.get("/books", params=query)
    assert answer.status_code == 422, answer.text
    assert fields(answer) == [field]


def test_a_cursor_of_another_sort_is_422(service: Service, library: Library) -> None:
    library.books(3)
    cursor = service.get("/books", params={"per_page": 1}).json()["pagination"]["next_cursor"]
    for other in ({"sort_by": "author"}, {"sort_order": "desc"}):
        assert service.get("/books", params={"after": cursor, **other}).status_code == 422


FORGED = (None, True, 10**30, -1, 1.5, "x", "\x00", "\ud800", "9" * 400, "NaN", [1], "10000-01-01", "2026-01-01")


@pytest.mark.parametrize("sort", SORTS)
def test_a_forged_cursor_is_refused_or_harmless(service: Service, sort: str) -> None:
    for key in FORGED:
        raw = json.dumps([f"books.{sort}.asc", key, str(uuid.uuid4())]).encode()
        cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        answer = service.get("/books", params={"after": cursor, "sort_by": sort})
        assert answer.status_code in {200, 422}, key


def test_a_list_costs_one_statement_however_long(service: Service, library: Library) -> None:
    genre = library.genre("Fantasy")
    for _ in range(30):
        library.book(genres=[genre])
    with structlog.testing.capture_logs() as lines:
        first = service.get("/books", params={"per_page": 30, "genre_id": str(genre)}).json()
        service.get("/books", params={"per_page": 10}).json()
    assert len(first["data"]) == 30
    assert [line["statements"] for line in lines] == [1, 1]


def test_a_deep_page_behind_a_cursor_reads_its_own_rows_only(service: Service, library: Library) -> None:
    """The plan, not the clock: a cursor starts inside the index, whatever the sort."""
    from serving.books.queries import SORTS as COLUMNS  # noqa: PLC0415
    from serving.books.queries import Listing, _after_statement  # noqa: PLC0415

    library.run(
        "INSERT INTO books (title, author, title_key, author_key)"
        " SELECT 't' || n, 'a' || n, 't' || n, 'a' || n FROM generate_series(1, 5000) n"
    )
    reader = library.reader()
    library.run(
        "INSERT INTO reviews (user_id, book_id, rating) SELECT %s, id, 1 + abs(hashtext(title)) %% 5 FROM books", reader
    )
    library.run("ANALYZE books")
    keys = {
        "title": "t5",
        "author": "a5",
        "average_rating": 3,
        "total_reviews": 1,
        "created_at": dt.datetime.now(dt.UTC),
    }
    for sort, order in itertools.product(keys, ("asc", "desc")):
        statement = _after_statement(Listing(sort, order, frozenset()), among_nulls=False)  # type: ignore[arg-type]  # literals
        params = {"limit": 21, "key": keys[sort], "last": uuid.uuid4()}
        plan = library.connection.execute("EXPLAIN (FORMAT JSON) " + statement, params).fetchall()[0][0]
        text = orjson.dumps(plan).decode()
        assert "Seq Scan" not in text, (sort, order)
        assert COLUMNS[sort].name in text  # type: ignore[index]  # literals


def test_one_book_has_its_distribution_and_newest_reviews(service: Service, library: Library) -> None:
    book = library.book("Emma")
    for day in range(7):
        reader = library.reader("Ada" if day else "Cher", "Lovelace" if day else "")
        library.rate(reader, book, 1 + day % 5, at=dt.datetime(2026, 1, 1 + day, tzinfo=dt.UTC), text="Long enough")
    answer = service.get(f"/books/{book}")
    shown = answer.json()["data"]
    assert set(shown) == BOOK | {"rating_distribution", "recent_reviews"}
    assert shown["rating_distribution"] == {"1": 2, "2": 2, "3": 1, "4": 1, "5": 1}
    assert [review["created_at"][:10] for review in shown["recent_reviews"]] == [
        f"2026-01-0{day}" for day in (7, 6, 5, 4, 3)
    ]
    assert {review["user_name"] for review in shown["recent_reviews"]} == {"Ada L."}
    assert "@" not in answer.text


def test_an_etag_answers_304_until_something_changes(service: Service, library: Library) -> None:
    book = library.book()
    etag = service.get(f"/books/{book}").headers["etag"]
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        same = service.get(f"/books/{book}", headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert service.get(f"/books/{book}", headers={"If-None-Match": '"other"'}).status_code == 200
    library.rated(book, 5)
    changed = service.get(f"/books/{book}", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_an_unknown_book_is_404(service: Service) -> None:
    answer = service.get(f"/books/{uuid.uuid4()}")
    assert (answer.status_code, answer.json()["errors"]["code"]) == (404, "BOOK_NOT_FOUND")
