"""Top lists for many readers at once, by the very scores that serving gives to one."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.ids import unpack
from models.reader import LIKED_FROM
from models.taste import Taste
from models.training.interactions import Interactions

Top = NDArray[np.int32]
"""(readers, depth): book numbers of the ``Interactions``, best first, -1 where a list is shorter."""


class Ranker(Protocol):
    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        """The best ``depth`` books for each of ``readers`` that are not in their history."""
        ...


def refuse_wrong(top: Top, history: Interactions, readers: NDArray[np.integer]) -> None:
    """What no honest list holds would change the figures in silence: a book twice is a hit twice.

    Args:
        top: (readers, depth), as a ranker made it.
        history: What the readers had rated.
        readers: Whose lists these are.

    Raises:
        ValueError: A list repeats a book, holds one that its reader had rated or one that is none; or there is not one
            list for each reader.
    """
    if top.ndim != 2 or len(top) != len(readers):  # noqa: PLR2004 - readers and places
        raise ValueError(f"lists of shape {top.shape} for {len(readers)} readers")
    if top.size and not (top.min() >= -1 and top.max() < history.book_count):
        raise ValueError(f"lists hold books {top.min()} to {top.max()}: there are {history.book_count}")
    in_order = np.sort(top, axis=1)
    if ((np.diff(in_order, axis=1) == 0) & (in_order[:, 1:] >= 0)).any():
        raise ValueError("a list repeats a book")
    rated = history.reader.astype(np.int64) * history.book_count + history.book
    shown = readers.astype(np.int64)[:, None] * history.book_count + top
    if np.isin(shown[top >= 0], rated).any():
        raise ValueError("a list holds a book that its reader had rated")


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


class ServedRanker:
    """``Taste`` reader by reader, by the very code that answers a request: candidates, re-ranker and diversity."""

    def __init__(self, taste: Taste, diversity: float = 0.0) -> None:
        self._taste = taste
        self._diversity = diversity

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        return self.scored(history, readers, depth)[0]

    def scored(
        self, history: Interactions, readers: NDArray[np.integer], depth: int
    ) -> tuple[Top, NDArray[np.float64]]:
        """The lists and, of the same shape, the scores that the readers would see: 0 where a list is shorter."""
        taste, bounds = self._taste, history.bounds
        row_of = np.array([taste.rows.get(book, -1) for book in unpack(history.book_ids)], dtype=np.intp)
        book_of = np.full(len(taste.books), -1, dtype=np.int32)
        book_of[row_of[row_of >= 0]] = np.flatnonzero(row_of >= 0)
        found, scores = np.full((len(readers), depth), -1, dtype=np.int32), np.zeros((len(readers), depth))
        for i, reader in enumerate(readers):
            own = slice(bounds[reader], bounds[reader + 1])
            rows = row_of[history.book[own]]
            known = taste.known(rows[rows >= 0], history.stars[own][rows >= 0].astype(np.intp))
            eligible = (book_of >= 0) & taste.unread(known.rows)
            best = taste.ranking(known, depth, eligible, self._diversity)
            found[i, : len(best.rows)], scores[i, : len(best.rows)] = book_of[best.rows], best.scores
        return found, scores
