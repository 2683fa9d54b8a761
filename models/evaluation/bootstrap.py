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


UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))
"""Of nobody."""


def intervals(
    values: NDArray[np.floating], *, seed: int = 0, draws: int = DRAWS, level: float = 0.95
) -> list[Interval]:
    """The means of many quantities of the same readers, every draw the same readers for all of them.

    One product per block of draws, of how often each reader was drawn with what they measured: the random numbers,
    which are what costs, are drawn once for all columns.

    Args:
        values: (readers, columns), at least one reader.
        seed: Same seed, same intervals.
        draws: Resamples.
        level: Probability that each interval is meant to hold.

    Returns:
        One for each column.
    """
    rng = np.random.default_rng(seed)
    n, columns = values.shape
    block = max(1, ROOM // n)
    means = np.empty((draws, columns))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = rng.integers(0, n, size=(rows, n), dtype=np.int32)
        times = np.array([np.bincount(draw, minlength=n) for draw in drawn], dtype=np.float64)
        means[start : start + rows] = times @ values / n
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    triples = zip(values.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(*triple) for triple in triples]


def interval(values: NDArray[np.floating], *, seed: int = 0, draws: int = DRAWS, level: float = 0.95) -> Interval:
    """The mean with its two-sided interval.

    Args:
        values: (readers,), at least one.
        seed: Same seed, same interval.
        draws: Resamples.
        level: Probability that the interval is meant to hold.
    """
    return intervals(values[:, None], seed=seed, draws=draws, level=level)[0]


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
