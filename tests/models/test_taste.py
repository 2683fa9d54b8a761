from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import BundleRefused
from models.reader import Reader
from models.taste import Taste, best_first

World = Callable[..., dict[str, Any]]
Someone = Callable[..., Reader]

shelves = st.lists(
    st.tuples(st.integers(0, 39), st.integers(1, 5)), min_size=1, max_size=12, unique_by=lambda rating: rating[0]
)


def linear(score: float) -> float:
    """The linear score behind a shown one."""
    return score**2 / (1 - score**2)


@settings(deadline=None)
@given(shelf=shelves)
def test_score_and_shares_are_the_arithmetic_that_the_docstring_promises(
    some_world: dict[str, Any], someone: Someone, shelf: list[tuple[int, int]]
) -> None:
    taste = Taste(some_world)
    factors = some_world["item_factors"].astype(np.float64)
    weights = [
        (0.0, 0.0, 0.4, 1.0, 1.5)[stars - 1] * (len(shelf) - place) ** -0.7 for place, (_, stars) in enumerate(shelf)
    ]
    for pick in taste.picks(someone(*shelf), 40):
        row = taste.rows[pick.book_id]
        parts = {
            taste.books[own]: weight * float(factors[own] @ factors[row])
            for (own, _), weight in zip(shelf, weights, strict=True)
        }
        assert linear(pick.score) == pytest.approx(sum(parts.values()), rel=1e-3, abs=1e-5)
        positive = sum(part for part in parts.values() if part > 0)
        for reason in pick.because:
            assert reason.share == pytest.approx(parts[reason.book_id] / positive, rel=1e-3, abs=1e-5)


@settings(deadline=None)
@given(shelf=shelves, seed=st.integers(0, 5))
def test_a_share_is_what_the_score_loses_when_that_book_is_muted(
    world: World, someone: Someone, shelf: list[tuple[int, int]], seed: int
) -> None:
    """Without recency, and with factors that are never negative, muting takes away exactly one positive part."""
    taste = Taste(world(np.random.default_rng(seed).uniform(0.1, 1, size=(40, 3)), recency=0.0))
    whole = {pick.book_id: pick for pick in taste.picks(someone(*shelf), 5)}
    for number, _ in shelf:
        less = {pick.book_id: pick.score for pick in taste.picks(someone(*shelf, muted=(number,)), 40)}
        for book, pick in whole.items():
            total = linear(pick.score)
            lost = (total - linear(less.get(book, 0.0))) / total
            told = {reason.book_id: reason.share for reason in pick.because}
            if taste.books[number] in told:
                assert told[taste.books[number]] == pytest.approx(lost, abs=1e-3)


@given(shelf=shelves, data=st.data())
def test_a_muted_book_is_as_if_never_rated_but_for_not_being_offered(
    some_world: dict[str, Any], someone: Someone, shelf: list[tuple[int, int]], data: st.DataObject
) -> None:
    muted = data.draw(st.sampled_from([number for number, _ in shelf]))
    rest = [rating for rating in shelf if rating[0] != muted]
    taste = Taste(some_world)
    assert taste.picks(someone(*shelf, muted=(muted,)), 10) == taste.picks(someone(*rest, hidden=(muted,)), 10)


def test_what_was_rated_lately_says_more(world: World, someone: Someone) -> None:
    two_tastes = Taste(world(np.repeat(np.eye(2), 5, axis=0)))
    latest_is_second = two_tastes.picks(someone((0, 5), (5, 5)), 4)
    latest_is_first = two_tastes.picks(someone((5, 5), (0, 5)), 4)
    assert all(pick.book_id.int - 1 >= 5 for pick in latest_is_second)
    assert all(pick.book_id.int - 1 < 5 for pick in latest_is_first)


def test_a_disliked_book_is_no_evidence_but_takes_its_place_in_the_order(world: World, someone: Someone) -> None:
    taste = Taste(world(np.ones((4, 1)), recency=1.0))
    newest, not_newest = taste.picks(someone((0, 5)), 1), taste.picks(someone((0, 5), (1, 1)), 1)
    assert linear(newest[0].score) == pytest.approx(1.5)
    assert linear(not_newest[0].score) == pytest.approx(0.75)
    assert [reason.book_id.int - 1 for reason in not_newest[0].because] == [0]


def test_books_against_the_readers_taste_are_not_picked(world: World, someone: Someone) -> None:
    opposed = Taste(world(np.array([[1.0], [1.0], [-1.0], [0.0]])))
    assert [pick.book_id.int - 1 for pick in opposed.picks(someone((0, 5)), 4)] == [1]


def test_arrays_that_do_not_fit_are_refused(some_world: dict[str, Any]) -> None:
    with pytest.raises(BundleRefused, match="item_factors"):
        Taste(some_world | {"item_factors": some_world["item_factors"][:-1]})


@given(
    st.lists(st.integers(-3, 3) | st.sampled_from([float("nan"), float("inf")]), max_size=12),
    st.integers(0, 14),
    st.data(),
)
def test_best_first_is_a_stable_sort_of_the_usable_scores(scores: list[float], n: int, data: st.DataObject) -> None:
    eligible = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))), dtype=np.bool_)
    usable = [row for row, score in enumerate(scores) if np.isfinite(score) and score > 0 and eligible[row]]
    found = best_first(np.array(scores, dtype=np.float32), n, eligible)
    assert found.tolist() == sorted(usable, key=lambda row: -scores[row])[:n]


def test_within_narrows_the_choice_without_changing_scores(some_world: dict[str, Any], someone: Someone) -> None:
    taste = Taste(some_world)
    everything = taste.picks(someone((0, 5)), 40)
    within = {everything[1].book_id, everything[3].book_id}
    assert taste.picks(someone((0, 5)), 40, within) == [everything[1], everything[3]]
