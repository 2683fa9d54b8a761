import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.calibration import reliability


def test_groups_are_of_equal_size_and_the_error_is_weighted_by_it() -> None:
    predicted = np.array([0.1, 0.1, 0.2, 0.2, 0.8, 0.8])
    happened = np.array([0, 0, 1, 0, 1, 1])
    found = reliability(predicted, happened, groups=2)
    assert found.n.tolist() == [4, 2]
    assert found.predicted == pytest.approx([0.15, 0.8])
    assert found.observed == pytest.approx([0.25, 1.0])
    assert found.error == pytest.approx((4 * 0.10 + 2 * 0.20) / 6)


def test_equal_predictions_stay_together() -> None:
    found = reliability(np.full(30, 0.3), np.arange(30) < 12, groups=10)
    assert found.n.tolist() == [30]
    assert found.error == pytest.approx(0.1)


def test_the_interval_is_wilson_s() -> None:
    """One of ten: by the textbook .0179 to .4042."""
    found = reliability(np.full(10, 0.1), np.arange(10) < 1)
    assert found.low == pytest.approx([0.0179], abs=1e-4)
    assert found.high == pytest.approx([0.4042], abs=1e-4)
    nothing = reliability(np.full(10, 0.1), np.zeros(10, dtype=bool))
    assert nothing.low.tolist() == [0]
    assert nothing.high[0] > 0.2


def test_a_score_that_is_a_probability_is_found_to_be_one_and_its_half_is_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(1, 8, size=50_000)
    happened = rng.random(50_000) < truth
    assert reliability(truth, happened).error < 0.005
    assert reliability(truth / 2, happened).error == pytest.approx(truth.mean() / 2, abs=0.005)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.integers(1, 12))
def test_no_prediction_is_lost_and_every_interval_holds_its_share(told: list[tuple[float, bool]], groups: int) -> None:
    predicted = np.array([p for p, _ in told])
    happened = np.array([hit for _, hit in told])
    found = reliability(predicted, happened, groups)
    assert found.n.sum() == len(told)
    assert 1 <= len(found.n) <= groups
    assert found.n @ found.observed == pytest.approx(happened.sum())
    assert found.n @ found.predicted == pytest.approx(predicted.sum())
    assert (found.low <= found.observed + 1e-12).all()
    assert (found.observed <= found.high + 1e-12).all()
    assert 0 <= found.error <= 1


@pytest.mark.parametrize(
    ("predicted", "happened", "why"),
    [([], [], "nothing to compare"), ([0.5], [1, 0], "nothing to compare"), ([1.2], [1], "not a probability")],
)
def test_what_is_no_prediction_is_refused(predicted: list[float], happened: list[int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        reliability(np.array(predicted), np.array(happened))


def test_a_prediction_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a probability"):
        reliability(np.array([np.nan, 0.2]), np.array([0, 1]))
