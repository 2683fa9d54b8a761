"""Collaborative filtering that is folded in at request time: the bundle knows books, the request brings the reader."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Self
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, check
from models.ids import unpack
from models.reader import Pick, Reader
from models.reasons import because


class Taste:
    """Scores every book by what the reader liked, the latest most.

    The reader's query is ``q = Σ w_i · v_i`` over the books rated, the score of book j is ``q · v_j``, and so the part
    of book i in it is ``w_i · v_i · v_j``, exactly. ``w_i`` is the evidence of the stars times ``(1 + back)^-recency``,
    where ``back`` counts the ratings made after it. ``v`` are the bundle's item factors, which contain the ridge of the
    fold-in already (see ``models.training.als.fold_in_factors``).

    A book rated with stars that are no evidence of liking (weight 0) takes its place in the order and nothing else. A
    muted book, or one that the model does not know, is as if it had never been rated.
    """

    name = "taste"

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes the arrays of a bundle.

        Raises:
            BundleRefused: They are not as ``models.bundle.SCHEMA`` says.
        """
        check(arrays)
        self.books = unpack(arrays["book_ids"].astype(np.uint8, copy=False))
        self.rows = {book: row for row, book in enumerate(self.books)}
        self.factors = arrays["item_factors"].astype(np.float32, copy=False)
        self._evidence = arrays["star_weights"].astype(np.float64)
        self._recency = float(arrays["recency"].astype(np.float64))

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        return cls(bundle.arrays)

    def weights(self, stars: NDArray[np.integer]) -> NDArray[np.float32]:
        """How much each rating says.

        Args:
            stars: Shape (m,), 1 to 5, oldest first.

        Returns:
            Shape (m,), ≥ 0.
        """
        back = np.arange(len(stars) - 1, -1, -1)
        return np.asarray(self._evidence[stars - 1] * (1.0 + back) ** -self._recency, dtype=np.float32)

    def fold_in(self, rows: NDArray[np.integer], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The reader as a point among the books: shape (k,). Scores are ``factors @ query``."""
        return np.asarray(weights @ self.factors[rows])

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        """The best ``n`` books with a positive score, each with the shares of the reader's books in it.

        A linear score x > 0 becomes ``√(x / (1 + x))``: in 0..1, in the same order, and legible where x, an inner
        product of short vectors, is small.
        """
        rows, weights = self._liked(reader)
        if not len(rows):
            return []  # nothing liked yet: the next source answers
        scores = self.factors @ self.fold_in(rows, weights)
        best = best_first(scores, n, self._eligible(reader, within))
        contributions = (self.factors[best] @ self.factors[rows].T) * weights
        liked = [self.books[row] for row in rows]
        return [
            Pick(self.books[row], float(np.sqrt(score / (1.0 + score))), self.name, because(liked, parts))
            for row, score, parts in zip(best, scores[best].astype(np.float64), contributions, strict=True)
        ]

    def _liked(self, reader: Reader) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Rows and weights of the books that speak for something, oldest first."""
        counted = [r for r in reader.ratings if r.book_id in self.rows and r.book_id not in reader.muted]
        weights = self.weights(np.array([r.stars for r in counted], dtype=np.intp))
        rows = np.array([self.rows[r.book_id] for r in counted], dtype=np.intp)
        return rows[weights > 0], weights[weights > 0]

    def _eligible(self, reader: Reader, within: AbstractSet[UUID] | None) -> NDArray[np.bool_]:
        eligible = np.full(len(self.books), within is None)
        eligible[self._known(within or ())] = True
        eligible[self._known(reader.barred)] = False
        return eligible

    def _known(self, books: AbstractSet[UUID] | tuple[()]) -> list[int]:
        return [self.rows[book] for book in books if book in self.rows]


def best_first(scores: NDArray[np.floating], n: int, eligible: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Rows of the ``n`` largest scores above 0, best first; equal scores by row, so that the order is always the same.

    Args:
        scores: Shape (books,). What is not finite is not chosen.
        n: ≥ 0.
        eligible: Shape (books,); all when None.
    """
    usable = np.isfinite(scores) & (scores > 0)
    rows = np.flatnonzero(usable if eligible is None else usable & eligible)
    if n < len(rows):
        # All that reach the n-th largest score, ties included: argpartition alone would choose among ties by accident.
        least = np.partition(scores[rows], len(rows) - n)[len(rows) - n] if n > 0 else np.inf
        rows = rows[scores[rows] >= least]
    return rows[np.argsort(-scores[rows], kind="stable")][:n]
