"""How Postgres does what lists ask for, in a library large enough that it matters: the plan, not the clock."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast, get_args

import psycopg
import pytest

from data.database import connect
from data.loading import load
from data.sources.generator import Generator
from serving.books import schemas as book_schemas
from serving.books import service as books
from serving.books.schemas import BooksQuery
from serving.kit import paging
from serving.kit.auth import UserId
from serving.kit.db import Database, Row
from serving.kit.fields import SortOrder
from serving.recommendations import queries as recommendations
from serving.reviews import queries as reviews
from serving.reviews import schemas as review_schemas
from serving.users import queries as users

BOOKS, READERS, RATINGS = 5_000, 1_000, 30_000
GROWING: Final = frozenset({"books", "book_genres", "reviews", "users", "favorites", "book_days"})
MOST_SORTED: Final = 100  # rows; a page
BOTH: Final[tuple[SortOrder, ...]] = ("asc", "desc")
Json = dict[str, Any]
# Every reader reviews the most read book.
CROWD: Final = """
INSERT INTO reviews (user_id, book_id, rating)
SELECT u.id, b.id, 1 + abs(hashtext(u.email) % 5)
FROM users u, (SELECT id FROM books ORDER BY total_reviews DESC, id LIMIT 1) b
ON CONFLICT DO NOTHING
"""


class Step(NamedTuple):
    """One node of a plan, over all its runs."""

    kind: str
    table: str | None
    rows: float  # that it looked at, whether or not it kept them
    taken: float  # by this step from those below it


def steps(plan: Json) -> Iterator[Step]:
    below = plan.get("Plans", [])
    rows, *taken = (one["Actual Rows"] * one["Actual Loops"] for one in (plan, *below))
    left_out = plan.get("Rows Removed by Filter", 0) * plan["Actual Loops"]
    yield Step(plan["Node Type"], plan.get("Relation Name"), rows + left_out, sum(taken))
    for one in below:
        yield from steps(one)


class Explaining:
    """Runs statements as ``Database`` does, and keeps what was bad about how Postgres did it."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.seen: list[Step] = []

    async def rows(self, query: str, params: Mapping[str, object]) -> list[Row]:
        explained = self._connection.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query, params).fetchall()
        self.seen += steps(explained[0][0][0]["Plan"])
        return self._connection.execute(query, params).fetchall()

    async def row(self, query: str, params: Mapping[str, object]) -> Row | None:
        return next(iter(await self.rows(query, params)), None)

    def bad(self) -> list[Step]:
        """Whole tables read row by row, and sorts of more than a page."""
        return [
            step
            for step in self.seen
            if (step.kind == "Seq Scan" and step.table in GROWING and step.rows > 0)
            or ("Sort" in step.kind and step.taken > MOST_SORTED)
        ]


