from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reader import Pick, Reader
from models.sources import NextInSeries, Stock

Book = Callable[[int], UUID]
Someone = Callable[..., Reader]
Stocked = Callable[..., Stock]


def volume(position: float, series: int = 0, **more: object) -> dict[str, Any]:
    return {"series": series, "position": position, "author": series, **more}


def numbers(picks: list[Pick]) -> list[int]:
    return [pick.book_id.int - 1 for pick in picks]


@pytest.fixture(scope="session")
def trilogy(stocked: Stocked) -> NextInSeries:
    """Books 0 to 2 are volumes 1 to 3, book 3 stands alone."""
    return NextInSeries(stocked(volume(1), volume(2), volume(3), {}))


@pytest.mark.parametrize(
    ("read", "following"),
    [
        ([0], [1]),
        ([0, 1], [2]),
        ([1, 0], [2]),
        ([2], [0]),  # never volume 3 before 1, nor what comes after it
        ([1], [0]),
        ([0, 2], []),  # there is none after the furthest
        ([0, 1, 2], []),
        ([3], []),
        ([], []),
    ],
)
def test_the_next_volume_follows_the_furthest_read_and_volume_one_comes_first(
    trilogy: NextInSeries, someone: Someone, read: list[int], following: list[int]
) -> None:
    assert numbers(trilogy.picks(someone(*((number, 5) for number in read)), 5)) == following


@pytest.mark.parametrize(("stars", "following"), [(1, []), (2, []), (3, []), (4, [1]), (5, [1])])
def test_a_series_goes_on_when_a_volume_was_liked(
    trilogy: NextInSeries, someone: Someone, stars: int, following: list[int]
) -> None:
    assert numbers(trilogy.picks(someone((0, stars)), 5)) == following


def test_a_disliked_last_volume_ends_a_series_a_middling_one_does_not(trilogy: NextInSeries, someone: Someone) -> None:
    assert trilogy.picks(someone((0, 5), (1, 2)), 5) == []
    assert trilogy.picks(someone((1, 2), (0, 5)), 5) == []  # furthest on, though not rated last
    assert numbers(trilogy.picks(someone((0, 5), (1, 3)), 5)) == [2]
    assert numbers(trilogy.picks(someone((0, 2), (1, 4)), 5)) == [2]


def test_a_muted_volume_is_read_but_nothing_is_judged_by_it(
    trilogy: NextInSeries, someone: Someone, book: Book
) -> None:
    assert trilogy.picks(someone((0, 5), muted=(0,)), 5) == []
    (after_both,) = trilogy.picks(someone((0, 5), (1, 1), muted=(1,)), 5)
    assert after_both.book_id == book(2)
    assert [reason.book_id for reason in after_both.because] == [book(0)]


def test_a_hidden_next_volume_ends_a_series_but_a_hidden_first_one_is_taken_as_known(
    trilogy: NextInSeries, someone: Someone
) -> None:
    assert trilogy.picks(someone((0, 5), hidden=(1,)), 5) == []
    assert numbers(trilogy.picks(someone((1, 5), hidden=(0,)), 5)) == [2]


def test_outside_of_within_nothing_is_picked_and_no_volume_skipped(
    trilogy: NextInSeries, someone: Someone, book: Book
) -> None:
    assert trilogy.picks(someone((0, 5)), 5, frozenset({book(2)})) == []
    assert numbers(trilogy.picks(someone((0, 5)), 5, frozenset({book(1), book(2)}))) == [1]


@pytest.mark.parametrize(
    ("positions", "read", "following"),
    [
        ((1, 1.5, 2), [0], [2]),
        ((1, 1.5), [0], [1]),  # there is no whole one
        ((1, 1.5, 2.5), [0], [1]),
        ((1, 1.5, 2.5), [0, 1], [2]),
        ((1, 1.5), [0, 1], []),
        ((1, 1.5, 2), [0, 1], [2]),
        ((0.5, 1), [0], [1]),
        ((0, 1, 2), [0], [1]),
        ((0, 1, 2), [1], [2]),
        ((1, 1.5, 2, 2.5), [0, 2], [3]),
        ((1, 2, -1), [0, 1], []),  # a collection without a number is never next
        ((1, 2, -1), [2], []),  # and of whoever has read that, nobody knows where they are
        ((2, 3, 5), [1], [2]),  # what the library does not have is not waited for
    ],
)
def test_halves_come_only_when_no_whole_volume_does(
    stocked: Stocked, someone: Someone, positions: tuple[float, ...], read: list[int], following: list[int]
) -> None:
    source = NextInSeries(stocked(*map(volume, positions)))
    assert numbers(source.picks(someone(*((number, 5) for number in read)), 5)) == following


