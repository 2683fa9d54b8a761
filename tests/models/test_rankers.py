from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.rankers import ChainRanker, PopularRanker, ServedRanker, refuse_wrong
from models.reader import Reader
from models.taste import Taste
from models.training.interactions import Interactions, interactions

Shelf = list[tuple[int, int]]
# Books 40 to 44 are unknown to the model.
shelves = st.lists(
    st.lists(st.tuples(st.integers(0, 44), st.integers(1, 5)), max_size=15, unique_by=lambda rating: rating[0]),
    min_size=1,
    max_size=6,
)


def library(shelves: list[Shelf], book: Callable[[int], UUID]) -> Interactions:
    """Each reader's ratings in order, and one more reader who has rated every book, so that book n has number n."""
    everything = [*shelves, [(number, 3) for number in range(45)]]
    rows = [(reader, number, stars) for reader, shelf in enumerate(everything) for number, stars in shelf]
    return interactions(
        [reader for reader, *_ in rows],
        [book(number) for _, number, _ in rows],
        [stars for *_, stars in rows],
        np.arange(len(rows)),
    )


@settings(deadline=None)
@given(shelves=shelves.filter(all), depth=st.integers(1, 45))
def test_many_readers_at_once_get_what_each_would_be_served(
    some_world: dict[str, Any],
    someone: Callable[..., Reader],
    book: Callable[[int], UUID],
    shelves: list[Shelf],
    depth: int,
) -> None:
    taste = Taste(some_world)
    top = ServedRanker(taste).top(library(shelves, book), np.arange(len(shelves)), depth)
    for shelf, found in zip(shelves, top, strict=True):
        served = [pick.book_id.int - 1 for pick in taste.picks(someone(*shelf), depth)]
        assert found[found >= 0].tolist() == served


def test_the_yardstick_counts_four_stars_and_more(book: Callable[[int], UUID]) -> None:
    train = library([[(7, 5), (8, 4), (9, 3)], [(7, 4), (9, 3)], [(9, 5), (8, 1)]], book)
    top = PopularRanker(train).top(train, np.array([0, 1, 2]), 3)
    assert top.tolist() == [[0, 1, 2], [8, 0, 1], [7, 0, 1]]


def test_a_list_is_no_longer_than_what_is_left_to_recommend(book: Callable[[int], UUID]) -> None:
    train = library([[(7, 5)]], book)
    everything_rated = PopularRanker(train).top(train, np.array([1]), 5)
    assert everything_rated.tolist() == [[-1] * 5]


def test_the_chain_fills_what_taste_leaves_open_without_repeating(
    world: Callable[..., Any], book: Callable[[int], UUID]
) -> None:
    """Reader 0 likes one of two books that the model knows, reader 1 has liked nothing."""
    train = library([[(0, 5)], [(3, 1)], [(1, 5), (2, 5)], [(2, 5)]], book)
    taste = ServedRanker(Taste(world(np.ones((2, 1)))))
    popular = PopularRanker(train)
    readers = np.array([0, 1])
    assert taste.top(train, readers, 3).tolist() == [[1, -1, -1], [-1, -1, -1]]
    assert ChainRanker(taste, popular).top(train, readers, 3).tolist() == [[1, 2, 3], [2, 0, 1]]


@pytest.mark.parametrize(
    ("top", "why"),
    [
        ([[9, 6, 9], [0, 1, 2]], "repeats"),
        ([[6, 9, -1], [0, 7, -1]], "had rated"),
        ([[6, 9, 45], [0, 1, 2]], "hold books 0 to 45"),
        ([[6, 9, -2], [0, 1, 2]], "hold books -2 to 9"),
        ([[6, 9, 1]], "for 2 readers"),
    ],
)
def test_lists_that_no_reader_should_be_judged_by_are_refused(
    book: Callable[[int], UUID], top: list[list[int]], why: str
) -> None:
    """Reader 0 has rated book 7, reader 1 book 8: each may be shown what the other has rated."""
    history = library([[(8, 5)], [(7, 5)]], book)
    refuse_wrong(np.array([[7, -1, -1], [-1, 8, -1]]), history, np.array([0, 1]))
    with pytest.raises(ValueError, match=why):
        refuse_wrong(np.array(top), history, np.array([0, 1]))
