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


def coverage_curve(top: NDArray[np.integer], book_count: int) -> PerReader:
    """Share of all books that somebody is shown among the first k, for k = 1 … depth: (depth,), never falling.

    Args:
        top: (readers, depth), book numbers, -1 where a list is shorter.
        book_count: Of the whole library, > 0.
    """
    readers, depth = top.shape
    # Place by place: the first appearance in this order is the best place that the book has anywhere.
    books, first = np.unique(top.T, return_index=True)
    place = first[books >= 0] // max(readers, 1)
    return np.asarray(np.cumsum(np.bincount(place, minlength=depth)) / book_count)


def distinct_authors(top: NDArray[np.integer], author: NDArray[np.integer], k: int) -> PerReader:
    """How many authors the first k are of.

    Args:
        top: (readers, depth), book numbers, -1 where a list is shorter.
        author: (books,) ≥ 0: equal numbers, same author.
        k: ≤ depth.

    Returns:
        (readers,); 0 for an empty list.
    """
    shown = top[:, :k]
    sorted_authors = np.sort(np.where(shown >= 0, author[shown], -1), axis=1)
    fresh = np.diff(sorted_authors, axis=1, prepend=-1) != 0
    return np.asarray(fresh.sum(axis=1), dtype=np.float64)


def genre_entropy(top: NDArray[np.integer], genres: NDArray[np.bool_], k: int) -> PerReader:
    """How mixed the genres of the first k are, in bits: -Σ p log2 p (Shannon 1948, section 6).

    A book of several genres gives each an equal part of itself; a book of none says nothing.

    Args:
        top: (readers, depth), book numbers, -1 where a list is shorter.
        genres: (books, genres).
        k: ≤ depth.

    Returns:
        (readers,), 0 … log2(genres); 0 for a list without genres.
    """
    parts = genres / np.maximum(genres.sum(axis=1, keepdims=True), 1)
    parts = np.vstack([parts, np.zeros((1, genres.shape[1]))])  # the last row is what -1 stands for
    mixed = np.zeros((len(top), genres.shape[1]))
    for place in range(k):
        mixed += parts[top[:, place]]
    share = mixed / np.maximum(mixed.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    surprise = -np.log2(share, where=share > 0, out=np.zeros_like(share))
    return np.asarray((share * surprise).sum(axis=1))
