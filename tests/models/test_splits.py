from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.splits import leave_last, new_readers
from models.training.interactions import Interactions, interactions


def library(sizes: list[int]) -> Interactions:
    """Reader r has sizes[r] ratings, of books 0, 1, 2 … in this order."""
    reader = np.repeat(np.arange(len(sizes)), sizes)
    books = [UUID(int=book) for size in sizes for book in range(size)]
    return interactions(reader, books, np.full(len(books), 5), np.arange(len(books)))


@pytest.mark.parametrize(
    ("ratings", "left_out"), [(1, 1), (2, 1), (5, 1), (9, 1), (10, 2), (15, 3), (35, 7), (100, 20)]
)
def test_the_last_fifth_is_the_future_and_at_least_one(ratings: int, left_out: int) -> None:
    split = leave_last(library([ratings]))
    assert split.future.book.tolist() == list(range(ratings - left_out, ratings))
    assert split.history.book.tolist() == list(range(ratings - left_out))
    assert split.train is split.history


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.floats(0.05, 0.5))
def test_no_rating_is_ever_lost_or_on_both_sides_and_the_future_is_always_later(sizes: list[int], share: float) -> None:
    everything = library(sizes)
    split = leave_last(everything, share)
    assert len(split.train) + len(split.future) == len(everything)
    for reader in range(everything.reader_count):
        past = split.train.at[split.train.reader == reader]
        future = split.future.at[split.future.reader == reader]
        assert len(future) >= 1
        assert past.max(initial=-1) < future.min()


def test_new_readers_are_wholly_absent_from_training_and_the_same_every_time() -> None:
    everything = library([10] * 40)
    split = new_readers(everything, seed=3)
    judged = set(split.future.reader.tolist())
    assert len(judged) == 6
    assert not judged & set(split.train.reader.tolist())
    assert set(split.history.reader.tolist()) == judged
    assert split.history.book.max() < split.future.book.min()
    assert len(split.train) == 34 * 10
    assert np.array_equal(new_readers(everything, seed=3).future.reader, split.future.reader)
    assert not np.array_equal(new_readers(everything, seed=4).future.reader, split.future.reader)


def test_numbers_mean_the_same_on_all_sides(book: Callable[[int], UUID]) -> None:
    made = interactions(["a", "a", "b"], [book(0), book(1), book(2)], [5, 5, 5], np.arange(3))
    split = leave_last(made)
    assert split.train.book_count == split.future.book_count == 3
    assert split.train.reader_count == split.future.reader_count == 2
