import threading
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from data.database import connect
from data.publish import BookStatisticsRow, GenreProposalRow, publish_proposals, publish_statistics


def add_books(connection: psycopg.Connection, count: int) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    for book_id in ids:
        connection.execute(
            "INSERT INTO books (id, title, author, title_key, author_key) VALUES (%s, 't', 'a', 't', 'a')", (book_id,)
        )
    return ids


def row(book_id: UUID, mean: float = 4.0) -> BookStatisticsRow:
    return BookStatisticsRow(book_id, mean, mean - 0.5, mean + 0.5, 0.25, None, is_burst=False)


def published(connection: psycopg.Connection) -> dict[UUID, float]:
    return dict(connection.execute("SELECT book_id, shrunken_mean FROM book_statistics").fetchall())


def test_statistics_are_replaced_as_a_whole(db: psycopg.Connection, database_url: str) -> None:
    a, b, c = add_books(db, 3)
    publish_statistics(database_url, [row(a), row(b)], prior_mean=3.5, prior_weight=7)

    assert publish_statistics(database_url, [row(b, 2.0), row(c, 3.0)], prior_mean=3.6, prior_weight=8) == 2
    assert published(db) == {b: 2.0, c: 3.0}
    assert db.execute("SELECT prior_mean, prior_weight FROM library_statistics").fetchall() == [(3.6, 8.0)]


def test_a_row_that_breaks_the_rules_changes_nothing(db: psycopg.Connection, database_url: str) -> None:
    a, b = add_books(db, 2)
    publish_statistics(database_url, [row(a)], prior_mean=3.5, prior_weight=7)

    with pytest.raises(psycopg.errors.CheckViolation):
        publish_statistics(database_url, [row(a, 2.0), row(b, 6.0)], prior_mean=1.0, prior_weight=1)
    with pytest.raises(psycopg.errors.CheckViolation):
        publish_statistics(database_url, [row(b)], prior_mean=9.0, prior_weight=1)

    assert published(db) == {a: 4.0}
    assert db.execute("SELECT prior_mean FROM library_statistics").fetchall() == [(3.5,)]


def test_nobody_sees_half_of_it_while_it_is_published(db: psycopg.Connection, database_url: str) -> None:
    a, b = add_books(db, 2)
    publish_statistics(database_url, [row(a), row(b)], prior_mean=3.5, prior_weight=7)
    seen: list[dict[UUID, float]] = []

    def slowly() -> Iterator[BookStatisticsRow]:
        yield row(a, 2.0)
        seen.append(published(db))
        yield row(b, 2.0)
        seen.append(published(db))

    publish_statistics(database_url, slowly(), prior_mean=3.5, prior_weight=7)

    assert seen == [{a: 4.0, b: 4.0}] * 2
    assert published(db) == {a: 2.0, b: 2.0}


def test_books_deleted_since_the_extraction_are_left_out(db: psycopg.Connection, database_url: str) -> None:
    a, gone = add_books(db, 2)
    db.execute("DELETE FROM books WHERE id = %s", (gone,))

    assert publish_statistics(database_url, [row(a), row(gone)], prior_mean=3.5, prior_weight=7) == 1


def test_a_book_deleted_meanwhile_neither_deadlocks_nor_breaks_the_reference(
    db: psycopg.Connection, database_url: str
) -> None:
    a, doomed = add_books(db, 2)
    publish_statistics(database_url, [row(a), row(doomed)], prior_mean=3.5, prior_weight=7)
    failed: list[BaseException] = []

    def publish() -> None:
        try:
            publish_statistics(database_url, [row(a, 2.0), row(doomed, 2.0)], prior_mean=3.5, prior_weight=7)
        except psycopg.Error as exc:
            failed.append(exc)

    with connect(database_url) as other:
        other.execute("SELECT FROM books WHERE id = %s FOR UPDATE", (doomed,))
        publisher = threading.Thread(target=publish)
        publisher.start()
        publisher.join(timeout=0.5)
        assert publisher.is_alive()  # it waits for the book
        other.execute("DELETE FROM books WHERE id = %s", (doomed,))
    publisher.join()

    assert not failed
    assert published(db) == {a: 2.0}


def add_genres(connection: psycopg.Connection, count: int) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    for number, genre_id in enumerate(ids):
        connection.execute("INSERT INTO genres (id, name, name_key) VALUES (%s, %s, 'g')", (genre_id, f"g{number}"))
    return ids


def proposed(connection: psycopg.Connection) -> dict[tuple[UUID, UUID], float]:
    rows = connection.execute("SELECT book_id, genre_id, probability FROM genre_proposals").fetchall()
    return {(book, genre): probability for book, genre, probability in rows}


def test_proposals_are_replaced_as_a_whole(db: psycopg.Connection, database_url: str) -> None:
    (a, b), (g, h) = add_books(db, 2), add_genres(db, 2)
    assert publish_proposals(database_url, [GenreProposalRow(a, g, 0.9), GenreProposalRow(a, h, 0.5)]) == 2

    assert publish_proposals(database_url, [GenreProposalRow(b, g, 0.7)]) == 1
    assert proposed(db) == {(b, g): 0.7}
    with pytest.raises(psycopg.errors.CheckViolation):
        publish_proposals(database_url, [GenreProposalRow(a, g, 1.5)])
    assert proposed(db) == {(b, g): 0.7}
    assert publish_proposals(database_url, []) == 0
    assert proposed(db) == {}


def test_proposals_for_books_and_genres_deleted_since_are_left_out(db: psycopg.Connection, database_url: str) -> None:
    (a, gone), (g, lost) = add_books(db, 2), add_genres(db, 2)
    db.execute("DELETE FROM books WHERE id = %s", (gone,))
    db.execute("DELETE FROM genres WHERE id = %s", (lost,))
    rows = [GenreProposalRow(book, genre, 0.5) for book in (a, gone) for genre in (g, lost)]

    assert publish_proposals(database_url, rows) == 1
    assert proposed(db) == {(a, g): 0.5}


@pytest.mark.parametrize("table", ["books", "genres"])
def test_what_is_deleted_while_proposals_are_published_neither_deadlocks_nor_breaks_the_reference(
    db: psycopg.Connection, database_url: str, table: str
) -> None:
    books, genres = add_books(db, 2), add_genres(db, 2)
    doomed = {"books": books, "genres": genres}[table][1]
    rows = [GenreProposalRow(book, genre, 0.5) for book in books for genre in genres]
    publish_proposals(database_url, rows)
    failed: list[BaseException] = []

    def publish() -> None:
        try:
            publish_proposals(database_url, rows)
        except psycopg.Error as exc:
            failed.append(exc)

    with connect(database_url) as other:
        other.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE", (doomed,))
        publisher = threading.Thread(target=publish)
        publisher.start()
        publisher.join(timeout=0.5)
        assert publisher.is_alive()
        other.execute(f"DELETE FROM {table} WHERE id = %s", (doomed,))
    publisher.join()

    assert not failed
    assert len(proposed(db)) == 2
    assert not any(doomed in pair for pair in proposed(db))
