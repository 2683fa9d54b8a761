import numpy as np
import pytest

from models.evaluation import bootstrap
from models.evaluation.bootstrap import interval, intervals, paired_gain


def test_the_interval_is_that_of_the_normal_approximation_where_that_holds() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=4000)
    mean, low, high = interval(values, draws=4000)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx(
        (mean - 1.96 * values.std() / 4000**0.5, mean + 1.96 * values.std() / 4000**0.5), abs=0.006
    )


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        _, low, high = interval(rng.exponential(1.0, size=150), seed=seed, draws=400, level=0.9)
        held += low <= 1 <= high
    assert 0.83 <= held / 200 <= 0.96


def test_readers_who_all_agree_leave_no_doubt() -> None:
    assert interval(np.full(10, 0.25)) == (0.25, 0.25, 0.25)


def test_pairing_sees_a_gain_that_two_intervals_apart_would_hide() -> None:
    rng = np.random.default_rng(2)
    champion = rng.uniform(size=500)
    challenger = champion + rng.normal(0.01, 0.02, size=500)
    assert interval(challenger).low < interval(champion).high
    gain = paired_gain(challenger, champion)
    assert 0 < gain.low < gain.mean < gain.high
    assert gain.mean == pytest.approx((challenger - champion).mean())


def test_the_same_seed_gives_the_same_interval_whatever_memory_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).uniform(size=100)
    whole = interval(values, seed=5)
    monkeypatch.setattr(bootstrap, "ROOM", 250)
    assert interval(values, seed=5) == pytest.approx(whole)
    assert interval(values, seed=6) != whole


def test_a_gain_between_different_readers_is_refused() -> None:
    with pytest.raises(ValueError, match="same readers"):
        paired_gain(np.zeros(3), np.zeros(4))


def test_many_columns_at_once_are_the_same_as_each_by_itself() -> None:
    values = np.random.default_rng(4).uniform(size=(300, 5))
    together = intervals(values, seed=9)
    alone = [interval(column, seed=9) for column in values.T]
    assert np.allclose(together, alone)
    assert len({found.low for found in together}) == 5


def test_columns_are_resampled_together_so_that_their_difference_is_paired() -> None:
    values = np.random.default_rng(5).uniform(size=400)
    ours, theirs, gain = intervals(np.column_stack([values + 0.1, values, np.full(400, 0.1)]))
    assert ours.low - theirs.low == pytest.approx(gain.mean)
    assert gain == pytest.approx((0.1, 0.1, 0.1))
