"""Trending: what is rated more than its own past let expect."""

import datetime as dt
import time
import uuid
from typing import Any

import pytest
import structlog

from serving.recommendations import popularity
from tests.serving.conftest import Json, Library, Service, fields

PAST = range(31, 121)  # days ago
WINDOW = range(30)


def paced(library: Library, book: uuid.UUID, days: range, n: int, stars: int = 4) -> uuid.UUID:
    """``n`` ratings on each of these days (counted backwards from today)."""
    library.run(
        "INSERT INTO book_days (book_id, day, n, sum)"
        " SELECT %s, (statement_timestamp() AT TIME ZONE 'UTC')::date - d, %s, %s FROM unnest(%s::int[]) AS d",
        book,
        n,
        n * stars,
        list(days),
    )
    return book


def trending(service: Service, **query: object) -> list[Json]:
    answer = service.get("/recommendations/trending", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["recommendations"])


def titles(service: Service, **query: object) -> list[str]:
    return [pick["title"] for pick in trending(service, **query)]


@pytest.fixture
def crowd(library: Library) -> list[uuid.UUID]:
    """Books of an ordinary pace, one rating every five days."""
    made = library.books(20)
    for book in made:
        paced(library, book, range(1, 120, 5), 1)
    return made


def test_trending_has_its_shape(service: Service, library: Library, crowd: list[uuid.UUID]) -> None:
    data = service.get("/recommendations/trending", params={"limit": 3}).json()["data"]
    assert (data["recommendation_type"], data["total"], data["limit"]) == ("trending", 3, 3)
    assert (data["page_id"], data["model"], data["degraded"]) == (None, None, False)
    assert data["filters"] == {"days_back": 30, "min_reviews_in_period": 3}
    assert {pick["source"] for pick in data["recommendations"]} == {"trending"}
    scores = [pick["score"] for pick in data["recommendations"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert len(trending(service)) == 20
    for path in ("?limit=1", "?limit=1"):
        first = service.get(f"/recommendations/trending{path}").json()["data"]["recommendations"]
    assert first == data["recommendations"][:1]


def test_a_steady_bestseller_does_not_lead_and_a_rising_book_does(
    service: Service, library: Library, crowd: list[uuid.UUID]
) -> None:
    bestseller, rising = library.book("Bestseller"), library.book("Rising")
    paced(library, bestseller, range(120), 40)
    paced(library, rising, range(35, 120, 10), 1)
    paced(library, rising, range(20), 1)
    shown = trending(service, limit=100)
    assert shown[0]["title"] == "Rising"
    assert shown[0]["score"] > 0.6
    assert [pick["score"] for pick in shown if pick["title"] == "Bestseller"] < [0.52]


def test_a_bestseller_s_ordinary_month_is_no_sensation(
    service: Service, library: Library, crowd: list[uuid.UUID]
) -> None:
    """A fifth more of 1200 ratings would be seven deviations, if a book's pace never changed."""
    paced(library, paced(library, library.book("Bestseller"), PAST, 40), WINDOW, 48)
    paced(library, paced(library, library.book("Rising"), range(35, 120, 10), 1), range(12), 1)
    assert titles(service)[0] == "Rising"


def test_a_busy_month_is_not_a_rise_of_every_book(service: Service, library: Library) -> None:
    """All are rated three times as often, one of them six times."""
    for place in range(10):
        paced(library, paced(library, library.book(f"Book {place}"), PAST, place + 1), WINDOW, 3 * (place + 1))
    paced(library, paced(library, library.book("Rising"), PAST, 1), WINDOW, 6)
    shown = trending(service)
    assert shown[0]["title"] == "Rising"
    assert all(pick["score"] < 0.6 for pick in shown[1:])


def test_a_falling_book_is_not_listed(service: Service, library: Library, crowd: list[uuid.UUID]) -> None:
    paced(library, paced(library, library.book("Falling"), PAST, 10), WINDOW, 1)
    assert "Falling" not in titles(service, limit=100)


def test_a_new_book_is_compared_with_the_typical_one(
    service: Service, library: Library, crowd: list[uuid.UUID]
) -> None:
    paced(library, library.book("New and loved"), range(5), 8)
    paced(library, library.book("New"), range(2, 8), 1)
    shown = titles(service, limit=100)
    assert shown[0] == "New and loved"
    assert shown.index("New") > 0


def test_a_book_that_wakes_after_years_is_no_new_book(
    service: Service, library: Library, crowd: list[uuid.UUID]
) -> None:
    paced(library, paced(library, library.book("Awake"), range(900, 902), 1), range(10), 1)
    paced(library, library.book("New"), range(10), 1)
    shown = trending(service, limit=100)
    assert [pick["title"] for pick in shown[:2]] == ["Awake", "New"]


def test_everybody_s_anger_is_no_recommendation(service: Service, library: Library, crowd: list[uuid.UUID]) -> None:
    for title, stars in (("Bombed", 1), ("Liked", 4)):
        paced(library, paced(library, library.book(title), range(35, 120, 10), 1), range(10), 3, stars)
    shown = titles(service, limit=100)
    assert shown[0] == "Liked"
    assert shown.index("Bombed") > 0


def test_a_flagged_burst_cannot_outrank_a_solid_rise(
    service: Service, library: Library, crowd: list[uuid.UUID]
) -> None:
    burst = library.book("Campaign")
    paced(library, paced(library, burst, range(35, 120, 10), 1), range(3), 100)
    library.run(
        "INSERT INTO book_statistics"
        " (book_id, shrunken_mean, interval_low, interval_high, ratings_per_day, trend, is_burst)"
        " VALUES (%s, 4, 3, 5, 1, 1, true)",
        burst,
    )
    paced(library, paced(library, library.book("Rising"), range(35, 120, 10), 1), range(20), 1)
    assert titles(service)[:2] == ["Rising", "Campaign"]


def test_reviews_of_the_period_are_what_counts(service: Service, library: Library) -> None:
    now = dt.datetime.now(dt.UTC)
    few, enough = library.book("Few"), library.book("Enough")
    readers = [library.reader() for _ in range(4)]
    for reader in readers[:2]:
        library.rate(reader, few, 5)
        library.rate(reader, enough, 5)
    library.rate(readers[2], few, 5, at=now - dt.timedelta(days=32))
    library.rate(readers[2], enough, 5, at=now - dt.timedelta(days=29))
    assert titles(service) == ["Enough"]
    assert set(titles(service, min_reviews_in_period=2)) == {"Few", "Enough"}
    assert titles(service, days_back=1, min_reviews_in_period=3) == []
    assert set(titles(service, days_back=40)) == {"Few", "Enough"}


def test_from_none_to_three_is_less_than_a_hundred_more(
    service: Service, library: Library, crowd: list[uuid.UUID]
) -> None:
    paced(library, paced(library, library.book("Seldom"), range(900, 901), 1), range(3), 1)
    paced(library, paced(library, library.book("Often"), range(31, 121), 3), WINDOW, 7)
    assert titles(service)[:2] == ["Often", "Seldom"]


def test_without_any_past_the_most_rated_leads(service: Service, library: Library) -> None:
    for n in (3, 9, 5):
        paced(library, library.book(f"{n} ratings"), range(n), 1)
    assert titles(service) == ["9 ratings", "5 ratings", "3 ratings"]


def test_an_empty_library_trends_nowhere(service: Service, library: Library) -> None:
    library.book()
    assert trending(service) == []


def test_trending_is_computed_once_a_minute(
    service: Service, library: Library, crowd: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr("serving.recommendations.popularity.time.monotonic", lambda: now)
    with structlog.testing.capture_logs() as lines:
        before = titles(service)
        assert titles(service) == before
    assert [line["statements"] for line in lines if line["event"] == "request"] == [2, 0]
    paced(library, library.book("New"), range(10), 9)
    now += popularity.FRESH_SECONDS
    assert titles(service)[0] == "New"


def test_a_signed_in_reader_s_page_is_stored(service: Service, library: Library, crowd: list[uuid.UUID]) -> None:
    headers, reader = service.signed_in()
    data: Any = service.get("/recommendations/trending", params={"limit": 2}, headers=headers).json()["data"]
    until = time.monotonic() + 5
    stored: list[tuple[Any, ...]] = []
    while not stored and time.monotonic() < until:
        time.sleep(0.05)
        stored = library.run("SELECT id::text, user_id, recommendation_type, filters FROM served_pages")
    assert stored == [(data["page_id"], reader, "trending", data["filters"])]
    assert library.run("SELECT book_id::text FROM served_picks ORDER BY rank") == [
        (pick["id"],) for pick in data["recommendations"]
    ]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"days_back": 0}, {"days_back": 366}, {"min_reviews_in_period": -1}]
)
def test_bad_trending_queries_are_422(service: Service, query: Json) -> None:
    answer = service.get("/recommendations/trending", params=query)
    assert (answer.status_code, fields(answer)) == (422, list(query))
