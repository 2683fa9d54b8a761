"""When the simulated readers come, and when they rate."""

import numpy as np

from data.sample.catalogue import OPENED
from data.sample.shelf import DAYS, Ints

MINUTES_A_DAY = 1440
LAST_MINUTE = DAYS * MINUTES_A_DAY - 1
# How many of a hundred ratings fall into each hour (UTC): breakfast, lunch, and above all the evening.
HOURS = (2, 1, 0, 0, 0, 1, 2, 4, 4, 3, 3, 3, 5, 5, 3, 3, 4, 5, 7, 9, 11, 12, 9, 4)
SATURDAY, SUNDAY = 5, 6


def arrival_day(rng: np.random.Generator) -> float:
    """Days after OPENED. The library grows: the density of arrivals doubles and more, CDF 0.6 x + 0.4 x²."""
    x = (np.sqrt(0.36 + 1.6 * rng.random()) - 0.6) / 0.8
    return float(min(x, 0.99) * DAYS)


def times(rng: np.random.Generator, arrival: float, n: int) -> Ints:
    """Minutes after OPENED, n of them, strictly rising, all within the three years.

    A newcomer enters a few books in one sitting; after that the gaps are exponential with a pace of the reader's own
    (median nine days), squeezed where the three years are too short for so many.
    """
    first_sitting = min(n, 2 + int(5 * rng.random()))
    start = int(arrival) * MINUTES_A_DAY + _minute_of_day(rng)
    sitting = start + np.cumsum(1 + (7 * rng.random(first_sitting)).astype(np.int64))
    pace = 9.0 * np.exp(0.6 * rng.standard_normal())
    gaps = -np.log1p(-rng.random(n - first_sitting))
    days = int(arrival) + 1 + np.cumsum(gaps) * pace
    if len(days) and days[-1] >= DAYS:
        days = int(arrival) + 1 + np.cumsum(gaps) * (DAYS - int(arrival) - 1.001) / gaps.sum()
    later = np.array([_weekend(rng, int(day)) * MINUTES_A_DAY + _minute_of_day(rng) for day in days], dtype=np.int64)
    return _strictly_rising(np.concatenate([sitting, later]))


def _minute_of_day(rng: np.random.Generator) -> int:
    hour = int(np.searchsorted(np.cumsum(HOURS), rng.random() * sum(HOURS), side="right"))
    return 60 * hour + int(60 * rng.random())


def _weekend(rng: np.random.Generator, day: int) -> int:
    """One weekday in six waits for the weekend, its first day or its second."""
    to_saturday = (SATURDAY - OPENED.weekday() - day) % 7
    to_weekend = to_saturday + int(2 * rng.random())
    waits = 0 < to_saturday < SUNDAY and rng.random() < 1 / 6 and day + to_weekend < DAYS
    return day + to_weekend if waits else day


def _strictly_rising(minutes: Ints) -> Ints:
    """Sorted, no two equal, none after LAST_MINUTE: pushed apart by a minute where need be."""
    steps = np.arange(len(minutes))
    apart = np.maximum.accumulate(np.sort(minutes) - steps) + steps
    return np.asarray(np.minimum(apart, LAST_MINUTE - steps[::-1]))
