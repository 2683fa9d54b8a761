"""What the genre model proposes, seen and accepted by an administrator."""

import uuid

import pytest

from tests.serving.conftest import Library, Service

Headers = dict[str, str]


@pytest.fixture
def admin(service: Service, library: Library) -> Headers:
    headers, reader = service.signed_in("librarian@example.org")
    library.run("UPDATE users SET is_admin = true WHERE id = %s", reader)
    return headers


def propose(library: Library, book: uuid.UUID, **probabilities: float) -> dict[str, uuid.UUID]:
    genres = {name: library.genre(name) for name in probabilities}
    for name, genre in genres.items():
        library.run("INSERT INTO genre_proposals VALUES (%s, %s, %s)", book, genre, probabilities[name])
    return genres


def test_proposals_come_best_first_and_by_name_among_equals(service: Service, library: Library, admin: Headers) -> None:
    book, other = library.book("Emma"), library.book("Persuasion")
    genres = propose(library, book, Romance=0.5, Classics=0.9, Comedy=0.5)
    propose(library, other, Travel=0.99)
    answer = service.get(f"/books/{book}/genre-proposals", headers=admin)
    assert answer.status_code == 200
    assert answer.json()["data"] == [
        {"genre": {"id": str(genres[name]), "name": name}, "probability": probability}
        for name, probability in (("Classics", 0.9), ("Comedy", 0.5), ("Romance", 0.5))
    ]


def test_a_book_without_proposals_has_an_empty_list_and_an_unknown_one_none(
    service: Service, library: Library, admin: Headers
) -> None:
    answer = service.get(f"/books/{library.book('Emma')}/genre-proposals", headers=admin)
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    missing = service.get(f"/books/{uuid.uuid4()}/genre-proposals", headers=admin)
    assert (missing.status_code, missing.json()["errors"]["code"]) == (404, "BOOK_NOT_FOUND")
    assert service.get("/books/emma/genre-proposals", headers=admin).status_code == 422


def test_what_was_accepted_is_no_longer_proposed(service: Service, library: Library, admin: Headers) -> None:
    book = library.book("Emma")
    genres = propose(library, book, Romance=0.5, Classics=0.9)
    accepted = service.client.put(
        f"/api/v1/books/{book}", json={"genre_ids": [str(genres["Classics"])]}, headers=admin
    ).json()["data"]
    assert [genre["name"] for genre in accepted["genres"]] == ["Classics"]
    left = service.get(f"/books/{book}/genre-proposals", headers=admin).json()["data"]
    assert [proposal["genre"]["name"] for proposal in left] == ["Romance"]


def test_proposals_go_away_with_their_book_or_genre(service: Service, library: Library, admin: Headers) -> None:
    book, other = library.book("Emma"), library.book("Persuasion")
    genres = propose(library, book, Romance=0.5, Classics=0.9)
    library.run("INSERT INTO genre_proposals VALUES (%s, %s, 0.5)", other, genres["Romance"])
    for path in (f"/genres/{genres['Classics']}", f"/books/{other}"):
        assert service.client.delete(f"/api/v1{path}", headers=admin).status_code == 204
    assert library.run("SELECT book_id, genre_id FROM genre_proposals") == [(book, genres["Romance"])]
