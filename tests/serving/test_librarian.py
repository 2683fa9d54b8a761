"""Keeping the catalogue: books and genres written by an administrator, and by nobody else."""

import concurrent.futures
import datetime as dt
import uuid

import httpx2
import pytest
import structlog
import time_machine

from tests.serving.conftest import Json, Library, Service, codes, fields

Headers = dict[str, str]
DRAFT = {"title": "The Hunger Games", "author": "Suzanne Collins"}
NOBODY: Headers = {}


@pytest.fixture
def admin(service: Service, library: Library) -> Headers:
    headers, reader = service.signed_in("librarian@example.org")
    library.run("UPDATE users SET is_admin = true WHERE id = %s", reader)
    return headers


def send(service: Service, method: str, path: str, headers: Headers, body: object = None) -> httpx2.Response:
    return service.client.request(method, "/api/v1" + path, json=body, headers=headers)


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"]["code"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/books", DRAFT),
        ("PUT", "/books/{book}", {"title": "Another"}),
        ("DELETE", "/books/{book}", None),
        ("POST", "/genres", {"name": "Poetry"}),
        ("PUT", "/genres/{genre}", {"name": "Poetry"}),
        ("DELETE", "/genres/{genre}", None),
    ],
)
def test_only_an_administrator_writes(service: Service, library: Library, method: str, path: str, body: Json) -> None:
    genre = library.genre("Fantasy")
    path = path.format(book=library.book("A Book", genres=[genre]), genre=genre)
    headers, _ = service.signed_in()
    assert code(send(service, method, path, NOBODY, body)) == (401, "UNAUTHORIZED")
    assert code(send(service, method, path, headers, body)) == (403, "FORBIDDEN")
    assert library.run("SELECT title FROM books") == [("A Book",)]
    assert library.run("SELECT name FROM genres") == [("Fantasy",)]


def test_a_book_is_added_with_all_it_has(service: Service, library: Library, admin: Headers) -> None:
    later, earlier = library.genre("Young Adult"), library.genre("Dystopia")
    body = {
        "title": "  The \u00a0 Hunger  Games ",
        "author": "Suzanne   Collins",
        "isbn": "0-439-02348-3",
        "description": " A girl.\r\n\tAn arena. ",
        "cover_image_url": "https://covers.example/a.JPG?size=2",
        "publication_date": "2008-09-14",
        "series": "The  Hunger Games",
        "series_position": 1,
        "genre_ids": [str(later), str(earlier), str(later)],
    }
    answer = send(service, "POST", "/books", admin, body)
    shown = answer.json()["data"]
    assert (answer.status_code, answer.json()["message"]) == (201, "Book added")
    kept = {name: shown[name] for name in body if name != "genre_ids"}
    assert kept == {
        **{name: value for name, value in body.items() if name != "genre_ids"},
        "title": "The Hunger Games",
        "author": "Suzanne Collins",
        "isbn": "9780439023481",
        "description": "A girl.\n\tAn arena.",
        "series": "The Hunger Games",
    }
    assert [genre["name"] for genre in shown["genres"]] == ["Dystopia", "Young Adult"]
    assert (shown["average_rating"], shown["total_reviews"], shown["recent_reviews"]) == (None, 0, [])
    read = service.get(f"/books/{shown['id']}", headers={"If-None-Match": answer.headers["etag"]})
    assert read.status_code == 304
    assert service.get("/books/search", params={"q": "arena collins"}).json()["pagination"]["total"] == 1


def test_title_and_author_are_enough(service: Service, library: Library, admin: Headers) -> None:
    shown = send(service, "POST", "/books", admin, {**DRAFT, "description": "  ", "isbn": None}).json()["data"]
    assert {name for name, value in shown.items() if value is None} == {
        "isbn", "description", "cover_image_url", "publication_date", "series", "series_position", "average_rating",
    }  # fmt: skip
    assert shown["genres"] == []


