"""Top lists of stock models: one way to ask, one way to score many readers at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from models.evaluation.rankers import Ranker, Top
from models.taste import best_first
from models.training.interactions import Interactions

ALIKE = (0.0, 0.0, 0.0, 1.0, 1.0)
"""Stock models know liked or not: four and five stars count 1, fewer nothing."""

TOGETHER = 256
"""Readers scored at a time: 10 MB of scores with 10,000 books."""

Scores: TypeAlias = NDArray[np.floating]
Weights: TypeAlias = NDArray[np.float32] | csr_matrix


@dataclass(frozen=True)
class Query:
    """What a reader's ratings say about them.

    Attributes:
        recency: r in the weight (1 + back)^-r of a rating, with ``back`` ratings of any stars after it; 0 is stock.
        star_weights: Evidence in 1 to 5 stars, ≥ 0.
    """

    recency: float = 0.0
    star_weights: tuple[float, float, float, float, float] = ALIKE

    def rows(self, history: Interactions, readers: NDArray[np.integer]) -> csr_matrix:
        """(readers, books) float32: weights of what they rated; ratings that say nothing are there with 0."""
        bounds = history.bounds
        starts, stops = bounds[readers], bounds[readers + 1]
        count = stops - starts
        offsets = np.concatenate([[0], np.cumsum(count)])
        at = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], count)
        back = np.repeat(stops, count) - 1 - at
        weight = np.asarray(self.star_weights)[history.stars[at] - 1] * (1.0 + back) ** -self.recency
        return csr_matrix(
            (weight.astype(np.float32), history.book[at], offsets), shape=(len(readers), history.book_count)
        )


class Stock(Ranker, Protocol):
    """A stock model that folds readers in, so that their query can be weighted without learning anew."""

    @property
    def query(self) -> Query: ...

    def asked(self, query: Query) -> Self: ...


def likes(train: Interactions, query: Query) -> csr_matrix:
    """(readers, books) float32, what stock models learn from: the evidence of the stars, without any decay."""
    everyone = replace(query, recency=0.0).rows(train, np.arange(train.reader_count))
    everyone.eliminate_zeros()
    everyone.sort_indices()
    return everyone


def ranked(
    scored: Callable[[csr_matrix, NDArray[np.integer]], Scores],
    query: Query,
    history: Interactions,
    readers: NDArray[np.integer],
    depth: int,
) -> Top:
    """Lists of the best scores above 0, without the books rated; none for a reader who has liked nothing.

    Args:
        scored: Query rows (b, books) of readers (b,), to scores (b, books).
        query: How their ratings are weighted.
        history: What they have rated.
        readers: Numbers in ``history``.
        depth: Places in a list.
    """
    found = np.full((len(readers), depth), -1, dtype=np.int32)
    for start in range(0, len(readers), TOGETHER):
        batch = readers[start : start + TOGETHER]
        rated = query.rows(history, batch)
        liked = rated.copy()
        liked.eliminate_zeros()
        asking = np.flatnonzero(np.diff(liked.indptr))
        if not len(asking):
            continue
        scores = scored(liked[asking], batch[asking])
        for i, own in zip(asking, scores, strict=True):
            own[rated.indices[rated.indptr[i] : rated.indptr[i + 1]]] = 0.0
            best = best_first(own, depth)
            found[start + i, : len(best)] = best
    return found


@dataclass(frozen=True)
class ItemWeights:
    """Scores are the query times the weights, (books, books), rows from, columns to."""

    weights: Weights
    query: Query

    def asked(self, query: Query) -> Self:
        return replace(self, query=query)

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        return ranked(self._scores, self.query, history, readers, depth)

    def _scores(self, liked: csr_matrix, _readers: NDArray[np.integer]) -> Scores:
        product = liked @ self.weights
        return np.asarray(product.toarray() if issparse(product) else product)
