"""Loading rows of a source: what comes in, what stays, and that a failure leaves nothing behind."""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
import pytest
from psycopg import sql

from data import loading
from data.database import DatabaseUnavailable, connect
from data.loading import BookRow, FavoriteRow, GenreRow, ReaderRow, ReviewRow, SourceError, load

NOON = dt.datetime(2020, 5, 17, 12, tzinfo=dt.UTC)
TABLES = ("genres", "books", "book_genres", "users", "reviews", "favorites", "book_days")


def key(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"test/{name}")


def book(name: str, *, isbn: str | None = None, genres: tuple[str, ...] = ()) -> BookRow:
    genre_ids = tuple(key(genre) for genre in genres)
    return BookRow(key(name), name, "Åse Ödman", isbn, None, None, None, None, None, "en", genre_ids, NOON)


def reader(name: str, email: str | None = None) -> ReaderRow:
    return ReaderRow(key(name), email or f"{name}@test.invalid", "Reader", name, NOON)


def review(user: str, title: str, rating: int, *, minutes: int = 0) -> ReviewRow:
    at = NOON + dt.timedelta(minutes=minutes)
    return ReviewRow(key(f"{user}/{title}"), key(user), key(title), rating, None, at)


@dataclass(frozen=True)
class Rows:
    """A source from lists."""

    genre_rows: list[GenreRow] = field(default_factory=lambda: [GenreRow(key("Fantasy"), "Fantasy")])
    book_rows: list[BookRow] = field(default_factory=lambda: [book("One", genres=("Fantasy",)), book("Two")])
    reader_rows: list[ReaderRow] = field(default_factory=lambda: [reader("ann"), reader("bob")])
    review_rows: list[ReviewRow] = field(
        default_factory=lambda: [review("ann", "One", 5), review("bob", "One", 4, minutes=1), review("ann", "Two", 1)]
    )
    favorite_rows: list[FavoriteRow] = field(default_factory=lambda: [FavoriteRow(key("bob"), key("Two"), NOON)])
    origin: str = "sample"
    expected: dict[str, int] = field(default_factory=dict)

    def genres(self) -> Iterable[GenreRow]:
        return self.genre_rows

    def books(self) -> Iterable[BookRow]:
        return self.book_rows

    def readers(self) -> Iterable[ReaderRow]:
        return self.reader_rows

    def reviews(self) -> Iterable[ReviewRow]:
        return self.review_rows

    def favorites(self) -> Iterable[FavoriteRow]:
        return self.favorite_rows


def contents(db: psycopg.Connection) -> dict[str, list[str]]:
    """Every row of every loaded table, as text, so that "nothing changed" means nothing."""
    as_it_was = "to_jsonb(t) - 'changed_in'"  # which says when it was written, not what
    return {
        table: [row[0] for row in db.execute(f"SELECT ({as_it_was})::text FROM {table} AS t ORDER BY 1")]
        for table in TABLES
    }


def test_everything_comes_in_with_averages_and_sort_keys(database_url: str, db: psycopg.Connection) -> None:
    report = load(database_url, Rows())
    assert report.inserted == {"genres": 1, "books": 2, "readers": 2, "reviews": 3, "favorites": 1}
    assert report.seconds > 0
    one = db.execute(
        "SELECT average_rating::float8, total_reviews, stars_4, stars_5, author_key, updated_at"
        " FROM books WHERE id = %s",
        (key("One"),),
    ).fetchone()
    assert one == (4.5, 2, 1, 1, "ase odman", NOON)
    assert db.execute("SELECT book_id, genre_id FROM book_genres").fetchall() == [(key("One"), key("Fantasy"))]
    assert db.execute("SELECT created_at FROM reviews WHERE user_id = %s", (key("bob"),)).fetchall() == [
        (NOON + dt.timedelta(minutes=1),)
    ]


def test_nobody_can_sign_in_as_a_loaded_reader(database_url: str, db: psycopg.Connection) -> None:
    load(database_url, Rows())
    assert db.execute("SELECT DISTINCT password_hash, origin, is_admin FROM users").fetchall() == [
        (None, "sample", False)
    ]


def test_loading_twice_changes_nothing(database_url: str, db: psycopg.Connection) -> None:
    load(database_url, Rows())
    before = contents(db)
    assert set(load(database_url, Rows()).inserted.values()) == {0}
    assert contents(db) == before


