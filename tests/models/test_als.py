from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from models import bundle
from models.reader import Reader
from models.taste import Taste
from models.training.als import AlsParams, NothingToLearn, fit, fold_in_factors
from models.training.interactions import Interactions, interactions

TWO_TASTES = AlsParams(factors=2, regularization=0.5)


@pytest.fixture(scope="module")
def checkerboard(book: Callable[[int], UUID]) -> Interactions:
    """40 readers and 20 books: even readers like even books, odd ones odd books; each has read about half of theirs."""
    rng = np.random.default_rng(0)
    ratings = [(reader, own) for reader in range(40) for own in range(reader % 2, 20, 2) if rng.random() < 0.5]
    return interactions(
        [reader for reader, _ in ratings],
        [book(own) for _, own in ratings],
        np.full(len(ratings), 5),
        np.arange(len(ratings)),
    )


def test_two_tastes_are_told_apart(checkerboard: Interactions, someone: Callable[..., Reader]) -> None:
    taste = Taste(fit(checkerboard, TWO_TASTES))
    for colour in (0, 1):
        picks = taste.picks(someone((colour, 5), (colour + 2, 4)), 8)
        assert [(pick.book_id.int - 1) % 2 for pick in picks] == [colour] * 8


def test_who_likes_both_gets_both_with_the_reason_of_the_right_colour(
    checkerboard: Interactions, someone: Callable[..., Reader]
) -> None:
    picks = Taste(fit(checkerboard, TWO_TASTES)).picks(someone((0, 5), (1, 5)), 18)
    assert {(pick.book_id.int - 1) % 2 for pick in picks} == {0, 1}
    for pick in picks:
        assert (pick.because[0].book_id.int - 1) % 2 == (pick.book_id.int - 1) % 2
        assert pick.because[0].share == pytest.approx(1, abs=0.1)


def test_a_new_reader_needs_no_retraining_and_the_model_holds_no_reader(checkerboard: Interactions) -> None:
    arrays = fit(checkerboard, TWO_TASTES)
    bundle.check(arrays)
    assert checkerboard.reader_count == 40
    assert all(40 not in array.shape for array in arrays.values())


def test_the_same_seed_gives_the_same_arrays(checkerboard: Interactions) -> None:
    one, two = fit(checkerboard, TWO_TASTES), fit(checkerboard, TWO_TASTES)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_the_defaults_tell_the_tastes_of_a_tiny_library_apart(
    checkerboard: Interactions, someone: Callable[..., Reader]
) -> None:
    picks = Taste(fit(checkerboard, AlsParams())).picks(someone((0, 5), (2, 5)), 5)
    assert [(pick.book_id.int - 1) % 2 for pick in picks] == [0] * 5


def test_books_that_nobody_likes_are_not_in_the_model(book: Callable[[int], UUID]) -> None:
    ratings = interactions(
        [0, 0, 1, 1, 1], [book(0), book(1), book(0), book(1), book(2)], [5, 5, 4, 5, 1], np.arange(5)
    )
    assert Taste(fit(ratings, TWO_TASTES)).rows.keys() == {book(0), book(1)}


def test_without_anything_liked_there_is_nothing_to_learn(book: Callable[[int], UUID]) -> None:
    with pytest.raises(NothingToLearn, match="no rating speaks"):
        fit(interactions([0], [book(0)], [1], np.arange(1)), TWO_TASTES)
    with pytest.raises(NothingToLearn, match="no rating speaks"):
        fit(interactions([], [], [], []), TWO_TASTES)


def test_regularization_that_leaves_nothing_is_said_not_served() -> None:
    with pytest.raises(NothingToLearn, match="too strong"):
        fold_in_factors(np.zeros((4, 2)), 1.0)


def test_folding_in_by_a_sum_is_the_ridge_solution() -> None:
    """Hu, Koren and Volinsky's fold-in with one matrix for all, solved the plain way."""
    rng = np.random.default_rng(1)
    factors, weights = rng.normal(size=(30, 4)), rng.uniform(size=30)
    gram = factors.T @ factors
    ridge = 0.7 * np.trace(gram) / 4
    reader = np.linalg.solve(gram + ridge * np.eye(4), factors.T @ weights)
    folded = fold_in_factors(factors, 0.7)
    assert folded.dtype == np.float32
    assert folded @ (folded.T @ weights) == pytest.approx(factors @ reader, abs=1e-5)


def test_sizes_are_chosen_by_the_library_unless_given() -> None:
    automatic, fixed = AlsParams(), AlsParams(factors=5, regularization=0.1)
    assert [automatic.factors_for(books) for books in (10, 400, 10_000, 300_000)] == [8, 25, 256, 256]
    assert automatic.regularization_for(800) < automatic.regularization_for(60_000) < 40
    assert automatic.regularization_for(10_000_000) == 40
    assert (fixed.factors_for(10_000), fixed.regularization_for(10_000)) == (5, 0.1)


def test_stars_are_evidence(book: Callable[[int], UUID], someone: Callable[..., Reader]) -> None:
    """Book 1 was loved by readers of book 0, book 2 was thought tolerable by as many."""
    ratings: list[tuple[int, int, int]] = []
    for reader in range(20):
        ratings += [(reader, 0, 5), (reader, 1 + reader % 2, 5 if reader % 2 == 0 else 3)]
    ratings += [(20 + reader, 3, 5) for reader in range(5)]
    columns: list[Any] = [list(column) for column in zip(*ratings, strict=True)]
    made = interactions(columns[0], [book(own) for own in columns[1]], columns[2], np.arange(len(ratings)))
    taste = Taste(fit(made, AlsParams(factors=3, regularization=20)))
    assert taste.picks(someone((0, 5)), 1)[0].book_id == book(1)
