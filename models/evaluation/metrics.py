"""Quality of top lists, per reader, so that readers can be resampled and sliced.

``hits`` is (readers, depth) bool: whether the book at that place is one the reader came to like, best place first,
False where a list is shorter. ``relevant`` is (readers,) int, ≥ 1: how many books the reader came to like; ``k`` ≤
depth.
"""

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Counts = NDArray[np.integer]
PerReader = NDArray[np.float64]


def ndcg(hits: Hits, relevant: Counts, k: int) -> PerReader:
    """Discounted gain of the first k over that of an ideal list, gain 1, discount log2(place + 1).

    Järvelin and Kekäläinen (2002), binary relevance; the ideal list has min(k, relevant) hits.
    """
    discount = 1 / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(discount)[np.minimum(relevant, k) - 1]
    return np.asarray((hits[:, :k] @ discount) / ideal)


def recall(hits: Hits, relevant: Counts, k: int) -> PerReader:
    """Found of what there was to find; cannot reach 1 for a reader who came to like more than k."""
    return np.asarray(hits[:, :k].sum(axis=1) / relevant)


def hit_rate(hits: Hits, k: int) -> PerReader:
    """1 when there is at least one hit among the first k, else 0."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def average_precision(hits: Hits, relevant: Counts, k: int) -> PerReader:
    """Mean over min(k, relevant) of the precision at each hit's place; MAP@k is its mean over readers."""
    precision = np.cumsum(hits[:, :k], axis=1) / np.arange(1, k + 1)
    return np.asarray((precision * hits[:, :k]).sum(axis=1) / np.minimum(relevant, k))


def coverage(top: NDArray[np.integer], book_count: int, k: int) -> float:
    """Share of all books that somebody is shown among the first k.

    Args:
        top: (readers, depth), book numbers, -1 where a list is shorter.
        book_count: Of the whole library, > 0.
        k: ≤ depth.
    """
    shown = np.unique(top[:, :k])
    return float((shown >= 0).sum() / book_count)


def novelty(top: NDArray[np.integer], raters: NDArray[np.integer], reader_count: int, k: int) -> PerReader:
    """Mean surprise in bits of the first k: -log2 of the share of readers who had rated the book.

    Vargas and Castells (2011), equation 6 with a flat discount; a book that nobody had rated counts as rated by one.

    Args:
        top: (readers, depth), book numbers, -1 where a list is shorter.
        raters: (books,), how many readers had rated each.
        reader_count: All readers, > 0.
        k: ≤ depth.

    Returns:
        (readers,); 0 for an empty list.
    """
    surprise = -np.log2(np.maximum(raters, 1) / reader_count)
    there = top[:, :k] >= 0
    summed = np.where(there, surprise[top[:, :k]], 0.0).sum(axis=1)
    return np.asarray(summed / np.maximum(there.sum(axis=1), 1))
