"""What was shown and what became of it, from real rows."""

import datetime as dt
import uuid

import psycopg
import pytest

from data.online import shown
from models.evaluation.proportion import wilson
from pipelines.online import table

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


class World:
    def __init__(self, db: psycopg.Connection) -> None:
        self.db = db

    def book(self, title: str) -> uuid.UUID:
        return self._id(
            "INSERT INTO books (title, author, title_key, author_key) VALUES (%s, 'A', 't', 'a') RETURNING id", title
        )

    def reader(self, name: str) -> uuid.UUID:
        return self._id(
            "INSERT INTO users (email, first_name, last_name) VALUES (%s, 'F', 'L') RETURNING id",
            f"{name}@readers.test",
        )

    def page(self, reader: uuid.UUID, version: str | None, at: dt.datetime, **sources: list[uuid.UUID]) -> uuid.UUID:
        page = self._id(
            "INSERT INTO served_pages (id, user_id, recommendation_type, model_name, model_version, created_at)"
            " VALUES (gen_random_uuid(), %s, 'personal', %s, %s, %s) RETURNING id",
            reader,
            "brs-recommender" if version else None,
            version,
            at,
        )
        picks = [(source, book) for source, books in sources.items() for book in books]
        for rank, (source, book) in enumerate(picks, 1):
            self.db.execute("INSERT INTO served_picks VALUES (%s, %s, %s, %s, 0.5)", (page, rank, book, source))
        return page

    def tell(self, page: uuid.UUID, book: uuid.UUID, event: str, at: dt.datetime) -> None:
        self.db.execute(
            "INSERT INTO feedback_events (page_id, book_id, event, created_at) VALUES (%s, %s, %s, %s)",
            (page, book, event, at),
        )

    def rate(self, reader: uuid.UUID, book: uuid.UUID, stars: int, at: dt.datetime) -> None:
        self.db.execute(
            "INSERT INTO reviews (user_id, book_id, rating, created_at) VALUES (%s, %s, %s, %s)",
            (reader, book, stars, at),
        )

    def _id(self, statement: str, *values: object) -> uuid.UUID:
        row = self.db.execute(statement, values).fetchone()  # type: ignore[call-overload]  # statements of this test
        assert row is not None
        return uuid.UUID(str(row[0]))


@pytest.fixture
def world(db: psycopg.Connection) -> World:
    return World(db)


def test_every_version_and_source_is_told_by_itself(world: World, database_url: str) -> None:
    ada, eve = world.reader("ada"), world.reader("eve")
    one, two, three, four = (world.book(title) for title in "abcd")
    old = NOW - 50 * DAY
    first = world.page(ada, "9", old, taste=[one, two], popular=[three])
    again = world.page(ada, "9", old + DAY, taste=[one])
    world.page(eve, "10", old, taste=[one])
    world.page(eve, None, NOW - DAY, popular=[two])
    world.page(eve, "10", NOW - 100 * DAY, taste=[four])  # before what is asked for
    for event in ("click", "read", "dismiss"):
        world.tell(first, one, event, old)
    world.tell(again, one, "click", old + DAY)
    world.rate(ada, one, 5, old + 29 * DAY)
    world.rate(ada, two, 2, old + DAY)
    world.rate(ada, three, 5, old + 31 * DAY)  # too late
    world.rate(eve, one, 5, old - DAY)  # before it was shown
    world.rate(eve, two, 5, NOW - DAY / 2)  # shown too lately to be counted

    found = shown(database_url, NOW - 90 * DAY, NOW)

    assert [row[1:] for row in found] == [
        ("10", "taste", 1, 1, 0, 0, 1, 0, 0),
        ("9", "taste", 2, 3, 2, 1, 2, 2, 1),
        ("9", "popular", 1, 1, 0, 0, 1, 0, 0),
        (None, "popular", 1, 1, 0, 0, 0, 0, 0),
    ]
    lines = table(found).splitlines()
    assert lines[2].split()[:6] == ["brs-recommender", "9", "taste", "2", "3", "2"]
    assert "66.7% [20.8%, 93.9%]" in lines[2]
    assert "50.0%" in lines[2]
    assert lines[4].split()[-2:] == ["-", "-"]


def test_nobody_was_shown_anything(world: World, database_url: str) -> None:
    world.page(world.reader("ada"), "1", NOW, taste=[world.book("a")])

    assert shown(database_url, NOW - 90 * DAY, NOW) == []


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (5, 10, 0.23659, 0.76341), (1, 100, 0.00177, 0.05449)],
)
def test_wilson_s_interval_is_that_of_the_tables(hits: int, n: int, low: float, high: float) -> None:
    """As R's ``prop.test(..., correct = FALSE)`` gives it."""
    assert wilson(hits, n) == pytest.approx((hits / n, low, high), abs=1e-5)
