"""Top lists for many readers at once, by the very scores that serving gives to one."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.ids import unpack
from models.taste import Taste, best_first
from models.training.interactions import Interactions

TOGETHER = 256
"""Readers scored at a time: 10 MB of scores with 10,000 books."""

LIKED_FROM = 4
"""A book with so many stars is one that the reader came to like."""

Top = NDArray[np.int32]
"""(readers, depth): book numbers of the ``Interactions``, best first, -1 where a list is shorter."""


class Ranker(Protocol):
    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        """The best ``depth`` books for each of ``readers`` that are not in their history."""
        ...


class TasteRanker:
    """``Taste`` for many readers: the same weights, fold-in and order, the scores of a batch in one product."""

    def __init__(self, taste: Taste) -> None:
        self._taste = taste

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        taste, bounds = self._taste, history.bounds
        # The model's row of each book, and back; books that it does not know have none.
        row_of = np.array([taste.rows.get(book, -1) for book in unpack(history.book_ids)], dtype=np.int64)
        book_of = np.zeros(len(taste.books), dtype=np.int32)
        book_of[row_of[row_of >= 0]] = np.flatnonzero(row_of >= 0)
        found = np.full((len(readers), depth), -1, dtype=np.int32)
        for start in range(0, len(readers), TOGETHER):
            batch = readers[start : start + TOGETHER]
            queries = np.zeros((len(batch), taste.factors.shape[1]), dtype=np.float32)
            rated = []
            for i, reader in enumerate(batch):
                own = slice(bounds[reader], bounds[reader + 1])
                rows = row_of[history.book[own]]
                known = rows >= 0
                queries[i] = taste.fold_in(rows[known], taste.weights(history.stars[own][known]))
                rated.append(rows[known])
            scores = queries @ taste.factors.T
            for i, rows in enumerate(rated):
                scores[i, rows] = 0.0
                best = book_of[best_first(scores[i], depth)]
                found[start + i, : len(best)] = best
        return found


class PopularRanker:
    """The yardstick: the books that most readers of the training part gave four stars or more."""

    def __init__(self, train: Interactions) -> None:
        likes = np.bincount(train.book[train.stars >= LIKED_FROM], minlength=train.book_count)
        self._order = np.argsort(-likes, kind="stable").astype(np.int32)

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        bounds = history.bounds
        found = np.full((len(readers), depth), -1, dtype=np.int32)
        for i, reader in enumerate(readers):
            rated = history.book[bounds[reader] : bounds[reader + 1]]
            candidates = self._order[: depth + len(rated)]
            best = candidates[~np.isin(candidates, rated)][:depth]
            found[i, : len(best)] = best
        return found


class ChainRanker:
    """What the reader is served: each ranker fills what those before it have left open."""

    def __init__(self, *rankers: Ranker) -> None:
        self._rankers = rankers

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        found = np.full((len(readers), depth), -1, dtype=np.int32)
        for ranker in self._rankers:
            short = np.flatnonzero((found < 0).any(axis=1))
            more = ranker.top(history, readers[short], depth)
            for i, offered in zip(short, more, strict=True):
                have = found[i][found[i] >= 0]
                fresh = offered[(offered >= 0) & ~np.isin(offered, have)]
                filled = np.concatenate([have, fresh])[:depth]
                found[i, : len(filled)] = filled
        return found
