"""A list that is not ten times the same: maximal marginal relevance."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.affinity import Affinity
from models.catalogue import Catalogue

POOL: Final = 100
"""Only the best so many may rise: what is below is not good enough to be chosen for being different."""

DEFAULT: Final = 0.15
"""The diversity of a reader who has not chosen one. On goodbooks (validation, 2,299 readers, NDCG@10 .163 with 6.6
authors in ten) .12 costs .4 % of NDCG for 7.5 authors, .15 .7 % [-.2, 1.5] for 7.7, .18 1.3 % for 7.9, .3 5 %."""

SAME_AUTHOR, SAME_SERIES, SAME_GENRES = 0.5, 0.1, 0.4
"""How alike two books are, part by part; the author most, for it is authors that make a list look monotonous. A series
is nearly always of one author, so that two volumes are alike by .6 and their genres. For as many authors in ten, the
author alone (1, 0, 0) costs .3 % more NDCG, and genres before authors (.3, 0, .7) as much as these."""


class Likeness:
    """How alike books are, from the catalogue alone: also of books that nobody has rated."""

    def __init__(self, catalogue: Catalogue, affinity: Affinity) -> None:
        self._catalogue = catalogue
        self._vectors = affinity.vectors

    def among(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Of each pair of these books.

        Args:
            rows: Shape (n,).

        Returns:
            Shape (n, n), symmetric, in 0..1: 1 for editions of one work, else .5 for the same author + .1 for the same
            series + .4 · the cosine of the genres.
        """
        return self._between(rows[:, None], rows, self._vectors[rows] @ self._vectors[rows].T)

    def to(self, row: int) -> NDArray[np.float32]:
        """Of every book to one: shape (m,), as ``among``."""
        return self._between(np.arange(len(self._vectors)), np.array(row), self._vectors @ self._vectors[row])

    def _between(
        self, these: NDArray[np.integer], those: NDArray[np.integer], genres: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        author, series, work = self._catalogue.author, self._catalogue.series, self._catalogue.work
        alike = np.float32(SAME_GENRES) * genres
        alike += np.float32(SAME_AUTHOR) * ((author[these] == author[those]) & (author[these] >= 0))
        alike += np.float32(SAME_SERIES) * ((series[these] == series[those]) & (series[these] >= 0))
        alike[(work[these] == work[those]) & (work[these] >= 0)] = 1.0
        return np.asarray(np.clip(alike, 0.0, 1.0))


def mmr(
    scores: NDArray[np.floating], likeness: NDArray[np.floating], diversity: float, n: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Chooses one after another the candidate with the largest marginal value (Carbonell and Goldstein 1998).

    ``value = (1 - d) · s / s_max + d · (1 - the largest likeness to what has been chosen)``, d the diversity; equal
    values by place. The score shown is ``s_max · value``.

    It never rises down the list: what is chosen only grows, so a candidate's largest likeness never falls and its
    value never rises from one round to the next. The winner of round k + 1 was a candidate in round k, had at least
    its present value then, and lost to the winner of round k. It is in 0..s_max: the value is a mean of two numbers
    in 0..1. And the first is the best, with value 1 and its own score.

    Args:
        scores: Shape (c,), in 0..1, never rising.
        likeness: Shape (c, c), in 0..1.
        diversity: 0..1; 0 leaves order and scores as they are, 1 looks at nothing but the likeness after the first.
        n: How many are wanted, ≥ 0.

    Returns:
        Places of the chosen, and the scores to show: both of shape (min(n, c),). Of a shorter list it is the
        beginning.

    Raises:
        ValueError: ``diversity`` is not in 0..1.
    """
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity is in 0..1, not {diversity}")
    wanted = min(n, len(scores))
    own = scores.astype(np.float64)
    if diversity == 0 or not wanted:
        return np.arange(wanted), own[:wanted]
    best = own[0]
    relevance = (1 - diversity) * (own / best if best > 0 else np.ones_like(own))
    different = diversity * (1 - likeness.astype(np.float64))
    # What a candidate would be worth at most is kept up to date: one row of differences a round.
    value = relevance + diversity
    order, values = np.empty(wanted, dtype=np.intp), np.empty(wanted)
    for place in range(wanted):
        winner = int(value.argmax())
        order[place], values[place] = winner, value[winner]
        np.minimum(value, relevance + different[winner], out=value)
        value[winner] = -np.inf  # never again
    return order, best * np.minimum(values, 1.0)  # (1 - d) + d may be a rounding above 1
