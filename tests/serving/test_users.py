"""One's own account: profile, numbers, favourites, export, deletion."""

import concurrent.futures
import datetime as dt
import uuid

import pytest
import structlog

from serving.kit.auth import CurrentReader, SessionId, UserId, current_reader
from tests.serving.conftest import PASSWORD, START, Json, Library, Service, bearer, codes, fields

BOOK = "/users/favorites/00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users/profile"),
        ("PUT", "/users/profile"),
        ("DELETE", "/users/profile"),
        ("GET", "/users/stats"),
        ("GET", "/users/favorites"),
        ("GET", BOOK),
        ("POST", BOOK),
        ("DELETE", BOOK),
        ("GET", "/users/export"),
        ("POST", "/users/import/goodreads"),
    ],
)
def test_anonymous_callers_are_asked_to_sign_in(service: Service, method: str, path: str) -> None:
    answer = service.client.request(method, "/api/v1" + path)
    assert (answer.status_code, answer.json()["errors"]["code"]) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_profile_is_the_user(service: Service) -> None:
    tokens = service.register()
    own = service.get("/users/profile", headers=bearer(tokens["access_token"])).json()
    assert own["data"] == tokens["user"]


def put(service: Service, headers: dict[str, str], **changes: object) -> tuple[int, Json]:
    answer = service.client.put("/api/v1/users/profile", json=changes, headers=headers)
    return answer.status_code, dict(answer.json())


def test_only_what_was_sent_changes(service: Service) -> None:
    tokens = service.register()
    headers = bearer(tokens["access_token"])
    status, body = put(service, headers, last_name=" King ")
    assert status == 200
    assert body["data"]["updated_at"] > tokens["user"]["updated_at"]
    expected = {**tokens["user"], "last_name": "King", "updated_at": body["data"]["updated_at"]}
    assert body["data"] == expected
    assert put(service, headers, email="Ada.King@Example.org")[1]["data"]["email"] == "ada.king@example.org"
    assert service.get("/auth/me", headers=headers).json()["data"]["email"] == "ada.king@example.org"
    login = {"email": "ada.king@example.org", "password": PASSWORD}
    assert service.post("/auth/login/json", json=login).status_code == 200


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({}, "body", "nothing_sent"),
        ({"first_name": None}, "first_name", "string_type"),
        ({"first_name": ""}, "first_name", "name_blank"),
        ({"last_name": "R2D2"}, "last_name", "name_invalid"),
        ({"email": None}, "email", "string_type"),
        ({"email": "x@mailinator.com"}, "email", "email_disposable"),
        ({"is_admin": True}, "is_admin", "extra_forbidden"),
        ({"password": PASSWORD}, "password", "extra_forbidden"),
    ],
)
def test_bad_changes_are_422(service: Service, changes: Json, field: str, code: str) -> None:
    headers, _ = service.signed_in()
    answer = service.client.put("/api/v1/users/profile", json=changes, headers=headers)
    assert (answer.status_code, fields(answer), codes(answer)) == (422, [field], [code])


def test_an_email_of_somebody_else_is_taken_and_ones_own_is_not(service: Service) -> None:
    headers, _ = service.signed_in("ada@example.org")
    service.signed_in("grace@example.org")
    status, body = put(service, headers, email="GRACE@example.org", first_name="Grace")
    assert (status, body["errors"]["code"]) == (409, "EMAIL_TAKEN")
    own = service.get("/users/profile", headers=headers).json()["data"]
    assert (own["email"], own["first_name"]) == ("ada@example.org", "Ada")
    assert put(service, headers, email="ADA@example.org")[0] == 200


def leave(service: Service, headers: dict[str, str], password: str = PASSWORD) -> tuple[int, str]:
    answer = service.client.request("DELETE", "/api/v1/users/profile", json={"password": password}, headers=headers)
    return answer.status_code, answer.text


def test_an_account_goes_with_everything_and_averages_follow(service: Service, library: Library) -> None:
    headers, reader = service.signed_in()
    keep, lose = library.books(2)
    library.rated(keep, 5)
    library.rate(reader, keep, 1, text="not for me at all")
    library.rate(reader, lose, 4)
    service.post(f"/users/favorites/{keep}", headers=headers)
    page = library.run(
        "INSERT INTO served_pages (user_id, recommendation_type) VALUES (%s, 'popular') RETURNING id", reader
    )[0][0]
    library.run("INSERT INTO feedback_events (page_id, book_id, event) VALUES (%s, %s, 'click')", page, keep)
    assert leave(service, headers) == (204, "")
    assert service.get("/auth/me", headers=headers).status_code == 401
    assert library.run("SELECT total_reviews, average_rating FROM books WHERE id = %s", keep) == [(1, 5)]
    assert library.run("SELECT total_reviews, average_rating FROM books WHERE id = %s", lose) == [(0, None)]
    for table in ("favorites", "served_pages", "feedback_events", "token_families", "refresh_tokens"):
        assert library.run(f"SELECT count(*) FROM {table}") == [(0,)], table
    assert library.run("SELECT count(*) FROM users WHERE id = %s", reader) == [(0,)]
    service.register()  # the address is free again


