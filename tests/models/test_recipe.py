"""From a library to what answers readers."""

from dataclasses import replace
from functools import cache
from uuid import UUID

import numpy as np
import pytest

from models.bundle import check
from models.evaluation.splits import leave_last
from models.features import FEATURES
from models.taste import Taste
from models.training import blender
from models.training.als import AlsParams, NothingToLearn
from models.training.blender import BlendParams
from models.training.itempairs import ItemItemParams
from models.training.library import Books, Library, library
from models.training.recipe import Recipe, UnknownRecipe, learn

BOOKS, READERS, SHELF = 80, 150, 16
RECIPE = Recipe(
    taste=ItemItemParams(threads=1),
    factors=AlsParams(iterations=3, threads=1),
    blend=BlendParams(iterations=30, fewest_likes=50),
)


def books() -> Books:
    return Books(
        ids=[UUID(int=1 + number) for number in range(BOOKS)],
        titles=[f"Title {number}" for number in range(BOOKS)],
        authors=[f"Author {number // 4}" for number in range(BOOKS)],
        series=[f"Series {number // 4}" if number % 8 < 4 else None for number in range(BOOKS)],
        positions=[1.0 + number % 4 if number % 8 < 4 else None for number in range(BOOKS)],
        languages=["en"] * BOOKS,
        years=[1950 + number for number in range(BOOKS)],
        genres=[[UUID(int=10**6 + number % 2)] for number in range(BOOKS)],
    )


@cache
def two_tastes() -> Library:
    """Each reader likes the even or the odd books, rates them in order, and dislikes a few of the others.

    The last four books are new: nobody has rated them.
    """
    rng = np.random.default_rng(0)
    readers, ids, stars = [], [], []
    for reader in range(READERS):
        mine = np.flatnonzero(np.arange(BOOKS - 4) % 2 == reader % 2)
        start = rng.integers(0, len(mine) - SHELF)
        for book in mine[start : start + SHELF]:
            rated = int(book) if rng.random() > 0.1 else int(book) ^ 1
            readers.append(reader)
            ids.append(UUID(int=1 + rated))
            stars.append(int(rng.integers(4, 6)) if rated % 2 == reader % 2 else int(rng.integers(1, 3)))
    return library(readers, ids, stars, np.arange(len(ids)), books())


@cache
def learned() -> Taste:
    return Taste(learn(two_tastes(), RECIPE))


def test_what_is_learned_is_a_bundle_with_a_row_for_every_book() -> None:
    arrays = learn(two_tastes(), RECIPE)
    check(arrays)
    assert len(arrays["book_ids"]) == BOOKS
    assert arrays["neighbour_index"].shape == arrays["neighbour_weight"].shape
    assert not arrays["item_factors"][-4:].any()
    assert arrays["catalogue_raters"][-4:].sum() == 0
    assert Taste(arrays).trees is not None


def test_a_reader_of_one_taste_is_shown_that_taste() -> None:
    taste = learned()
    known = taste.known(np.arange(0, 12, 2), np.full(6, 5))
    found = taste.ranking(known, 5, taste.unread(known.rows))
    assert not (found.rows % 2).any()
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def test_a_new_book_can_be_shown_for_its_author() -> None:
    """Books 76 to 79 were rated by nobody; their row in the weights comes from author and series alone."""
    taste = learned()
    assert taste.neighbours is not None
    assert 79 in taste.neighbours.index[78][taste.neighbours.weight[78] > 0]


def test_reasons_are_the_parts_of_the_linear_score_whatever_orders_the_list() -> None:
    taste = learned()
    known = taste.known(np.array([0, 3, 8, 20]), np.array([5, 1, 4, 5]))
    found = taste.ranking(known, 5, taste.unread(known.rows), 0.3)
    assert taste.neighbours is not None
    scores = taste.neighbours.scores(known.rows, known.weights)
    assert found.parts.sum(axis=1) == pytest.approx(scores[found.rows], rel=1e-5)
    assert not found.parts[:, 1].any(), "a disliked book is no reason"


def test_the_same_library_and_recipe_give_the_same_arrays() -> None:
    first, second = learn(two_tastes(), RECIPE), learn(two_tastes(), RECIPE)
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert np.array_equal(array, second[name]), name


def test_the_reranker_learns_from_what_came_after() -> None:
    split = leave_last(two_tastes().interactions)
    past = Taste(learn(two_tastes().of(split.train), replace(RECIPE, blend=None)))
    shown = blender.examples(past, split, BlendParams(negatives=1.0))
    assert shown.features.shape == (len(shown.liked), len(FEATURES))
    assert 0 < shown.liked.mean() < 0.5
    fewer = blender.examples(past, split, BlendParams(negatives=0.25))
    assert fewer.liked.sum() == shown.liked.sum(), "what was liked is never left out"
    assert len(fewer.liked) < len(shown.liked) / 2


def test_too_few_likes_leave_the_order_to_the_linear_score() -> None:
    assert Taste(learn(two_tastes(), replace(RECIPE, blend=BlendParams(fewest_likes=10**6)))).trees is None


def test_without_item_item_weights_the_factors_are_the_taste() -> None:
    arrays = learn(two_tastes(), replace(RECIPE, taste=None, recency=1.0))
    assert "neighbour_index" not in arrays
    assert float(arrays["recency"]) == 1.0
    taste = Taste(arrays)
    known = taste.known(np.arange(0, 12, 2), np.full(6, 5))
    assert (taste.ranking(known, 10, taste.unread(known.rows)).rows % 2 == 0).mean() >= 0.9


def test_a_library_without_likes_teaches_nothing() -> None:
    nothing = library([1, 1], [UUID(int=1), UUID(int=2)], [1, 2], np.arange(2), books())
    with pytest.raises(NothingToLearn):
        learn(nothing, RECIPE)


def test_one_rating_is_enough_to_answer_from() -> None:
    one = library([1], [UUID(int=1)], [5], np.arange(1), books())
    taste = Taste(learn(one, RECIPE))
    known = taste.known(np.array([0]), np.array([5]))
    assert 1 in taste.ranking(known, 5, taste.unread(known.rows)).rows, "the next volume, for its series"


@pytest.mark.parametrize("recipe", [Recipe(), RECIPE, Recipe(recency=1.5, taste=None, blend=None)])
def test_a_recipe_comes_back_from_json(recipe: Recipe) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"factors": 64, "alpha": 10.0},
        {**Recipe().to_json(), "recency": "often"},
        {**Recipe().to_json(), "blend": {"depth": 6, "colour": "red"}},
        {**Recipe().to_json(), "taste": [1, 2]},
    ],
)
def test_what_is_no_recipe_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(UnknownRecipe, match="not a recipe"):
        Recipe.from_json(told)  # type: ignore[arg-type]
