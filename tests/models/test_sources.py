"""What every source promises, whoever asks: one suite, each source in it."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.affinity import Affinity
from models.chain import Source
from models.linear import Neighbours
from models.popular import Popular
from models.reader import Rating, Reader
from models.sources import ByGenre, NextInSeries, Stock
from models.starters import Starters
from models.taste import Taste

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BOOKS = 40
UNKNOWN = 10  # book numbers from BOOKS on, which no source knows

numbers = st.integers(0, BOOKS + UNKNOWN - 1)


@st.composite
def readers(draw: st.DrawFn, most_stars: int = 5) -> Reader:
    def books() -> frozenset[UUID]:
        return frozenset(UUID(int=number + 1) for number in draw(st.sets(numbers, max_size=8)))

    one = st.tuples(numbers, st.integers(1, most_stars), st.integers(0, 5))
    ratings = draw(st.lists(one, max_size=30))
    return Reader(
        tuple(Rating(UUID(int=number + 1), star, NOON + timedelta(days=day)) for number, star, day in ratings),
        muted=books(),
        hidden=books(),
    )


@pytest.fixture(params=["taste", "next_in_series", "genres", "starters", "starters_unread", "popular"])
def source(
    request: pytest.FixtureRequest,
    some_world: dict[str, Any],
    some_stock: Stock,
    some_neighbours: Neighbours,
    book: Callable[[int], UUID],
) -> Source:
    affinity = Affinity(some_stock.catalogue)
    made: dict[str, Callable[[], Source]] = {
        "taste": lambda: Taste(some_world),
        "next_in_series": lambda: NextInSeries(some_stock),
        "genres": lambda: ByGenre(some_stock, affinity),
        "starters": lambda: Starters(some_stock, affinity, some_neighbours),
        "starters_unread": lambda: Starters(some_stock, affinity),
        "popular": lambda: Popular([(book(row), 1 - row / BOOKS) for row in range(BOOKS)]),
    }
    return made[request.param]()


# A source keeps nothing from one reader to the next, so that one will do for all examples.
with_one_source = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@with_one_source
@given(reader=readers(), n=st.integers(0, BOOKS + 5), within=st.none() | st.frozensets(numbers))
def test_no_pick_is_ever_rated_hidden_repeated_or_not_asked_for(
    source: Source, reader: Reader, n: int, within: frozenset[int] | None
) -> None:
    allowed = None if within is None else frozenset(UUID(int=number + 1) for number in within)
    picked = [pick.book_id for pick in source.picks(reader, n, allowed)]
    assert len(picked) <= n
    assert len(set(picked)) == len(picked)
    assert not set(picked) & reader.barred
    assert allowed is None or set(picked) <= allowed
    assert all(book.int <= BOOKS for book in picked)


@with_one_source
@given(reader=readers(), n=st.integers(0, BOOKS + 5))
def test_scores_are_finite_in_zero_to_one_and_never_rise(source: Source, reader: Reader, n: int) -> None:
    scores = [pick.score for pick in source.picks(reader, n)]
    assert all(isfinite(score) and 0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)


@with_one_source
@given(reader=readers(), n=st.integers(1, BOOKS))
def test_the_same_reader_always_gets_the_same_and_a_shorter_list_is_its_beginning(
    source: Source, reader: Reader, n: int
) -> None:
    again = Reader(reader.ratings, reader.muted, reader.hidden)
    assert source.picks(reader, n) == source.picks(again, n)
    assert [p.book_id for p in source.picks(reader, n)] == [p.book_id for p in source.picks(reader, BOOKS)][:n]


@with_one_source
@given(reader=readers(), n=st.integers(1, BOOKS))
def test_reasons_name_only_unmuted_books_of_the_readers_own_with_shares_in_order(
    source: Source, reader: Reader, n: int
) -> None:
    for pick in source.picks(reader, n):
        assert pick.source == source.name
        named = [reason.book_id for reason in pick.because]
        assert len(named) <= 3
        assert set(named) <= reader.rated - reader.muted
        shares = [reason.share for reason in pick.because if reason.share is not None]
        assert all(0 < share <= 1 for share in shares)
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-9


@with_one_source
@given(reader=readers(), n=st.integers(0, BOOKS))
def test_books_that_a_source_does_not_know_change_nothing(source: Source, reader: Reader, n: int) -> None:
    known = tuple(rating for rating in reader.ratings if rating.book_id.int <= BOOKS)
    assert source.picks(reader, n) == source.picks(Reader(known, reader.muted, reader.hidden), n)


def test_a_reader_of_whom_nothing_is_known_gets_an_answer_without_reasons(source: Source) -> None:
    assert all(pick.because == () for pick in source.picks(Reader(), 5))


@pytest.mark.parametrize("source", ["next_in_series", "genres", "starters", "starters_unread"], indirect=True)
@with_one_source
@given(reader=readers(), n=st.integers(0, BOOKS))
def test_one_edition_of_a_work_a_list_and_none_of_a_work_that_is_rated_or_hidden(
    source: Source, some_stock: Stock, reader: Reader, n: int
) -> None:
    def works(books: Iterable[UUID]) -> list[int]:
        return [int(work) for work in some_stock.catalogue.work[some_stock.known(books)]]

    picked = works(pick.book_id for pick in source.picks(reader, n))
    assert len(set(picked)) == len(picked)
    assert not set(picked) & set(works(reader.barred))


@with_one_source
@given(reader=readers(most_stars=2))
def test_a_reader_with_only_dislikes_gets_nothing_from_taste(some_world: dict[str, Any], reader: Reader) -> None:
    assert Taste(some_world).picks(reader, 10) == []


@with_one_source
@given(reader=readers(most_stars=2))
def test_a_reader_with_only_dislikes_gets_nothing_by_series_or_genre(some_stock: Stock, reader: Reader) -> None:
    assert NextInSeries(some_stock).picks(reader, 10) == []
    assert ByGenre(some_stock, Affinity(some_stock.catalogue)).picks(reader, 10) == []


def test_popular_answers_with_its_ranking(someone: Callable[..., Reader], book: Callable[[int], UUID]) -> None:
    popular = Popular([(book(2), 0.9), (book(0), 0.5), (book(1), 0.5)])
    picks = popular.picks(someone((2, 5)), 5)
    assert [(pick.book_id, pick.score) for pick in picks] == [(book(0), 0.5), (book(1), 0.5)]


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [([0.5, 0.6], "best first"), ([1.5], r"0\.\.1"), ([float("nan")], r"0\.\.1"), ([-0.1], r"0\.\.1")],
)
def test_popular_refuses_a_ranking_that_would_break_its_promises(
    book: Callable[[int], UUID], scores: list[float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Popular([(book(row), score) for row, score in enumerate(scores)])


def test_popular_refuses_a_book_named_twice(book: Callable[[int], UUID]) -> None:
    with pytest.raises(ValueError, match="once"):
        Popular([(book(0), 1.0), (book(0), 1.0)])


def test_taste_breaks_ties_by_row(world: Callable[..., Any], someone: Callable[..., Reader]) -> None:
    alike = Taste(world(np.ones((30, 2))))
    assert [pick.book_id.int - 1 for pick in alike.picks(someone((4, 5)), 6)] == [0, 1, 2, 3, 5, 6]
