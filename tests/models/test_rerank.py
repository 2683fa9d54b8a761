from collections.abc import Callable
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from models.bundle import BundleRefused
from models.rerank import Trees
from models.training.trees import LARGEST, export, rounded_down

Arrays = dict[str, NDArray[np.generic]]


def features(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Normal numbers, counts with many ties, and a constant."""
    rng = np.random.default_rng(seed)
    columns = [*rng.normal(size=(4, rows)), *rng.integers(0, 5, size=(3, rows)), np.full(rows, -1.0)]
    return np.stack(columns, axis=1).astype(np.float32)


def fitted(**params: int) -> HistGradientBoostingClassifier:
    rows = features(2000, seed=1)
    liked = rows[:, 0] * rows[:, 1] + rows[:, 4] + np.random.default_rng(2).normal(size=2000) > 2
    made = HistGradientBoostingClassifier(**{"max_iter": 15, "max_depth": 6, "early_stopping": False} | params)
    with threadpool_limits(1):  # more threads than free cores make small fits a hundred times slower
        return made.fit(rows, liked)


@pytest.fixture(scope="module")
def classifier() -> HistGradientBoostingClassifier:
    return fitted(max_leaf_nodes=31, min_samples_leaf=5)


@pytest.fixture
def small() -> Arrays:
    """One tree: column 1 ≤ 0? then column 0 ≤ 5? 1 : 2; else column 2 ≤ 7? 4 : 8."""
    return {
        "tree_feature": np.array([[1, 0, 2]], dtype=np.int16),
        "tree_threshold": np.array([[0, 5, 7]], dtype=np.float32),
        "tree_value": np.array([[1, 2, 4, 8]], dtype=np.float64),
        "tree_bias": np.array(0.5),
    }


def test_a_tree_is_walked_as_it_is_drawn(small: Arrays) -> None:
    rows = np.array([[5, 0, 9], [6, 0, 9], [6, 1, 7], [6, 1, 8]], dtype=np.float32)
    assert Trees(small, 3).logit(rows).tolist() == [1.5, 2.5, 4.5, 8.5]


@pytest.mark.parametrize(
    "params",
    [{"max_depth": 1}, {"max_depth": 3}, {"max_leaf_nodes": 5}, {"max_leaf_nodes": 64, "min_samples_leaf": 1}, {}],
    ids=str,
)
def test_logits_and_probabilities_are_those_of_scikit_learn(params: dict[str, int]) -> None:
    classifier = fitted(**params)
    trees, rows = Trees(export(classifier), 8), features(500, seed=3)
    assert np.abs(trees.logit(rows) - classifier.decision_function(rows)).max() < 1e-12
    assert np.abs(trees.probability(rows) - classifier.predict_proba(rows)[:, 1]).max() < 1e-12


def test_a_row_on_a_threshold_goes_the_same_way_as_in_scikit_learn(
    classifier: HistGradientBoostingClassifier,
) -> None:
    """Every threshold as float32, and its neighbours on both sides, in every column."""
    arrays = export(classifier)
    near = np.unique(arrays["tree_threshold"])
    values = np.unique([np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))])
    rows = np.repeat(values[:, None], 8, axis=1).astype(np.float32)
    assert np.abs(Trees(arrays).logit(rows) - classifier.decision_function(rows)).max() < 1e-12


@given(
    threshold=st.floats(-1e30, 1e30),
    x=numpy_arrays(np.float32, 5, elements=st.floats(-(2.0**100), 2.0**100, width=32)),
)
def test_a_rounded_threshold_parts_float32_exactly_as_the_float64_one(threshold: float, x: NDArray[np.float32]) -> None:
    rounded = rounded_down(np.array([threshold]))
    around = np.array([rounded[0], np.nextafter(rounded[0], LARGEST), np.nextafter(rounded[0], -LARGEST)])
    for values in (x, around):
        assert ((values <= rounded) == (values.astype(np.float64) <= threshold)).all()


def test_an_infinite_threshold_sends_every_number_left() -> None:
    assert rounded_down(np.array([np.inf])) == LARGEST
    with pytest.raises(ValueError, match="below"):
        rounded_down(np.array([-np.inf]))


def test_trees_without_a_question_answer_with_their_bias() -> None:
    rows = features(200)
    classifier = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=150, early_stopping=False)
    classifier.fit(rows, np.arange(200) % 2 == 0)
    trees = Trees(export(classifier))
    assert trees.depth == 0
    assert np.abs(trees.logit(rows) - classifier.decision_function(rows)).max() < 1e-12


def test_no_rows_give_no_logits(small: Arrays) -> None:
    assert Trees(small).logit(np.zeros((0, 3), dtype=np.float32)).shape == (0,)


def test_a_probability_never_overflows(small: Arrays) -> None:
    small["tree_value"] = np.array([[-1e4, 0, 0, 1e4]])
    rows = np.array([[0, 0, 0], [0, 1, 8]], dtype=np.float32)
    assert Trees(small).probability(rows).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((2, 3)),
        np.zeros((2, 2), dtype=np.float32),
        np.zeros(3, dtype=np.float32),
        np.full((1, 3), np.nan, dtype=np.float32),
    ],
    ids=["float64", "a column too few", "not a table", "NaN"],
)
def test_features_of_another_kind_are_refused(small: Arrays, rows: NDArray[np.floating]) -> None:
    with pytest.raises(ValueError, match="feature"):
        Trees(small).logit(rows)


def changed(name: str, value: NDArray[np.generic]) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: value})


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda arrays: arrays.pop("tree_bias"), "missing"),
        (changed("tree_bias", np.array(np.nan)), "NaN"),
        (changed("tree_threshold", np.array([[0, np.inf, 0]], dtype=np.float32)), "infinity"),
        (changed("tree_value", np.array([[1.0, np.nan, 0.0, 0.0]])), "NaN"),
        (changed("tree_value", np.zeros((1, 3))), "leaves"),
        (changed("tree_value", np.zeros((1, 128))), "leaves"),
        (changed("tree_value", np.zeros((2, 4))), "wanted"),
        (changed("tree_value", np.zeros((1, 4), dtype=np.float32)), "wanted float64"),
        (changed("tree_feature", np.array([[0, 3, 0]], dtype=np.int16)), "features 0 to 3 of 3"),
        (changed("tree_feature", np.array([[0, -1, 0]], dtype=np.int16)), "features -1"),
        (changed("tree_feature", np.zeros(3, dtype=np.int16)), "dimensions"),
        (changed("tree_threshold", np.zeros((1, 7), dtype=np.float32)), "wanted"),
    ],
)
def test_arrays_that_are_no_trees_are_refused(small: Arrays, spoil: Callable[[Arrays], object], complaint: str) -> None:
    Trees(small, 3)
    spoil(small)
    with pytest.raises(BundleRefused, match=complaint):
        Trees(small, 3)


def test_export_refuses_what_the_arrays_cannot_say() -> None:
    rows = features(3000)
    with pytest.raises(ValueError, match="3 classes"):
        export(HistGradientBoostingClassifier(max_iter=1).fit(rows, np.arange(3000) % 3))
    with pytest.raises(ValueError, match="category"):
        export(HistGradientBoostingClassifier(max_iter=1, categorical_features=[4]).fit(rows, rows[:, 4] == 2))
    with pytest.raises(ValueError, match="deep"):
        export(fitted(max_iter=1, max_depth=9, max_leaf_nodes=100, min_samples_leaf=1))


def test_three_hundred_candidates_pass_two_hundred_trees_in_milliseconds() -> None:
    """1.2 ms on the machine it was written on; the bound leaves room for a busy one."""
    rng = np.random.default_rng(0)
    trees = Trees(
        {
            "tree_feature": rng.integers(0, 30, size=(200, 63)).astype(np.int16),
            "tree_threshold": rng.normal(size=(200, 63)).astype(np.float32),
            "tree_value": rng.normal(size=(200, 64)),
            "tree_bias": np.array(0.0),
        }
    )
    rows = rng.normal(size=(300, 30)).astype(np.float32)

    def seconds() -> float:
        begun = perf_counter()
        trees.logit(rows)
        return perf_counter() - begun

    assert min(seconds() for _ in range(30)) < 0.010
