"""What most readers like: the source that always has something to say."""

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import islice, pairwise
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.reader import Pick, Reader


def shrunken_mean(n: ArrayLike, total: ArrayLike, prior_mean: float, prior_weight: float) -> NDArray[np.float64]:
    """The posterior mean of a rating, so that one five-star review does not beat a thousand good ones.

    ``(total + prior_weight · prior_mean) / (n + prior_weight)``: the Bayesian average, as if each book had come with
    ``prior_weight`` ratings (> 0) of ``prior_mean`` stars.

    Args:
        n: Number of ratings of each book, ≥ 0.
        total: Sum of their stars, of the same shape.
        prior_mean: Mean stars over the library.
        prior_weight: How many ratings that mean is worth.
    """
    stars = np.asarray(total, dtype=np.float64) + prior_weight * prior_mean
    return np.asarray(stars / (np.asarray(n, dtype=np.float64) + prior_weight))


class Popular:
    """The same list for everybody, without what the reader has rated or hidden."""

    name = "popular"

    def __init__(self, ranking: Sequence[tuple[UUID, float]]) -> None:
        """Takes a finished ranking.

        Args:
            ranking: (book, score), best first; scores finite, in 0..1, never rising; each book once.

        Raises:
            ValueError: The ranking is not so.
        """
        scores = [score for _, score in ranking]
        if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
            raise ValueError("a popular ranking has scores in 0..1")
        if any(after > before for before, after in pairwise(scores)):
            raise ValueError("a popular ranking comes best first")
        if len({book for book, _ in ranking}) < len(ranking):
            raise ValueError("a popular ranking names each book once")
        self._ranking = tuple(ranking)

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        barred = reader.barred
        eligible = (
            Pick(book, score, self.name)
            for book, score in self._ranking
            if book not in barred and (within is None or book in within)
        )
        return list(islice(eligible, n))
