"""How sure a share is."""

from math import sqrt

from models.evaluation.bootstrap import UNKNOWN, Interval

Z = 1.959963984540054  # of the normal distribution, for 95 %


def wilson(hits: int, n: int) -> Interval:
    """The share with Wilson's 95 % score interval (1927): inside 0..1 and honest near its ends, also for small n.

    Trials count as independent of each other.
    """
    if n == 0:
        return UNKNOWN
    share = hits / n
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))
