"""What nobody foresaw: a refusal of the database that no code knows is our failure, and is told as nothing else."""

import pytest
import structlog
from starlette.websockets import WebSocketDisconnect

from tests.serving.conftest import Library, Service


@pytest.fixture
def headers(service: Service, library: Library) -> dict[str, str]:
    signed_in, reader = service.signed_in()
    library.run("UPDATE users SET is_admin = true WHERE id = %s", reader)
    return signed_in


SAME = {"description": "Same"}
ACCOUNT = {"email": "b@example.org", "password": "Analytical-Engine-1843", "first_name": "B", "last_name": "Same"}
CASES = [
    ("genres (description)", "POST", "/genres", {"name": "B", **SAME}),
    ("books (description)", "POST", "/books", {"title": "B", "author": "B", **SAME}),
    ("users (last_name)", "PUT", "/users/profile", {"last_name": "Same"}),
    ("users (last_name)", "POST", "/auth/register", ACCOUNT),
    ("reviews (review_text)", "POST", "/books/{book}/reviews", {"rating": 5, "review_text": "Same words again"}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]} {case[2]}")
def test_an_unknown_constraint_is_500_and_keeps_nothing(
    service: Service, library: Library, headers: dict[str, str], case: tuple[str, str, str, dict[str, object]]
) -> None:
    columns, method, path, body = case
    book = library.book("A", description="Same")
    library.run("INSERT INTO genres (name, name_key, description) VALUES ('A', 'a', 'Same')")
    library.rate(library.reader(last="Same"), book, 5, text="Same words again")
    library.run(f"CREATE UNIQUE INDEX surprise ON {columns}")
    before = kept(library)
    with structlog.testing.capture_logs() as lines:
        answer = service.client.request(method, "/api/v1" + path.format(book=book), json=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"]) == (500, {"code": "INTERNAL_ERROR", "details": []})
    assert "surprise" not in answer.text
    assert "unexpected failure" in [line["event"] for line in lines]
    assert kept(library) == before
    assert service.get("/books").status_code == 200


def kept(library: Library) -> dict[str, list[tuple[object, ...]]]:
    tables = ("genres", "books", "users", "reviews")
    return {table: library.run(f"SELECT row_to_json(t)::text FROM {table} t ORDER BY t.id") for table in tables}


def test_a_websocket_is_turned_away(service: Service) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        service.client.websocket_connect("/api/v1/books", headers={"Host": "evil.example"}),
    ):
        pass
    assert service.get("/books").status_code == 200
