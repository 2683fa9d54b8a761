from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ids import pack, unpack
from models.reader import Rating, Reader

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_ratings_are_oldest_first_and_those_of_one_moment_keep_their_order(book: Callable[[int], UUID]) -> None:
    late, first, second = (
        Rating(book(0), 5, NOON + timedelta(hours=1)),
        Rating(book(1), 4, NOON),
        Rating(book(2), 3, NOON),
    )
    assert Reader((late, first, second)).ratings == (first, second, late)


def test_of_several_ratings_of_a_book_the_newest_counts_at_its_own_place(book: Callable[[int], UUID]) -> None:
    old, between, new = (
        Rating(book(0), 1, NOON),
        Rating(book(1), 4, NOON + timedelta(1)),
        Rating(book(0), 5, NOON + timedelta(2)),
    )
    assert Reader((old, between, new)).ratings == (between, new)


@pytest.mark.parametrize("stars", [0, 6, -1])
def test_a_rating_outside_one_to_five_stars_is_refused(book: Callable[[int], UUID], stars: int) -> None:
    with pytest.raises(ValueError, match="1 to 5 stars"):
        Reader((Rating(book(0), stars, NOON),))


def test_what_is_rated_or_hidden_is_barred(someone: Callable[..., Reader], book: Callable[[int], UUID]) -> None:
    reader = someone((1, 5), (2, 1), muted=(1,), hidden=(3,))
    assert reader.rated == {book(1), book(2)}
    assert reader.barred == {book(1), book(2), book(3)}


@given(st.lists(st.uuids(), max_size=20))
def test_ids_survive_packing(ids: list[UUID]) -> None:
    assert pack(ids).shape == (len(ids), 16)
    assert unpack(pack(ids)) == ids
