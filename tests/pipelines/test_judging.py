"""From a recipe put forward to the one that is adopted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.sources.sample import sample_library
from models.bundle import Arrays
from models.evaluation.splits import Split, leave_last
from models.training.als import AlsParams
from models.training.library import Library
from models.training.recipe import Recipe, UnknownRecipe, learn
from pipelines.judging import CHAMPION, OURS, RECIPE, Counted, adopt, drawn, put_forward, recipe_of, stored_recipe
from pipelines.simulation import world_of

GOOD = Recipe(taste=None, blend=None, factors=AlsParams(factors=24, iterations=4))
USELESS = replace(GOOD, recency=8.0, factors=AlsParams(factors=1, iterations=1))


@pytest.fixture(scope="module")
def part() -> Library:
    known = world_of(sample_library(), nights=1).known(1)
    return known.of(leave_last(known.interactions).train)


@pytest.fixture(scope="module")
def split() -> Split:
    return drawn(leave_last(world_of(sample_library(), nights=1).known(1).interactions), 200)


@pytest.fixture(scope="module")
def good(part: Library) -> Arrays:
    return learn(part, GOOD)


def never(_: Recipe) -> Arrays:
    raise AssertionError("the same recipe was fitted twice")


def test_without_a_stored_recipe_the_program_s_own_is_put_forward(tmp_path: Path) -> None:
    assert stored_recipe(tmp_path) == Recipe()


def test_the_stored_recipe_is_put_forward(tmp_path: Path) -> None:
    (tmp_path / RECIPE).write_text(json.dumps(USELESS.to_json()))
    assert stored_recipe(tmp_path) == USELESS


@pytest.mark.parametrize("written", ["", "[]", "{}", '{"recency": 1, "taste": {"no such name": 1}}'])
def test_what_is_no_recipe_is_refused(tmp_path: Path, written: str) -> None:
    (tmp_path / RECIPE).write_text(written)
    with pytest.raises(UnknownRecipe):
        stored_recipe(tmp_path)


@pytest.mark.parametrize("written", ["no JSON", '{"recency": 1, "taste": {"no such name": 1}}'])
def test_a_recipe_of_another_release_is_left_aside_and_said(tmp_path: Path, written: str) -> None:
    said: list[str] = []
    assert put_forward(tmp_path, said.append) == Recipe()
    assert said == []
    (tmp_path / RECIPE).write_text(written)
    assert put_forward(tmp_path, said.append) == Recipe()
    (warning,) = said
    assert warning.startswith("the stored recipe is left aside: ")


def test_a_champion_of_another_program_s_making_has_no_recipe() -> None:
    assert recipe_of(None) is None
    assert recipe_of({"factors": 64, "alpha": 40.0}) is None
    assert recipe_of(json.loads(json.dumps(Recipe().to_json()))) == Recipe()


def test_the_first_champion_is_compared_with_popularity_alone(split: Split, good: Arrays) -> None:
    adopted = adopt(split, GOOD, good, None, never)
    assert [(one.promote, one.rule) for one in adopted.decisions] == [(True, "popularity")]
    assert adopted.recipe == GOOD


def test_the_champion_s_own_recipe_is_fitted_once_and_renewed(split: Split, good: Arrays) -> None:
    adopted = adopt(split, GOOD, good, GOOD, never)
    assert [(one.promote, one.rule) for one in adopted.decisions] == [(True, "same recipe")]
    assert set(adopted.judged.comparison.models) == {OURS, "popularity"}


def test_a_better_recipe_takes_the_champion_s_place(split: Split, part: Library, good: Arrays) -> None:
    adopted = adopt(split, GOOD, good, USELESS, lambda other: learn(part, other))
    assert [(one.promote, one.rule) for one in adopted.decisions] == [(True, "new recipe")]
    assert (adopted.recipe, adopted.arrays) == (GOOD, good)
    assert CHAMPION in adopted.judged.comparison.models


def test_where_another_recipe_is_refused_the_champion_s_is_renewed(split: Split, part: Library, good: Arrays) -> None:
    adopted = adopt(split, USELESS, learn(part, USELESS), GOOD, lambda _: good)
    assert [one.promote for one in adopted.decisions] == [False, True]
    assert adopted.decisions[1].rule == "same recipe"
    assert (adopted.recipe, adopted.arrays) == (GOOD, good)


def test_drawing_readers_changes_whom_is_asked_and_nothing_else(part: Library) -> None:
    whole = leave_last(part.interactions)
    few = drawn(whole, 50)
    assert len(np.unique(few.future.reader)) == 50
    assert few.train is whole.train
    assert drawn(whole, 50).future.reader.tolist() == few.future.reader.tolist()
    assert drawn(whole, 100_000) is whole


def test_a_list_is_full_with_ten_books_or_a_tenth_of_a_small_library(part: Library) -> None:
    class Short:
        def top(
            self, _: object, readers: np.ndarray[tuple[int], np.dtype[np.int64]], depth: int
        ) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
            found = np.full((len(readers), depth), -1, dtype=np.int32)
            found[:, :5] = np.arange(5)
            found[0, :10] = np.arange(10)
            return found

    for books, share in ((1_000, 0.25), (50, 1.0)):
        counted = Counted(Short(), books)
        counted.top(part.interactions, np.arange(4), 50)
        assert counted.share == share
