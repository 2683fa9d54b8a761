from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.affinity import LEANING, Affinity
from models.sources import Stock

Stocked = Callable[..., Stock]


def test_a_rare_genre_says_more_than_a_common_one(stocked: Stocked) -> None:
    everywhere = [{"genres": (0,)} for _ in range(8)]
    stock = stocked({"genres": (0, 1)}, {"genres": (1,)}, *everywhere)
    cosines = Affinity(stock.catalogue).genres(np.array([0]), np.ones(1))
    assert cosines[0] == pytest.approx(1)
    assert cosines[1] > cosines[2] > 0


def test_a_book_without_genres_and_a_reader_of_none_are_like_nothing(stocked: Stocked) -> None:
    affinity = Affinity(stocked({"genres": (0,)}, {}).catalogue)
    assert affinity.genres(np.array([0]), np.ones(1)).tolist() == pytest.approx([1, 0])
    assert affinity.genres(np.array([1]), np.ones(1)).tolist() == [0, 0]
    assert affinity.genres(np.array([], dtype=np.intp), np.ones(0)).tolist() == [0, 0]


def test_a_dislike_lowers_its_genre(stocked: Stocked) -> None:
    stock = stocked({"genres": (0,), "author": 0}, {"genres": (1,), "author": 0}, {"genres": (1,), "author": 1})
    affinity = Affinity(stock.catalogue)
    rows, weights = np.array([0, 2]), affinity.weights(np.array([5, 1]))
    assert affinity.genres(rows, weights)[1] < 0 < affinity.genres(rows, weights)[0]
    assert weights[1] < 0


@given(stars=st.lists(st.integers(1, 5), min_size=1, max_size=50))
def test_weights_follow_the_stars_and_fade_with_every_later_rating(some_stock: Stock, stars: list[int]) -> None:
    weights = Affinity(some_stock.catalogue).weights(np.array(stars))
    assert weights[-1] == pytest.approx(LEANING[stars[-1] - 1])
    assert all(abs(weight) <= abs(LEANING[star - 1]) + 1e-6 for weight, star in zip(weights, stars, strict=True))
    assert all((weight > 0) == (LEANING[star - 1] > 0) for weight, star in zip(weights, stars, strict=True))


@given(data=st.data())
def test_cosines_are_in_minus_one_to_one_whatever_the_weights(some_stock: Stock, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, 39), max_size=10))
    weights = data.draw(st.lists(st.floats(-2, 2), min_size=len(rows), max_size=len(rows)))
    cosines = Affinity(some_stock.catalogue).genres(np.array(rows, dtype=np.intp), np.array(weights))
    assert (np.abs(cosines) <= 1).all()
