from collections.abc import Callable
from uuid import UUID

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.evaluation.splits import Split, beginners, from_moment, leave_last, new_readers, one_clock, validation
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


def timed(*ratings: tuple[str, int, int]) -> Interactions:
    """Reader, book and minute of each rating, all of five stars."""
    return interactions(
        [reader for reader, _, _ in ratings],
        [UUID(int=book) for _, book, _ in ratings],
        [5] * len(ratings),
        np.array([minute for *_, minute in ratings], dtype=np.int64),
    )


def test_one_clock_cuts_all_at_one_moment_and_tells_who_is_new() -> None:
    """Of ten ratings the last two are the future: reader b's second, of a new book, and all that c ever made."""
    split = one_clock(timed(*(("a", book, book) for book in range(7)), ("b", 0, 7), ("b", 9, 8), ("c", 1, 9)))
    assert split.protocol == "P3"
    assert split.train is split.history
    assert split.future.reader.tolist() == [1, 2]
    assert split.known_readers.tolist() == [True, True, False]
    assert split.known_books.tolist() == [True] * 7 + [False]
    assert split.counts == {
        "ratings to learn from": 8,
        "readers to learn from": 2,
        "books learned of": 7,
        "later ratings": 2,
        "readers with later ratings": 2,
        "new readers": 1,
        "new books": 1,
        "later ratings of new books": 1,
    }


def test_ratings_of_one_moment_stay_on_one_side() -> None:
    tied = one_clock(timed(("a", 0, 1), ("a", 1, 5), ("b", 2, 5), ("c", 3, 5), ("c", 4, 5)))
    assert len(tied.train) == 1
    assert len(tied.future) == 4
    first_moment_largest = one_clock(timed(("a", 0, 1), ("a", 1, 1), ("b", 2, 1), ("c", 3, 1), ("c", 4, 5)), share=0.9)
    assert len(first_moment_largest.future) == 1


def test_without_time_there_is_no_clock() -> None:
    with pytest.raises(ValueError, match="one moment"):
        one_clock(timed(("a", 0, 3), ("b", 1, 3)))
    with pytest.raises(ValueError, match="one moment"):
        one_clock(library([3]).only(np.zeros(3, dtype=bool)))


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 20)), min_size=2, max_size=40),
    st.floats(0.01, 0.99),
)
def test_one_clock_never_loses_a_rating_nor_lets_one_of_the_future_be_learned(
    ratings: list[tuple[str, int, int]], share: float
) -> None:
    everything = timed(*ratings)
    assume(everything.at.min() < everything.at.max())
    split = one_clock(everything, share)
    assert len(split.train) >= 1
    assert len(split.future) >= 1
    assert len(split.train) + len(split.future) == len(everything)
    assert split.train.at.max() < split.future.at.min()


@pytest.mark.parametrize("carve", [leave_last, new_readers, one_clock, beginners])
def test_validation_is_carved_out_of_the_training_part_in_the_same_way(carve: Callable[..., Split]) -> None:
    split = carve(library([12] * 40))
    inner = validation(split)
    assert inner.protocol == f"{split.protocol} validation"
    assert inner.apart is split.apart
    learned = pairs(split.train)
    assert pairs(inner.train) | pairs(inner.history) | pairs(inner.future) <= learned
    assert pairs(inner.future)
    assert not pairs(inner.train) & pairs(inner.future)
    assert not pairs(inner.future) & pairs(split.future)
    # As it would be made from the training part by hand: with the same parameters.
    assert pairs(carve(split.train).future) == pairs(inner.future)


def test_validation_keeps_the_parameters_of_the_split() -> None:
    split = leave_last(library([20]), share=0.5)
    assert len(validation(split).future) == 5


def test_validation_of_a_split_that_nobody_described_is_refused() -> None:
    whole = library([5])
    with pytest.raises(ValueError, match="how it was made"):
        validation(Split("own", whole, whole, whole))


def test_new_readers_are_drawn_from_those_who_have_rated() -> None:
    """In a validation split only those are left; the others must not take the places of the held out."""
    everything = library([10] * 40)
    only_some = everything.only(everything.reader < 20)
    assert len(np.unique(new_readers(only_some, held_out=0.5).future.reader)) == 10


def test_beginners_are_judged_after_one_to_five_ratings_by_the_next_twenty() -> None:
    everything = library([40] * 200)
    split = beginners(everything)
    judged = np.unique(split.future.reader)
    assert judged.tolist() == np.unique(new_readers(everything).future.reader).tolist()
    assert not set(judged) & set(split.train.reader.tolist())
    known = np.bincount(split.history.reader, minlength=200)[judged]
    assert sorted(set(known.tolist())) == [1, 2, 3, 4, 5]
    assert set(np.bincount(split.future.reader, minlength=200)[judged].tolist()) == {20}
    for reader, begun in zip(judged, known, strict=True):
        assert split.history.book[split.history.reader == reader].tolist() == list(range(begun))
        assert split.future.book[split.future.reader == reader].tolist() == list(range(begun, begun + 20))


def test_a_beginner_always_has_a_future() -> None:
    split = beginners(library([1, 2, 3] * 10), held_out=1.0)
    assert np.bincount(split.future.reader, minlength=30).min() == 1


def test_a_clock_of_one_s_own_cuts_before_its_moment_and_ends_before_its_end() -> None:
    everything = library([10] * 3)  # one moment a rating
    moments = np.unique(everything.at)
    split = from_moment(everything, int(moments[4]), int(moments[7]))
    assert split.train.at.max() < moments[4]
    assert (split.future.at.min(), split.future.at.max()) == (moments[4], moments[6])
    assert split.apart
    assert len(split.train) + len(split.future) == int((everything.at < moments[7]).sum())
    empty = from_moment(everything, int(moments[0]), int(moments[0]))
    assert (len(empty.train), len(empty.future)) == (0, 0)


def pairs(made: Interactions) -> set[tuple[int, int]]:
    return set(zip(made.reader.tolist(), made.book.tolist(), strict=True))