@pytest.fixture(scope="module")
def library(server_url: Callable[[str], str]) -> Iterator[psycopg.Connection]:
    """Written once, and only read."""
    name = f"test_plans_{id(server_url):x}"
    with connect(server_url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE brs_template")
        load(server_url(name), Generator(READERS, BOOKS, RATINGS, seed=1))
        with connect(server_url(name), autocommit=True) as connection:
            connection.execute(
                "INSERT INTO favorites (user_id, book_id) SELECT user_id, book_id FROM reviews ORDER BY id LIMIT 10000"
            )
            connection.execute(CROWD)
            connection.execute("VACUUM ANALYZE")
            yield connection
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def run(library: psycopg.Connection) -> Explaining:
    return Explaining(library)


def listed(run: Explaining, **query: object) -> Json:
    page = asyncio.run(books.page(cast("Database", run), BooksQuery.model_validate(query)))
    return dict(page.pagination)


@pytest.mark.parametrize("order", BOTH)
@pytest.mark.parametrize("sort", get_args(book_schemas.SortBy))
def test_every_order_of_books_is_an_index_s(run: Explaining, sort: str, order: str) -> None:
    first = listed(run, sort_by=sort, sort_order=order)
    assert first["total"] == BOOKS
    listed(run, sort_by=sort, sort_order=order, page=50)
    listed(run, sort_by=sort, sort_order=order, after=first["next_cursor"])
    assert run.seen
    assert run.bad() == []


@pytest.mark.parametrize("order", BOTH)
def test_a_cursor_among_books_without_a_rating_is_an_index_s(
    run: Explaining, library: psycopg.Connection, order: str
) -> None:
    [(unrated,)] = library.execute(
        "SELECT id::text FROM books WHERE average_rating IS NULL ORDER BY id OFFSET 30 LIMIT 1"
    ).fetchall()
    cursor = paging.encode(paging.Cursor(sort=f"books.average_rating.{order}", key=None, id=unrated))
    listed(run, sort_by="average_rating", sort_order=order, after=cursor)
    assert run.seen
    assert run.bad() == []


def test_what_few_books_have_is_found_without_reading_the_others(run: Explaining, library: psycopg.Connection) -> None:
    [(author,)] = library.execute("SELECT author FROM books ORDER BY id LIMIT 1").fetchall()
    assert 0 < listed(run, author=author)["total"] < MOST_SORTED
    assert run.bad() == []


@pytest.fixture
def crowded(library: psycopg.Connection) -> tuple[Any, int]:
    """The book with the most reviews, and how many they are."""
    [row] = library.execute("SELECT id, total_reviews FROM books ORDER BY total_reviews DESC, id LIMIT 1").fetchall()
    return row[0], row[1]


@pytest.mark.parametrize("rating", [None, 5])
@pytest.mark.parametrize("order", BOTH)
@pytest.mark.parametrize("sort", get_args(review_schemas.SortBy))
def test_every_order_of_a_book_s_reviews_is_an_index_s(
    run: Explaining, crowded: tuple[Any, int], sort: review_schemas.SortBy, order: SortOrder, rating: int | None
) -> None:
    book, total = crowded
    assert total == READERS
    listing = reviews.Listing(sort, order, rating is not None)
    rows = asyncio.run(reviews.page(run, listing, book, rating, limit=20, offset=0))
    assert len(rows) == 20
    place = (rows[-1].key, rows[-1].id)
    asyncio.run(reviews.after(run, listing, book, rating, limit=20, place=place))
    assert run.bad() == []
    assert all(step.rows <= MOST_SORTED for step in run.seen if step.table == "reviews")


def test_a_reader_s_own_lists_and_statistics_touch_only_what_is_theirs(
    run: Explaining, library: psycopg.Connection
) -> None:
    [(reader, own)] = library.execute(
        "SELECT user_id, count(*) FROM reviews GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1"
    ).fetchall()
    user = UserId(reader)
    for sort in get_args(review_schemas.SortBy):
        for order in BOTH:
            asyncio.run(reviews.of_reader(run, user, sort, order, limit=20, offset=0))
    asyncio.run(users.favorites(run, user, limit=20, offset=0))
    assert [step for step in run.seen if step.kind == "Seq Scan" and step.table in GROWING] == []
    assert [step for step in run.seen if step.table in {"reviews", "favorites"} and step.rows > own] == []


def test_one_book_is_found_by_indexes_alone(run: Explaining, crowded: tuple[Any, int]) -> None:
    asyncio.run(books.one(run, crowded[0]))
    assert run.bad() == []
    assert all(step.rows <= MOST_SORTED for step in run.seen)


def test_what_is_popular_is_found_among_the_most_read_and_is_the_same(
    run: Explaining, monkeypatch: pytest.MonkeyPatch
) -> None:
    def popular() -> list[object]:
        recommendations.ranking_statement.cache_clear()
        wanted = recommendations.ranking(
            cast("Database", run), genre=None, min_reviews=1, days_back=None, min_rating=None, depth=30
        )
        return [book for book, _ in asyncio.run(wanted)]

    # Of 20,000, which is all. Further down books change places: where the pipeline has not run, the mean of what was
    # counted is the prior.
    of_all = popular()
    run.seen.clear()
    fewer = recommendations._MOST_READ.replace("20000", "1000")
    monkeypatch.setattr(recommendations, "_MOST_READ", fewer)
    assert popular() == of_all
    assert [step.rows for step in run.seen if step.table == "books"] == [1000]
    recommendations.ranking_statement.cache_clear()


def test_what_is_popular_of_a_genre_is_found_among_its_most_read_and_is_the_same(
    run: Explaining, library: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    genres = "SELECT genre_id, count(*) FROM book_genres GROUP BY genre_id ORDER BY count(*) DESC, genre_id LIMIT 1"
    [(genre, books_of_genre)] = library.execute(genres).fetchall()
    assert books_of_genre > MOST_SORTED

    def popular() -> list[object]:
        recommendations.ranking_statement.cache_clear()
        wanted = recommendations.ranking(
            cast("Database", run), genre=genre, min_reviews=1, days_back=None, min_rating=None, depth=30
        )
        return [book for book, _ in asyncio.run(wanted)]

    of_all = popular()
    run.seen.clear()
    fewer = recommendations._OF_GENRE_ALL_TIME.replace("5000", "100")
    monkeypatch.setattr(recommendations, "_OF_GENRE_ALL_TIME", fewer)
    assert popular()[:5] == of_all[:5]  # further down they change places, as above
    assert 100 in [step.rows for step in run.seen if step.kind == "Limit"]
    recommendations.ranking_statement.cache_clear()


def test_the_watch_sees_what_is_bad(run: Explaining) -> None:
    asyncio.run(run.rows("SELECT id FROM books ORDER BY md5(title) LIMIT 5", {}))
    assert {step.kind for step in run.bad()} == {"Seq Scan", "Sort"}