def test_a_wrong_password_deletes_nothing(service: Service) -> None:
    headers, _ = service.signed_in()
    status, text = leave(service, headers, "Not-My-Password-1")
    assert status == 403
    assert '"INVALID_CREDENTIALS"' in text
    assert "Not-My-Password-1" not in text
    assert service.get("/auth/me", headers=headers).status_code == 200
    assert service.client.delete("/api/v1/users/profile", headers=headers).status_code == 422


def test_stats_count_what_the_reader_did(service: Service, library: Library) -> None:
    headers, reader = service.signed_in()
    prose, verse = library.genre("Prose"), library.genre("Épique")
    books = [
        library.book("One", "Émile Zola", genres=[prose]),
        library.book("Two", "Emile Zola", genres=[prose, verse]),
        library.book("Three", "Jane Austen", genres=[verse]),
        library.book("Four", "Nobody Else"),
    ]
    for place, (book, stars) in enumerate(zip(books[:3], (5, 4, 4), strict=True)):
        library.rate(reader, book, stars, at=START + dt.timedelta(days=20 * place))
    library.rated(books[3], 1, 1)
    service.post(f"/users/favorites/{books[3]}", headers=headers)
    with structlog.testing.capture_logs() as lines:
        shown = service.get("/users/stats", headers=headers).json()["data"]
    assert [line["statements"] for line in lines] == [2]
    assert shown == {
        "total_reviews": 3,
        "average_rating": 4.33,
        "rating_distribution": {"1": 0, "2": 0, "3": 0, "4": 2, "5": 1},
        "total_favorites": 1,
        "top_genres": [
            {"id": str(verse), "name": "Épique", "count": 2},
            {"id": str(prose), "name": "Prose", "count": 2},
        ],
        "top_authors": [{"author": "Emile Zola", "count": 2}, {"author": "Jane Austen", "count": 1}],
        "reviews_per_month": [{"month": "2026-01", "count": 2}, {"month": "2026-02", "count": 1}],
        "member_since": service.get("/auth/me", headers=headers).json()["data"]["created_at"],
    }


def test_stats_of_a_new_reader_are_empty(service: Service) -> None:
    headers, _ = service.signed_in()
    shown = service.get("/users/stats", headers=headers).json()["data"]
    assert (shown["total_reviews"], shown["average_rating"]) == (0, None)
    assert shown["rating_distribution"] == {str(stars): 0 for stars in range(1, 6)}
    assert (shown["top_genres"], shown["top_authors"], shown["reviews_per_month"]) == ([], [], [])


def test_favorites_come_and_go_and_repeat_without_harm(service: Service, library: Library) -> None:
    book = library.book()
    headers, _ = service.signed_in()
    path = f"/users/favorites/{book}"

    def state() -> object:
        return service.get(path, headers=headers).json()["data"]

    def drop() -> tuple[int, str]:
        answer = service.client.delete("/api/v1" + path, headers=headers)
        return answer.status_code, answer.text

    assert state() == {"is_favorite": False}
    assert [service.post(path, headers=headers).status_code for _ in range(2)] == [201, 200]
    assert state() == {"is_favorite": True}
    assert [drop(), drop()] == [(204, ""), (204, "")]
    assert state() == {"is_favorite": False}


def test_of_many_additions_at_once_one_is_new(service: Service, library: Library) -> None:
    path = f"/users/favorites/{library.book()}"
    headers, _ = service.signed_in()
    with concurrent.futures.ThreadPoolExecutor() as threads:
        sent = [threads.submit(service.post, path, headers=headers) for _ in range(5)]
    assert sorted(answer.result().status_code for answer in sent) == [200, 200, 200, 200, 201]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_book_is_404_and_a_bad_id_422(service: Service, method: str) -> None:
    headers, _ = service.signed_in()
    unknown = service.client.request(method, f"/api/v1/users/favorites/{uuid.uuid4()}", headers=headers)
    assert (unknown.status_code, unknown.json()["errors"]["code"]) == (404, "BOOK_NOT_FOUND")
    bad = service.client.request(method, "/api/v1/users/favorites/1", headers=headers)
    assert (bad.status_code, fields(bad)) == (422, ["book_id"])


def test_favorites_are_listed_newest_first_in_two_statements_and_are_ones_own(
    service: Service, library: Library
) -> None:
    headers, _ = service.signed_in()
    stranger, _ = service.signed_in("grace@example.org")
    books = library.books(5)
    for book in books:
        service.post(f"/users/favorites/{book}", headers=headers)
    with structlog.testing.capture_logs() as lines:
        body = service.get("/users/favorites", params={"per_page": 3}, headers=headers).json()
    assert [line["statements"] for line in lines] == [2]
    assert [book["id"] for book in body["data"]] == [str(book) for book in books[:1:-1]]
    assert body["data"][0]["favorited_at"].endswith("Z")
    assert (body["pagination"]["total"], body["pagination"]["has_next"]) == (5, True)
    beyond = service.get("/users/favorites", params={"page": 9}, headers=headers).json()
    assert (beyond["data"], beyond["pagination"]["total"]) == ([], 5)
    assert service.get("/users/favorites", headers=stranger).json()["data"] == []
    assert service.get("/users/favorites", params={"per_page": 101}, headers=headers).status_code == 422


