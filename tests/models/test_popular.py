import numpy as np

from models.popular import shrunken_mean


def test_a_single_five_star_rating_does_not_beat_a_thousand_good_ones() -> None:
    once, often, never = shrunken_mean(np.array([1, 1000, 0]), np.array([5, 4500, 0]), prior_mean=3.9, prior_weight=20)
    assert often > once > never
    assert never == 3.9


def test_the_shrunken_mean_is_that_of_the_ratings_and_the_imagined_ones_together() -> None:
    assert shrunken_mean(3, 15, prior_mean=3.0, prior_weight=2.0) == (15 + 6) / 5
