"""How sure a mean over readers is: percentile bootstrap (Efron 1979), readers resampled with replacement."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
ROOM = 2_000_000  # numbers drawn at a time: bounded memory however many readers


class Interval(NamedTuple):
    mean: float
    low: float
    high: float


def interval(values: NDArray[np.floating], *, seed: int = 0, draws: int = DRAWS, level: float = 0.95) -> Interval:
    """The mean with its two-sided interval.

    Args:
        values: (readers,), at least one.
        seed: Same seed, same interval.
        draws: Resamples.
        level: Probability that the interval is meant to hold.
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    block = max(1, ROOM // n)
    means = np.concatenate(
        [values[rng.integers(0, n, size=(min(block, draws - done), n))].mean(axis=1) for done in range(0, draws, block)]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired_gain(
    challenger: NDArray[np.floating],
    champion: NDArray[np.floating],
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Interval:
    """How much better the challenger is, the same readers resampled together: far narrower than two intervals apart.

    Args:
        challenger: (readers,), a metric.
        champion: (readers,), the same metric of the same readers in the same order.
        seed: Same seed, same interval.
        draws: Resamples.
        level: Probability that the interval is meant to hold.
    """
    if len(challenger) != len(champion):
        raise ValueError(f"a paired gain needs the same readers: {len(challenger)} and {len(champion)}")
    return interval(challenger - champion, seed=seed, draws=draws, level=level)