def test_what_a_librarian_changed_outlives_the_next_load(database_url: str, db: psycopg.Connection) -> None:
    load(database_url, Rows())
    db.execute("DELETE FROM book_genres")
    db.execute("UPDATE genres SET name = 'Fantastic', name_key = 'fantastic'")
    db.execute("UPDATE books SET title = 'Uno', title_key = 'uno' WHERE id = %s", (key("One"),))
    before = contents(db)
    load(database_url, Rows())
    assert contents(db) == before


def test_a_deleted_book_comes_back_with_its_ratings(database_url: str, db: psycopg.Connection) -> None:
    load(database_url, Rows())
    before = contents(db)
    db.execute("DELETE FROM books WHERE id = %s", (key("One"),))
    assert load(database_url, Rows()).inserted == {"genres": 0, "books": 1, "readers": 0, "reviews": 2, "favorites": 0}
    assert contents(db) == before


def test_a_second_source_joins_genres_of_the_same_name_and_leaves_a_taken_isbn_empty(
    database_url: str, db: psycopg.Connection
) -> None:
    isbn = "9780439023481"
    load(database_url, Rows(book_rows=[book("One", isbn=isbn, genres=("Fantasy",)), book("Two")]))
    other = Rows(
        genre_rows=[GenreRow(key("other fantasy"), "FANTASY"), GenreRow(key("Crime"), "Crime")],
        book_rows=[book("Three", isbn=isbn, genres=("other fantasy", "Crime"))],
        reader_rows=[reader("cid")],
        review_rows=[review("cid", "Three", 3)],
        favorite_rows=[],
        origin="goodbooks",
    )
    assert load(database_url, other).inserted == {"genres": 1, "books": 1, "readers": 1, "reviews": 1, "favorites": 0}
    assert db.execute("SELECT isbn FROM books WHERE id = %s", (key("Three"),)).fetchone() == (None,)
    joined = db.execute("SELECT genre_id FROM book_genres WHERE book_id = %s", (key("Three"),)).fetchall()
    assert {row[0] for row in joined} == {key("Fantasy"), key("Crime")}
    assert set(load(database_url, other).inserted.values()) == {0}


def test_of_two_books_with_one_isbn_the_first_keeps_it(database_url: str, db: psycopg.Connection) -> None:
    isbn = "9780439023481"
    rows = Rows(book_rows=[book("One", isbn=isbn, genres=("Fantasy",)), book("Two", isbn=isbn)])
    load(database_url, rows)
    assert db.execute("SELECT id FROM books WHERE isbn = %s", (isbn,)).fetchall() == [(key("One"),)]
    assert set(load(database_url, rows).inserted.values()) == {0}


