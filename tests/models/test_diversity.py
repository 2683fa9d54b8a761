from collections.abc import Callable
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.affinity import Affinity
from models.diversity import Likeness, mmr
from models.sources import Stock

unit = st.floats(0, 1)


@st.composite
def lists(draw: st.DrawFn, most: int = 12) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores, best first, and how alike the books are."""
    count = draw(st.integers(0, most))
    scores = np.sort(draw(arrays(np.float64, count, elements=unit)))[::-1]
    half = np.triu(draw(arrays(np.float64, (count, count), elements=unit)), 1)
    return scores, half + half.T + np.eye(count)


@given(made=lists(), diversity=unit, n=st.integers(0, 15))
def test_scores_never_rise_and_every_place_is_another_book(
    made: tuple[NDArray[np.float64], NDArray[np.float64]], diversity: float, n: int
) -> None:
    scores, likeness = made
    order, shown = mmr(scores, likeness, diversity, n)
    assert len(order) == len(shown) == min(n, len(scores)) == len(set(order.tolist()))
    assert (np.diff(shown) <= 0).all()
    assert ((shown >= 0) & (shown <= scores.max(initial=0))).all()
    if len(shown):
        assert shown[0] == pytest.approx(scores[0])


@given(made=lists(), n=st.integers(0, 15))
def test_without_diversity_order_and_scores_stay_as_they_are(
    made: tuple[NDArray[np.float64], NDArray[np.float64]], n: int
) -> None:
    scores, likeness = made
    order, shown = mmr(scores, likeness, 0.0, n)
    assert order.tolist() == list(range(len(scores)))[:n]
    assert shown.tolist() == scores.tolist()[:n]


@given(made=lists(), diversity=unit, n=st.integers(0, 12))
def test_a_shorter_list_is_the_beginning_of_a_longer_one(
    made: tuple[NDArray[np.float64], NDArray[np.float64]], diversity: float, n: int
) -> None:
    longer, values = mmr(*made, diversity, 12)
    shorter, first_values = mmr(*made, diversity, n)
    assert shorter.tolist() == longer.tolist()[:n]
    assert first_values.tolist() == values.tolist()[:n]


@given(made=lists(most=8), diversity=st.floats(0.01, 1))
def test_each_place_goes_to_the_largest_marginal_value_as_the_formula_has_it(
    made: tuple[NDArray[np.float64], NDArray[np.float64]], diversity: float
) -> None:
    scores, likeness = made
    order, shown = mmr(scores, likeness, diversity, 8)
    best = scores.max(initial=0)
    for place, chosen in enumerate(order.tolist()):
        before = order[:place].tolist()
        value = {
            row: (1 - diversity) * (scores[row] / best if best else 1.0)
            + diversity * (1 - max((likeness[row, other] for other in before), default=0.0))
            for row in set(range(len(scores))) - set(before)
        }
        assert value[chosen] == pytest.approx(max(value.values()))
        assert shown[place] == pytest.approx(best * value[chosen])


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_a_diversity_outside_zero_to_one_is_refused(diversity: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        mmr(np.ones(3), np.eye(3), diversity, 3)


def test_another_author_passes_a_slightly_better_book_of_the_same_one(stocked: Callable[..., Stock]) -> None:
    stock = stocked({"author": 0}, {"author": 0}, {"author": 1})
    likeness = Likeness(stock.catalogue, Affinity(stock.catalogue)).among(np.arange(3))
    scores = np.array([0.9, 0.8, 0.7])
    assert mmr(scores, likeness, 0.0, 3)[0].tolist() == [0, 1, 2]
    assert mmr(scores, likeness, 0.3, 3)[0].tolist() == [0, 2, 1]


def test_likeness_is_of_work_author_series_and_genres(stocked: Callable[..., Stock]) -> None:
    stock = stocked(
        {"author": 0, "series": 0, "genres": (0,)},
        {"author": 0, "series": 0, "genres": (0,)},
        {"author": 0, "genres": (1,)},
        {"author": 1, "genres": (0,)},
        {"author": 2, "work": 0},
        {"author": -1},
        {"author": -1},
    )
    likeness = Likeness(stock.catalogue, Affinity(stock.catalogue))
    alike = likeness.among(np.arange(7))
    assert alike[0].tolist() == pytest.approx([1, 1.0, 0.5, 0.4, 1, 0, 0])
    assert alike[5, 6] == 0  # that nothing is known of either makes them not alike
    assert (alike == alike.T).all()
    for row in range(7):
        assert likeness.to(row) == pytest.approx(alike[row])


@given(row=st.integers(0, 39))
def test_likeness_is_in_zero_to_one(some_stock: Stock, row: int) -> None:
    alike = Likeness(some_stock.catalogue, Affinity(some_stock.catalogue)).to(row)
    assert ((alike >= 0) & (alike <= 1)).all()


def test_twenty_of_a_hundred_are_chosen_within_a_millisecond_or_so() -> None:
    rng = np.random.default_rng(0)
    scores, likeness = np.sort(rng.random(100))[::-1], rng.random((100, 100))

    def seconds() -> float:
        begun = perf_counter()
        mmr(scores, likeness, 0.3, 20)
        return perf_counter() - begun

    assert min(seconds() for _ in range(30)) < 0.002
