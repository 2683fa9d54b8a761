"""Reasons are arithmetic: whose contribution made this score."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.reader import Because

MOST_REASONS = 3
LEAST_SHARE = 0.01
"""What says less is no reason to name a book for, unless nothing says more."""


def shares(contributions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each contribution's part of the positive ones.

    Args:
        contributions: Shape (m,), finite: the terms whose sum is the linear score.

    Returns:
        Shape (m,), each in 0..1, adding up to 1; a negative contribution has share 0. All zeros when none is positive.
    """
    positive = np.maximum(contributions.astype(np.float64), 0.0)
    total = positive.sum()
    return positive / total if total > 0 else positive


def because(
    books: Sequence[UUID], contributions: NDArray[np.floating], most: int = MOST_REASONS
) -> tuple[Because, ...]:
    """The ``most`` books with the largest shares, largest first.

    The shares are those of all the books, so that they add up to less than 1 when some are left out: those beyond
    ``most``, and those below ``LEAST_SHARE`` but for the largest.

    Args:
        books: The reader's, oldest first; of equal shares the newer book comes first.
        contributions: Shape (m,), of these books to one pick.
        most: How many are named.
    """
    parts = shares(contributions)
    newest_first = np.arange(len(parts))[::-1]
    best = newest_first[np.argsort(-parts[newest_first], kind="stable")][:most]
    least = min(LEAST_SHARE, parts.max(initial=0.0))
    return tuple(Because(books[row], float(parts[row])) for row in best if parts[row] >= least > 0)