BROKEN = {
    "a rating of 9": (Rows(review_rows=[review("ann", "One", 5), review("bob", "One", 9)]), "rating_1_to_5"),
    "an unknown book": (Rows(review_rows=[review("ann", "Never", 5)]), "does not have"),
    "an unknown reader": (Rows(favorite_rows=[FavoriteRow(key("zoe"), key("One"), NOON)]), "does not have"),
    "an unknown genre": (Rows(book_rows=[book("One", genres=("Nonsense",)), book("Two")]), "genre_id"),
    "a NUL in a title": (Rows(book_rows=[book("One\0"), book("Two")]), "0x00"),
    "two readers with one e-mail": (
        Rows(reader_rows=[reader("ann", "x@y.invalid"), reader("bob", "X@y.invalid")]),
        "e-mail",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_row_is_one_clear_line_and_nothing_is_half_loaded(
    name: str, database_url: str, db: psycopg.Connection
) -> None:
    rows, words = BROKEN[name]
    with pytest.raises(SourceError, match=words) as caught:
        load(database_url, rows)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("sample: nothing was loaded")
    assert not any(contents(db).values())


def test_a_source_that_fails_on_the_way_leaves_nothing_behind(database_url: str, db: psycopg.Connection) -> None:
    class Damaged(Rows):
        def reviews(self) -> Iterator[ReviewRow]:
            yield review("ann", "One", 5)
            raise SourceError("ratings.csv, row 2: damaged")

    with pytest.raises(SourceError, match=r"ratings\.csv, row 2"):
        load(database_url, Damaged())
    assert not any(contents(db).values())


def test_an_email_that_a_registered_reader_has_is_named(database_url: str, db: psycopg.Connection) -> None:
    db.execute("INSERT INTO users (email, first_name, last_name) VALUES ('ANN@test.invalid', 'Ann', 'Other')")
    with pytest.raises(SourceError, match=r"ann@test\.invalid"):
        load(database_url, Rows())
    assert db.execute("SELECT count(*) FROM books").fetchone() == (0,)


def test_a_database_without_tables_says_what_to_run(clone: Callable[[str | None], str]) -> None:
    with pytest.raises(DatabaseUnavailable, match="brs migrate"):
        load(clone(None), Rows())


def test_a_database_out_of_reach_is_one_line() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        load("postgresql://postgres@127.0.0.1:1/brs", Rows())
    assert "\n" not in str(caught.value)


def test_many_books_come_in_slices_with_exact_averages(
    database_url: str, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "REVIEWS_PER_STATEMENT", 7)
    books = [book(f"b{n}") for n in range(20)]
    readers = [reader(f"r{n}") for n in range(15)]
    reviews = [review(f"r{r}", f"b{b}", 1 + (r * b) % 5) for r in range(15) for b in range(20) if (r + b) % 3]
    told: list[tuple[str, int, int | None]] = []
    rows = Rows(book_rows=books, reader_rows=readers, review_rows=reviews, favorite_rows=[], genre_rows=[])
    report = load(database_url, rows, lambda what, done, total: told.append((what, done, total)))
    assert report.inserted["reviews"] == len(reviews)
    slices = [done for what, done, _ in told if what == "storing reviews"]
    assert len(slices) > 10
    assert slices == sorted(slices)
    assert slices[-1] == len(reviews)
    wrong = db.execute(
        "WITH r AS (SELECT book_id, count(*) AS n, round(avg(rating), 2) AS mean FROM reviews GROUP BY 1)"
        " SELECT count(*) FROM books JOIN r ON r.book_id = books.id"
        " WHERE (total_reviews, average_rating) IS DISTINCT FROM (n, mean)"
    ).fetchone()
    assert wrong == (0,)


def test_progress_tells_what_is_read_and_of_how_many(database_url: str) -> None:
    told: list[tuple[str, int, int | None]] = []
    load(database_url, replace(Rows(), expected={"reviews": 3}), lambda *event: told.append(event))
    assert ("reading reviews", 3, 3) in told
    assert ("reading books", 2, None) in told


def test_a_second_load_waits_for_the_first(database_url: str, db: psycopg.Connection) -> None:
    waiting, told = threading.Event(), []

    def progress(what: str, done: int, total: int | None) -> None:
        told.append((what, done, total))
        if what == "waiting for another load":
            waiting.set()

    with connect(database_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (loading.LOCK,))
        other = threading.Thread(target=load, args=(database_url, Rows(), progress))
        other.start()
        assert waiting.wait(20)
        assert db.execute("SELECT count(*) FROM books").fetchone() == (0,)
        assert [what for what, _, _ in told] == ["waiting for another load"]
        holder.rollback()
    other.join(20)
    assert db.execute("SELECT count(*) FROM books").fetchone() == (2,)


def test_two_loads_at_once_both_succeed_and_agree(database_url: str, db: psycopg.Connection) -> None:
    reports: list[loading.LoadReport] = []
    threads = [threading.Thread(target=lambda: reports.append(load(database_url, Rows()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(report.inserted["reviews"] for report in reports) == [0, 3]
    assert db.execute("SELECT sum(total_reviews) FROM books").fetchone() == (3,)


def test_a_deadlock_is_tried_once_more(
    database_url: str, db: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[None] = []
    insert_reviews = loading._insert_reviews

    def first_a_victim(connection: psycopg.Connection, progress: loading.Progress) -> int:
        attempts.append(None)
        if len(attempts) == 1:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return insert_reviews(connection, progress)

    monkeypatch.setattr(loading, "_insert_reviews", first_a_victim)
    assert load(database_url, Rows()).inserted["reviews"] == 3
    assert len(attempts) == 2
    assert db.execute("SELECT count(*) FROM reviews").fetchone() == (3,)


def test_a_fresh_load_leaves_statistics_and_a_visibility_map_for_index_only_scans(
    database_url: str, db: psycopg.Connection
) -> None:
    # The tests' server commits asynchronously, and what is not yet on disk is not marked as visible.
    db.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(sql.Identifier(db.info.dbname)))
    load(database_url, Rows())
    row = db.execute("SELECT reltuples::int, relallvisible FROM pg_class WHERE relname = 'reviews'").fetchone()
    assert row == (3, 1)
