"""Whether a score that claims to be a probability is one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NORMAL_95 = 1.959963984540054  # the standard normal's 97.5 % point


@dataclass(frozen=True)
class Reliability:
    """Predictions in groups of about equal size, lowest first; (groups,) each.

    Attributes:
        n: Predictions in the group, ≥ 1.
        predicted: Their mean.
        observed: How often it happened.
        low: Of the 95 % interval of ``observed`` (Wilson 1927).
        high: Likewise.
        error: Expected calibration error, 0..1: the mean of |predicted - observed|, groups weighted by n (Naeini,
            Cooper and Hauskrecht 2015, equation 1).
    """

    n: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    error: float


def reliability(
    probability: NDArray[np.floating], happened: NDArray[np.bool_] | NDArray[np.integer], groups: int = 10
) -> Reliability:
    """Compares what was predicted with what happened.

    Args:
        probability: (n,) in 0..1, n ≥ 1.
        happened: (n,) True or 1 where it did.
        groups: At most so many, of equal size but for ties: equal predictions stay together.

    Raises:
        ValueError: Nothing was predicted, the lengths differ, or something is not a probability.
    """
    p, hit = np.asarray(probability, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    if not len(p) or len(p) != len(hit):
        raise ValueError(f"{len(p)} predictions and {len(hit)} outcomes: nothing to compare")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("a prediction is not a probability: it is not within 0 and 1")
    edges = np.quantile(p, np.linspace(0, 1, groups + 1)[1:-1], method="inverted_cdf")
    _, group = np.unique(np.searchsorted(edges, p, side="left"), return_inverse=True)
    n = np.bincount(group)
    predicted, observed = np.bincount(group, p) / n, np.bincount(group, hit) / n
    low, high = _wilson(observed, n)
    error = float(np.average(np.abs(predicted - observed), weights=n))
    return Reliability(n, predicted, observed, low, high, error)


def _wilson(share: NDArray[np.float64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The score interval of a share of n: honest near 0 and 1, where the plain normal one leaves 0..1."""
    z2 = NORMAL_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL_95 / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