TOO_FAR = (dt.datetime.now(dt.UTC) + dt.timedelta(days=2)).date().isoformat()
BAD = [
    ("title", "", "blank"),
    ("title", " \u200b ", "blank"),
    ("title", "x" * 501, "string_too_long"),
    ("title", "a\nb", "control_character"),
    ("title", "a\x00b", "control_character"),
    ("title", 5, "string_type"),
    ("title", None, "string_type"),
    ("author", "   ", "blank"),
    ("author", "x" * 301, "string_too_long"),
    ("author", None, "string_type"),
    ("isbn", "", "isbn_invalid"),
    ("isbn", "9780439023482", "isbn_invalid"),
    ("isbn", "0439023484", "isbn_invalid"),
    ("isbn", "439023483", "isbn_invalid"),
    ("isbn", "9770439023481", "isbn_invalid"),
    ("isbn", "\u0660439023483", "isbn_invalid"),
    ("isbn", 9780439023481, "string_type"),
    ("description", "x" * 5001, "string_too_long"),
    ("description", "a\x07b", "control_character"),
    ("cover_image_url", "ftp://covers.example/1.jpg", "url_invalid"),
    ("cover_image_url", "//covers.example/1.jpg", "url_invalid"),
    ("cover_image_url", "https:///1.jpg", "url_invalid"),
    ("cover_image_url", "https://covers.example/a b.jpg", "url_invalid"),
    ("cover_image_url", "https://[covers.example/1.jpg", "url_invalid"),
    ("cover_image_url", "javascript:alert(1)//.jpg", "url_invalid"),
    ("cover_image_url", "https://covers.example/1.svg", "url_no_image"),
    ("cover_image_url", "https://covers.example/?file=1.jpg", "url_no_image"),
    ("cover_image_url", "https://covers.example/" + "x" * 1000 + ".jpg", "string_too_long"),
    ("publication_date", TOO_FAR, "date_in_future"),
    ("publication_date", "0999-12-31", "date_too_early"),
    ("publication_date", "2008-02-30", "date_from_datetime_parsing"),
    ("publication_date", "2008-09-14T00:00:00", "date_parsing"),
    ("publication_date", 0, "date_parsing"),
    ("series", "", "blank"),
    ("series_position", "1", "float_type"),
    ("series_position", True, "float_type"),
    ("series_position", -1, "greater_than_equal"),
    ("genre_ids", None, "list_type"),
    ("genre_ids", [str(uuid.uuid4()) for _ in range(11)], "too_many_genres"),
    ("genre_ids", [str(uuid.uuid4())], "genre_unknown"),
    ("language", "en", "extra_forbidden"),
]


def test_bad_books_are_422_and_change_nothing(service: Service, library: Library, admin: Headers) -> None:
    path = f"/books/{library.book('Untouched')}"
    before = library.run("SELECT * FROM books")
    for field, value, problem in BAD:
        for answer in (
            send(service, "POST", "/books", admin, {**DRAFT, field: value}),
            send(service, "PUT", path, admin, {field: value}),
        ):
            assert code(answer) == (422, "VALIDATION_ERROR"), (field, value)
            assert (fields(answer), codes(answer)) == ([field], [problem]), (field, value)
    assert library.run("SELECT * FROM books") == before


def test_a_genre_in_a_list_that_is_no_id_is_422(service: Service, admin: Headers) -> None:
    answer = send(service, "POST", "/books", admin, {**DRAFT, "genre_ids": ["Fantasy"]})
    assert (answer.status_code, fields(answer)) == (422, ["genre_ids.0"])


def test_a_book_may_come_out_today_and_not_tomorrow(service: Service, library: Library, admin: Headers) -> None:
    book = library.book()
    with time_machine.travel(dt.datetime(2026, 11, 22, 23, 59, tzinfo=dt.UTC), tick=False):
        headers, reader = service.signed_in("today@example.org")
        library.run("UPDATE users SET is_admin = true WHERE id = %s", reader)
        library.run("UPDATE token_families SET expires_at = 'infinity'")
        today = send(service, "PUT", f"/books/{book}", headers, {"publication_date": "2026-11-22"})
        tomorrow = send(service, "PUT", f"/books/{book}", headers, {"publication_date": "2026-11-23"})
    assert (today.status_code, codes(tomorrow)) == (200, ["date_in_future"])


def test_ten_genres_are_allowed_however_often_each_is_named(service: Service, library: Library, admin: Headers) -> None:
    genres = [str(library.genre(f"Genre {place}")) for place in range(10)]
    shown = send(service, "POST", "/books", admin, {**DRAFT, "genre_ids": genres * 3}).json()["data"]
    assert len(shown["genres"]) == 10


def test_an_isbn_belongs_to_one_book_however_it_is_written(service: Service, library: Library, admin: Headers) -> None:
    library.book("First", isbn="9780439023481")
    other = library.book("Other")
    for written in ("9780439023481", "0439023483", "978-0-439-02348-1"):
        for method, path in (("POST", "/books"), ("PUT", f"/books/{other}")):
            body = {**DRAFT, "isbn": written}
            answer = send(service, method, path, admin, body)
            assert (code(answer), fields(answer)) == ((409, "ISBN_TAKEN"), ["isbn"])
    assert library.run("SELECT title FROM books ORDER BY title") == [("First",), ("Other",)]