def test_the_export_holds_everything_of_the_caller_and_nothing_of_others(service: Service, library: Library) -> None:
    tokens = service.register()
    headers, reader = bearer(tokens["access_token"]), tokens["user"]["id"]
    stranger, stranger_id = service.signed_in("grace@example.org")
    own, others = library.book("Mine"), library.book("Theirs")
    library.rate(uuid.UUID(reader), own, 5, text="I read it in one night.")
    library.rate(stranger_id, others, 1, text="Nobody else may read this.")
    for person, book in ((headers, own), (stranger, others)):
        service.post(f"/users/favorites/{book}", headers=person)
    for table in ("muted_books", "hidden_books"):
        library.run(f"INSERT INTO {table} (user_id, book_id) VALUES (%s, %s)", reader, own)
    library.run("INSERT INTO reader_settings (user_id, enabled, diversity) VALUES (%s, false, 0.5)", reader)
    page = library.run(
        "INSERT INTO served_pages (user_id, recommendation_type, filters) VALUES (%s, 'popular', '{\"limit\": 1}')"
        " RETURNING id",
        reader,
    )[0][0]
    library.run("INSERT INTO served_picks VALUES (%s, 1, %s, 'popular', 0.5)", page, own)
    library.run("INSERT INTO feedback_events (page_id, book_id, event) VALUES (%s, %s, 'read')", page, own)
    library.run(
        "INSERT INTO idempotency_keys (user_id, key, request_hash, status, answer)"
        " VALUES (%s, 'key-1', sha256('x'), 201, '{}')",
        reader,
    )
    answer = service.get("/users/export", headers=headers)
    assert answer.headers["content-disposition"] == 'attachment; filename="brs-export.json"'
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["profile"]["email"] == "ada@example.org"
    assert [entry["review"]["review_text"] for entry in told["reviews"]] == ["I read it in one night."]
    for part in ("favorites", "muted_books", "hidden_books"):
        assert [entry["book_id"] for entry in told[part]] == [str(own)], part
    assert (told["settings"]["enabled"], told["settings"]["diversity"]) == (False, 0.5)
    assert [(p["page_id"], p["picks"][0]["book_id"]) for p in told["served_pages"]] == [(str(page), str(own))]
    assert [entry["event"] for entry in told["feedback"]] == ["read"]
    assert len(told["sessions"]) == 1
    assert len(told["sessions"][0]["refresh_tokens"]) == 1
    assert [entry["key"] for entry in told["idempotency_keys"]] == ["key-1"]
    for secret in ("argon2", "hash", tokens["refresh_token"], "grace@example.org", "Theirs", str(stranger_id)):
        assert secret not in answer.text, secret


def test_the_export_of_a_new_reader_is_complete(service: Service) -> None:
    headers, _ = service.signed_in()
    told = service.get("/users/export", headers=headers).json()
    assert set(told) == {
        "exported_at", "profile", "reviews", "favorites", "settings", "muted_books", "hidden_books", "served_pages",
        "feedback", "sessions", "idempotency_keys",
    }  # fmt: skip
    assert told["settings"] == {"enabled": True, "diversity": None, "updated_at": None}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/users/profile", {"json": {"first_name": "Ada"}}),
        ("DELETE", "/users/profile", {"json": {"password": PASSWORD}}),
        ("GET", "/users/stats", {}),
        ("GET", "/users/export", {}),
        ("POST", "/users/favorites/{book}", {}),
        ("POST", "/users/import/goodreads", {"files": {"file": b"Title,Author,ISBN,ISBN13,My Rating\nEmma,Me,,,5\n"}}),
    ],
)
def test_an_account_that_is_deleted_in_the_middle_of_a_request_is_401(
    service: Service, library: Library, overrides: dict[object, object], method: str, path: str, body: Json
) -> None:
    book = library.book("Emma", "Me")
    now = dt.datetime.now(dt.UTC)
    gone = CurrentReader(
        UserId(uuid.uuid4()), SessionId(uuid.uuid4()), "ada@example.org", "Ada", "Lovelace", True, False, now, now
    )
    overrides[current_reader] = lambda: gone
    answer = service.client.request(method, "/api/v1" + path.format(book=book), **body)
    assert (answer.status_code, answer.json()["errors"]["code"]) == (401, "UNAUTHORIZED")


def test_leaving_while_rating_leaves_no_trace(service: Service, library: Library) -> None:
    books = library.books(30)
    headers, _ = service.signed_in()
    rating = {"rating": 5}
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        sent = [threads.submit(service.post, f"/books/{b}/reviews", json=rating, headers=headers) for b in books]
        left = leave(service, headers)
    assert left == (204, "")
    assert {answer.result().status_code for answer in sent} <= {201, 401}
    assert library.run("SELECT count(*) FROM reviews") == [(0,)]
    assert library.run("SELECT sum(total_reviews), count(average_rating) FROM books") == [(0, 0)]
