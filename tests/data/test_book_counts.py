"""The triggers: averages, star counts and book_days equal a recount, whoever wrote, however many at once."""

import datetime as dt
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from data.database import connect

COUNTS = "SELECT id, average_rating, total_reviews, stars_1, stars_2, stars_3, stars_4, stars_5 FROM books ORDER BY id"
RECOUNT = """
SELECT b.id, round(avg(r.rating), 2), count(r.rating),
       count(*) FILTER (WHERE rating = 1), count(*) FILTER (WHERE rating = 2), count(*) FILTER (WHERE rating = 3),
       count(*) FILTER (WHERE rating = 4), count(*) FILTER (WHERE rating = 5)
FROM books AS b LEFT JOIN reviews AS r ON r.book_id = b.id GROUP BY b.id ORDER BY b.id"""
DAYS = "SELECT book_id, day, n, sum FROM book_days ORDER BY 1, 2"
RECOUNTED_DAYS = """
SELECT book_id, (created_at AT TIME ZONE 'UTC')::date, count(*), sum(rating) FROM reviews GROUP BY 1, 2 ORDER BY 1, 2"""


def books(db: psycopg.Connection, n: int) -> list[uuid.UUID]:
    ids = [uuid.uuid4() for _ in range(n)]
    for book in ids:
        db.execute(
            "INSERT INTO books (id, title, author, title_key, author_key) VALUES (%s, 'T', 'A', 't', 'a')", (book,)
        )
    return ids


def readers(db: psycopg.Connection, n: int) -> list[uuid.UUID]:
    ids = [uuid.uuid4() for _ in range(n)]
    for reader in ids:
        db.execute(
            "INSERT INTO users (id, email, first_name, last_name) VALUES (%s, %s, 'A', 'B')", (reader, str(reader))
        )
    return ids


def assert_exact(db: psycopg.Connection) -> None:
    assert db.execute(COUNTS).fetchall() == db.execute(RECOUNT).fetchall()
    assert db.execute(DAYS).fetchall() == db.execute(RECOUNTED_DAYS).fetchall()


def rate(db: psycopg.Connection, reader: uuid.UUID, book: uuid.UUID, stars: int) -> None:
    db.execute("INSERT INTO reviews (user_id, book_id, rating) VALUES (%s, %s, %s)", (reader, book, stars))


def test_counts_follow_insert_update_and_delete(db: psycopg.Connection) -> None:
    (book, other), (ada, ben) = books(db, 2), readers(db, 2)
    rate(db, ada, book, 5)
    rate(db, ben, book, 2)
    rate(db, ben, other, 4)
    assert [row[1] for row in db.execute(COUNTS) if row[0] == book] == [3.5]
    assert_exact(db)
    db.execute("UPDATE reviews SET rating = 1 WHERE user_id = %s", (ben,))
    assert_exact(db)
    db.execute("UPDATE reviews SET book_id = %s WHERE user_id = %s", (other, ada))
    assert_exact(db)
    db.execute("UPDATE reviews SET created_at = created_at - interval '3 days'")
    assert_exact(db)
    db.execute("DELETE FROM reviews WHERE user_id = %s", (ben,))
    assert_exact(db)


def test_the_last_review_taken_away_leaves_no_average_and_no_day(db: psycopg.Connection) -> None:
    (book,), (ada,) = books(db, 1), readers(db, 1)
    rate(db, ada, book, 3)
    db.execute("DELETE FROM reviews")
    assert db.execute("SELECT average_rating, total_reviews FROM books").fetchall() == [(None, 0)]
    assert db.execute(DAYS).fetchall() == []


def test_counts_follow_a_cascade_from_a_reader_and_from_a_book(db: psycopg.Connection) -> None:
    shelf, people = books(db, 5), readers(db, 4)
    for reader in people:
        for book in shelf:
            rate(db, reader, book, random.Random(str(book)).randint(1, 5))
    db.execute("DELETE FROM users WHERE id = %s", (people[0],))
    assert_exact(db)
    db.execute("DELETE FROM books WHERE id = %s", (shelf[0],))
    assert_exact(db)
    assert db.execute("SELECT count(*) FROM reviews").fetchone() == (3 * 4,)


def test_a_bulk_load_counts_once_a_statement(db: psycopg.Connection) -> None:
    shelf, people = books(db, 20), readers(db, 50)
    rng = random.Random(7)
    start = dt.datetime(2025, 1, 1, 23, 30, tzinfo=dt.UTC)
    with db.cursor().copy("COPY reviews (user_id, book_id, rating, created_at) FROM STDIN") as copy:
        for reader in people:
            for book in rng.sample(shelf, 12):
                copy.write_row((reader, book, rng.randint(1, 5), start + dt.timedelta(minutes=rng.randint(0, 90))))
    assert_exact(db)


def test_writers_at_once_leave_exact_counts(db: psycopg.Connection, database_url: str) -> None:
    shelf, people = books(db, 8), readers(db, 24)

    def write(reader: uuid.UUID) -> None:
        rng = random.Random(str(reader))
        with connect(database_url, autocommit=True) as mine:
            for book in rng.sample(shelf, len(shelf)):
                rate(mine, reader, book, rng.randint(1, 5))
            for _ in range(20):
                book = rng.choice(shelf)
                mine.execute(
                    "UPDATE reviews SET rating = %s WHERE user_id = %s AND book_id = %s",
                    (rng.randint(1, 5), reader, book),
                )
            mine.execute("DELETE FROM reviews WHERE user_id = %s AND book_id = ANY(%s)", (reader, shelf[:2]))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, people))
    assert_exact(db)


def test_statements_that_touch_many_books_do_not_deadlock(db: psycopg.Connection, database_url: str) -> None:
    shelf, people = books(db, 30), readers(db, 8)

    def write(reader: uuid.UUID) -> None:
        order = random.Random(str(reader)).sample(shelf, len(shelf))
        with connect(database_url, autocommit=True) as mine:
            for _ in range(3):
                mine.cursor().execute(
                    "INSERT INTO reviews (user_id, book_id, rating)"
                    " SELECT %s, b, 4 FROM unnest(%s::uuid[]) AS b ORDER BY b",
                    (reader, order),
                )
                mine.execute("DELETE FROM reviews WHERE user_id = %s", (reader,))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, people))
    assert_exact(db)


def test_truncate_is_refused_because_counts_could_not_follow(db: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="use DELETE"):
        db.execute("TRUNCATE reviews CASCADE")


@pytest.mark.parametrize("stars", [0, 6, -1])
def test_the_database_refuses_stars_outside_1_to_5(db: psycopg.Connection, stars: int) -> None:
    (book,), (ada,) = books(db, 1), readers(db, 1)
    with pytest.raises(psycopg.errors.CheckViolation, match="rating_1_to_5"):
        rate(db, ada, book, stars)


def test_the_database_refuses_a_second_review_and_an_e_mail_in_other_case(db: psycopg.Connection) -> None:
    (book,), (ada,) = books(db, 1), readers(db, 1)
    rate(db, ada, book, 3)
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_reviews_user_id_book_id"):
        rate(db, ada, book, 4)
    db.execute("INSERT INTO users (email, first_name, last_name) VALUES ('Ada@example.org', 'A', 'B')")
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_users_email_lower"):
        db.execute("INSERT INTO users (email, first_name, last_name) VALUES ('ada@EXAMPLE.org', 'A', 'B')")