def test_of_many_books_with_one_isbn_at_once_one_is_kept(service: Service, library: Library, admin: Headers) -> None:
    with concurrent.futures.ThreadPoolExecutor() as threads:
        sent = [
            threads.submit(send, service, "POST", "/books", admin, {**DRAFT, "isbn": "9780439023481"}) for _ in range(5)
        ]
    assert sorted(answer.result().status_code for answer in sent) == [201, 409, 409, 409, 409]
    assert library.run("SELECT count(*) FROM books") == [(1,)]


def test_what_was_sent_is_changed_and_the_search_follows(service: Service, library: Library, admin: Headers) -> None:
    genre, other = library.genre("Fantasy"), library.genre("History")
    draft = {**DRAFT, "isbn": "9780439023481", "series": "Panem", "description": "An arena.", "genre_ids": [str(genre)]}
    made = send(service, "POST", "/books", admin, draft)
    before, path = made.json()["data"], f"/books/{made.json()['data']['id']}"
    answer = send(service, "PUT", path, admin, {"title": "Ärger", "genre_ids": [str(other)]})
    after = answer.json()["data"]
    assert (answer.status_code, answer.json()["message"]) == (200, "Book changed")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"title", "genres", "updated_at"}
    assert [shown["name"] for shown in after["genres"]] == ["History"]
    assert answer.headers["etag"] != made.headers["etag"]
    assert service.get(path, headers={"If-None-Match": made.headers["etag"]}).status_code == 200
    assert service.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert library.run("SELECT title_key, author_key, series_key, description_key FROM books") == [
        ("arger", "suzanne collins", "panem", "an arena.")
    ]
    emptied = {"isbn": None, "series": None, "description": None, "genre_ids": []}
    empty = send(service, "PUT", path, admin, {**emptied, "author": "Émile Zola"}).json()["data"]
    assert [empty[name] for name in ("isbn", "series", "description", "genres")] == [None, None, None, []]
    assert library.run("SELECT title_key, author_key, series_key, description_key FROM books") == [
        ("arger", "emile zola", None, None)
    ]
    for q, total in (("arger", 1), ("zola", 1), ("hunger", 0), ("panem", 0), ("arena", 0)):
        assert service.get("/books/search", params={"q": q}).json()["pagination"]["total"] == total, q


def test_a_book_may_be_given_its_own_isbn_again(service: Service, library: Library, admin: Headers) -> None:
    book = library.book(isbn="9780439023481")
    assert send(service, "PUT", f"/books/{book}", admin, {"isbn": "0439023483"}).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_unknown_book_is_404(service: Service, admin: Headers, method: str) -> None:
    body = {"genre_ids": []} if method == "PUT" else None
    assert code(send(service, method, f"/books/{uuid.uuid4()}", admin, body)) == (404, "BOOK_NOT_FOUND")
    assert send(service, method, "/books/x", admin, body).status_code == 422


def test_nothing_sent_is_422(service: Service, library: Library, admin: Headers) -> None:
    book, genre = library.book(), library.genre("Fantasy")
    for path in (f"/books/{book}", f"/genres/{genre}"):
        assert codes(send(service, "PUT", path, admin, {})) == ["nothing_sent"]
        assert code(send(service, "PUT", path, admin)) == (422, "VALIDATION_ERROR")


def test_a_book_takes_what_was_said_of_it_along(service: Service, library: Library, admin: Headers) -> None:
    genre = library.genre("Fantasy")
    book, other = library.book("Gone", genres=[genre]), library.book("Stays")
    library.rated(book, 5, 4, 3)
    library.rated(other, 2)
    reader = library.readers[0]
    library.run("INSERT INTO favorites (user_id, book_id) VALUES (%s, %s)", reader, book)
    answer = send(service, "DELETE", f"/books/{book}", admin)
    assert (answer.status_code, answer.content) == (204, b"")
    assert library.run("SELECT book_id FROM reviews") == [(other,)]
    assert library.run("SELECT DISTINCT book_id FROM book_days") == [(other,)]
    assert library.run("SELECT count(*) FROM favorites") == library.run("SELECT count(*) FROM book_genres") == [(0,)]
    assert library.run("SELECT name FROM genres") == [("Fantasy",)]
    assert service.get(f"/books/{book}").status_code == 404
    assert send(service, "DELETE", f"/books/{book}", admin).status_code == 404


def test_genres_are_listed_by_name_with_their_numbers_of_books(service: Service, library: Library) -> None:
    poetry, epic, empty = library.genre("poetry"), library.genre("Épopée"), library.genre("Zen")
    library.book("One", genres=[poetry, epic])
    library.book("Two", genres=[poetry])
    with structlog.testing.capture_logs() as lines:
        body = service.get("/genres").json()
    assert [line["statements"] for line in lines if line["event"] == "request"] == [1]
    assert body["pagination"] is None
    assert [(g["id"], g["name"], g["book_count"]) for g in body["data"]] == [
        (str(epic), "Épopée", 1), (str(poetry), "poetry", 2), (str(empty), "Zen", 0),
    ]  # fmt: skip
    assert set(body["data"][0]) == {"id", "name", "description", "created_at", "book_count"}


