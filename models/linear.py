"""Linear models of taste: a score is a sum over the reader's own books, so its parts are the reasons."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.integer]
Weights = NDArray[np.floating]


class Linear(Protocol):
    """What a model of taste must say. ``rows`` (n,) are the reader's books, ``weights`` (n,) how much each says."""

    @property
    def book_count(self) -> int: ...

    def scores(self, rows: Rows, weights: Weights) -> NDArray[np.float32]:
        """Of every book: (books,)."""
        ...

    def contributions(self, rows: Rows, weights: Weights, picks: Rows) -> NDArray[np.float32]:
        """(picks, n): the part of each of the reader's books in each pick's score, which is their sum."""
        ...


class Factors:
    """Item factors V: a score is V Vᵀ w (``models.training.als.fold_in_factors``)."""

    def __init__(self, factors: NDArray[np.float32]) -> None:
        self.factors = factors

    @property
    def book_count(self) -> int:
        return len(self.factors)

    def scores(self, rows: Rows, weights: Weights) -> NDArray[np.float32]:
        query = weights.astype(np.float32) @ self.factors[rows]
        return np.asarray(self.factors @ query)

    def scores_of(self, rows: Rows, weights: Weights, picks: Rows) -> NDArray[np.float32]:
        """Of these books alone: (picks,). Reading the factors of all is what takes the time in a large library."""
        query = weights.astype(np.float32) @ self.factors[rows]
        return np.asarray(self.factors[picks] @ query)

    def contributions(self, rows: Rows, weights: Weights, picks: Rows) -> NDArray[np.float32]:
        return np.asarray((self.factors[picks] @ self.factors[rows].T) * weights, dtype=np.float32)


class Neighbours:
    """Item-item weights, of each row only the largest.

    Attributes:
        index: (books, k) int32: what liking the book of this row speaks for. A row that is shorter is filled with
            weights of 0.
        weight: (books, k) float32: how much.
    """

    def __init__(self, index: NDArray[np.int32], weight: NDArray[np.float32]) -> None:
        self.index = index
        self.weight = weight

    @property
    def book_count(self) -> int:
        return len(self.index)

    def scores(self, rows: Rows, weights: Weights) -> NDArray[np.float32]:
        parts = self.weight[rows] * weights[:, None]
        summed = np.bincount(self.index[rows].ravel(), parts.ravel(), minlength=self.book_count)
        return summed.astype(np.float32)

    def contributions(self, rows: Rows, weights: Weights, picks: Rows) -> NDArray[np.float32]:
        place = np.full(self.book_count, -1)
        place[picks] = np.arange(len(picks))
        at = place[self.index[rows]]
        parts = self.weight[rows] * weights[:, None]
        found = np.zeros((len(picks), len(rows)), dtype=np.float32)
        own, slot = np.nonzero((at >= 0) & (parts != 0))
        found[at[own, slot], own] = parts[own, slot]
        return found