def test_an_edition_read_is_the_work_read_and_of_the_next_one_there_is_one_edition(
    stocked: Stocked, someone: Someone
) -> None:
    source = NextInSeries(
        stocked(
            volume(1, work=1),
            volume(1, work=1, raters=99),
            volume(2, work=2, raters=5),
            volume(2, work=2, raters=50),
            volume(3, work=3),
        )
    )
    assert numbers(source.picks(someone((0, 5)), 5)) == [3]
    assert numbers(source.picks(someone((0, 5), (2, 5)), 5)) == [4]
    assert source.picks(someone((0, 5), hidden=(2,)), 5) == []


def test_the_next_volume_is_in_the_language_of_the_one_before_where_there_is_a_choice(
    stocked: Stocked, someone: Someone
) -> None:
    source = NextInSeries(stocked(volume(1, language=1), volume(2, language=0, raters=9), volume(2, language=1)))
    assert numbers(source.picks(someone((0, 5)), 5)) == [2]
    only_another = NextInSeries(stocked(volume(1, language=1), volume(2, language=0)))
    assert numbers(only_another.picks(someone((0, 5)), 5)) == [1]


def test_series_come_by_liking_and_by_how_lately_they_were_read(stocked: Stocked, someone: Someone) -> None:
    source = NextInSeries(stocked(*(volume(place, series) for series in range(2) for place in (1, 2)), {}))
    assert numbers(source.picks(someone((0, 5), (2, 5)), 5)) == [3, 1]
    assert numbers(source.picks(someone((2, 5), (0, 5)), 5)) == [1, 3]
    assert numbers(source.picks(someone((0, 5), (2, 4)), 5)) == [1, 3]
    one = source.picks(someone((0, 4)), 5)[0].score
    assert one == pytest.approx(0.75)
    assert source.picks(someone((0, 4), (4, 5)), 5)[0].score == pytest.approx(0.75 * 2**-0.3)


def test_the_reasons_are_the_readers_volumes_of_the_series_newest_first_without_shares(
    stocked: Stocked, someone: Someone, book: Book
) -> None:
    source = NextInSeries(stocked(*map(volume, range(1, 7)), {}))
    (pick,) = source.picks(someone((0, 4), (1, 3), (2, 5), (3, 4), (6, 5)), 5)
    assert pick.source == "next_in_series"
    assert [(reason.book_id, reason.share) for reason in pick.because] == [
        (book(3), None),
        (book(2), None),
        (book(1), None),
    ]


@settings(deadline=None)
@given(
    read=st.lists(st.tuples(st.integers(0, 39), st.integers(1, 5)), max_size=15, unique_by=lambda rating: rating[0]),
    hidden=st.sets(st.integers(0, 39), max_size=5),
)
def test_never_a_volume_before_an_unread_first_one_nor_one_at_or_before_what_is_read(
    some_stock: Stock, someone: Someone, read: list[tuple[int, int]], hidden: set[int]
) -> None:
    catalogue = some_stock.catalogue
    reader = someone(*read, hidden=tuple(hidden))
    for row in numbers(NextInSeries(some_stock).picks(reader, 40)):
        own = [number for number, _ in read if catalogue.series[number] == catalogue.series[row]]
        assert any(stars >= 4 for number, stars in read if number in own)
        if catalogue.position[row] == 1:
            assert not any(catalogue.position[number] == 1 for number in own)
        else:
            first = row - row % 8  # volume 1 of its series
            assert first in own or first in hidden
            whole = [catalogue.position[number] for number in own if float(catalogue.position[number]).is_integer()]
            assert all(catalogue.position[row] > position for position in whole)