def test_a_genre_is_added_changed_and_removed(service: Service, library: Library, admin: Headers) -> None:
    made = send(service, "POST", "/genres", admin, {"name": " Young   Adult ", "description": " Growing up. "})
    genre = made.json()["data"]
    assert (made.status_code, set(genre)) == (201, {"id", "name", "description", "created_at"})
    assert (genre["name"], genre["description"]) == ("Young Adult", "Growing up.")
    path = f"/genres/{genre['id']}"
    assert send(service, "PUT", path, admin, {"name": "YOUNG adult"}).json()["data"] == {**genre, "name": "YOUNG adult"}
    assert send(service, "PUT", path, admin, {"description": None}).json()["data"]["description"] is None
    assert library.run("SELECT name_key FROM genres") == [("young adult",)]
    book = library.book("Stays", genres=[uuid.UUID(genre["id"])])
    gone = send(service, "DELETE", path, admin)
    assert (gone.status_code, gone.content) == (204, b"")
    assert service.get(f"/books/{book}").json()["data"]["genres"] == []
    assert service.get("/genres").json()["data"] == []


def test_a_genre_s_name_is_unique_whatever_its_case(service: Service, library: Library, admin: Headers) -> None:
    library.genre("Épopée")
    other = library.genre("Other")
    for name in ("Épopée", "ÉPOPÉE", "  épopée "):
        for method, path in (("POST", "/genres"), ("PUT", f"/genres/{other}")):
            answer = send(service, method, path, admin, {"name": name})
            assert (code(answer), fields(answer)) == ((409, "GENRE_NAME_TAKEN"), ["name"])
    assert library.run("SELECT name FROM genres ORDER BY name_key") == [("Épopée",), ("Other",)]


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({"name": " "}, "name", "blank"),
        ({"name": "x" * 101}, "name", "string_too_long"),
        ({"name": "a\tb"}, "name", "control_character"),
        ({"name": None}, "name", "string_type"),
        ({"name": "Poetry", "description": "x" * 501}, "description", "string_too_long"),
        ({"name": "Poetry", "id": str(uuid.uuid4())}, "id", "extra_forbidden"),
    ],
)
def test_bad_genres_are_422(
    service: Service, library: Library, admin: Headers, body: Json, field: str, problem: str
) -> None:
    genre = library.genre("Fantasy")
    for method, path in (("POST", "/genres"), ("PUT", f"/genres/{genre}")):
        answer = send(service, method, path, admin, body)
        assert (code(answer), fields(answer), codes(answer)) == ((422, "VALIDATION_ERROR"), [field], [problem])
    assert library.run("SELECT name, description FROM genres") == [("Fantasy", None)]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_unknown_genre_is_404(service: Service, admin: Headers, method: str) -> None:
    body = {"name": "Poetry"} if method == "PUT" else None
    assert code(send(service, method, f"/genres/{uuid.uuid4()}", admin, body)) == (404, "GENRE_NOT_FOUND")


def test_a_book_that_is_reviewed_while_it_is_changed_and_removed_ends_in_peace(
    service: Service, library: Library, admin: Headers
) -> None:
    genres = [str(library.genre(f"Genre {place}")) for place in range(3)]
    books = library.books(6)
    headers, _ = service.signed_in()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        sent = []
        for place, book in enumerate(books):
            isbn = ("9780439023481", "9780439023498", "9780439023504")[place % 3]
            path = f"/books/{book}"
            sent += [
                threads.submit(send, service, "POST", f"{path}/reviews", headers, {"rating": 4}),
                threads.submit(send, service, "PUT", path, admin, {"isbn": isbn, "genre_ids": genres}),
                threads.submit(send, service, "PUT", path, admin, {"isbn": None, "genre_ids": genres[:1]}),
                threads.submit(send, service, "DELETE", path, admin)
                if place % 2
                else threads.submit(send, service, "DELETE", f"/genres/{genres[1 + place // 4]}", admin),
            ]
    statuses = {answer.result().status_code for answer in sent}
    assert statuses <= {200, 201, 204, 404, 409, 422}
    left = library.run("SELECT id FROM books ORDER BY id")
    assert {book for (book,) in left} == set(books[::2])
    assert library.run("SELECT count(*) FROM reviews") == library.run("SELECT sum(total_reviews) FROM books")
