"""What liking one book says about every other: an item-item regression in closed form, its largest weights kept.

It is EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data") with a time kernel in the Gram matrix, a
directional target, and shared authors and series as if readers had spoken for them. With reader r's evidence w for
their books at the positions p in the order of all their ratings, forward pairs are

    F_ij = Σ_r [p_i < p_j] k(p_j - p_i) w_i w_j,     k(d) = ((d + offset) / offset) ^ -exponent

and G = F + Fᵀ + diag(Σ w²) is the Gram matrix, T = F + backward · Fᵀ the target; both get author_weight · A Aᵀ and
series_weight · S Sᵀ. (k is convex and falls to 0, so that G has no negative eigenvalue: Pólya.) With
P = (G + ridge + ridge_share · diag G)⁻¹, the weights that predict T under a zero diagonal are
B = P T - P · diag((P T)_jj / P_jj). Column j of B is a ridge regression of book j on all others.

A dense P of m books takes m² memory and m³ time. Beyond ``core`` books see ``models.training.itemtail``.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from models.training.als import NothingToLearn
from models.training.interactions import Interactions
from models.training.itempairs import Evidence, Groups, ItemItemParams, groups, largest
from models.training.itemtail import Pairs, add_tail, measured_damping, penalised_diagonal

__all__ = ["Fitted", "ItemItemParams", "NothingToLearn", "core_size", "fit"]

BLOCK = 1_000  # rows worked on at a time: bounds what is needed beside the two square matrices
SQUARES = 3  # square float32 matrices of the core that must fit: two are kept, one is room for blocks


@dataclass(frozen=True)
class Fitted:
    """Sparse rows of B: what liking book i says about others.

    Attributes:
        index: (m, k) int32, the books that row i speaks for, largest weight first.
        weight: (m, k) float32, > 0; rows with fewer than k positive weights end in index 0 with weight 0.
        core: How many books were solved densely; m when all were.
    """

    index: NDArray[np.int32]
    weight: NDArray[np.float32]
    core: int


def fit(
    interactions: Interactions,
    catalogue_author: NDArray[np.int32],
    catalogue_series: NDArray[np.int32],
    params: ItemItemParams,
    announce: Callable[[str], None] | None = None,
) -> Fitted:
    """Learns the weights of all books, those without a rating through their author and series.

    Args:
        interactions: Ratings of readers; ``book_count`` = m books.
        catalogue_author: (m,) int32, books of one author share a code; negative: unknown.
        catalogue_series: (m,) int32, likewise.
        params: The recipe.
        announce: Told in one line when the library is too large for one dense solution.

    Raises:
        NothingToLearn: No rating has a positive star weight.
        ValueError: The catalogue has not m books, or the ridge is too small for the matrix to be inverted.
    """
    books = interactions.book_count
    if len(catalogue_author) != books or len(catalogue_series) != books:
        raise ValueError(f"{len(catalogue_author)} authors, {len(catalogue_series)} series, {books} books")
    evidence = Evidence.of(interactions, params)
    if not len(evidence.book):
        raise NothingToLearn("no rating speaks for any book: nothing to learn from")
    shared = groups(((catalogue_author, params.author_weight), (catalogue_series, params.series_weight)))
    # Most-rated first: the core are the first ``core`` of them.
    order = np.argsort(-np.bincount(evidence.book, minlength=books), kind="stable")
    core = core_size(books, params.core)
    core_books = np.sort(order[:core]).astype(np.int32)
    with threadpool_limits(limits=params.threads or None, user_api="blas"):
        inverse, target = _solve(evidence.among(core_books, books), shared.among(core_books, books), core, params)
        index, weight = _prune(inverse, target, min(params.neighbours, books))
        if core < books:
            pairs = Pairs(evidence, shared, penalised_diagonal(evidence, shared, books, params))
            damping = params.tail_damping
            if damping is None:
                damping = measured_damping(target, pairs.penalised[core_books], weight)
            del target
            if announce:
                announce(
                    f"item-item: {core:,} of {books:,} books solved densely, the others one by one, x {damping:.2f}"
                )
            solved = (np.where(weight > 0, core_books[index], 0).astype(np.int32), weight)
            index, weight = add_tail(pairs, core_books, inverse, solved, damping, params)
    return Fitted(index, weight, core)


def core_size(books: int, core: int | None) -> int:
    """Books to solve densely: at most ``core``; None takes as many as half of the machine's memory holds."""
    if core is None:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        core = isqrt(memory // 2 // (SQUARES * np.dtype(np.float32).itemsize))
    return min(books, core)


def _solve(
    evidence: Evidence, shared: Groups, books: int, params: ItemItemParams
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """P and T, each (books, books) float32; no third matrix of that size is ever made."""
    target = _forward(evidence, books, params)
    gram = _gram(target, params.backward)
    diagonal = np.arange(books)
    gram[diagonal, diagonal] += evidence.squares(books)
    for members, weight in shared.each():
        for book in members:
            gram[book, members] += weight
            target[book, members] += weight
    gram[diagonal, diagonal] += params.ridge + params.ridge_share * gram[diagonal, diagonal]
    # LAPACK counts by columns: to it the lower triangle of an array in rows is the upper one, and it works in place.
    factor, info = lapack.spotrf(gram.T, lower=0, clean=0, overwrite_a=1)
    if info == 0:
        factor, info = lapack.spotri(factor, lower=0, overwrite_c=1)
    if info != 0:
        raise ValueError(f"the Gram matrix cannot be inverted (LAPACK {info}): the ridge {params.ridge} is too small")
    inverse: NDArray[np.float32] = factor.T
    for rows, columns in _lower_blocks(books):
        block = inverse[rows, columns]
        inverse[columns, rows] = block.T if rows != columns else np.tril(block) + np.tril(block, -1).T
    return inverse, target


def _forward(evidence: Evidence, books: int, params: ItemItemParams) -> NDArray[np.float32]:
    """F, (books, books)."""
    forward = np.zeros((books, books), dtype=np.float32)
    flat = forward.reshape(-1)
    for earlier, later, value in evidence.ordered_pairs(params):
        np.add.at(flat, evidence.book[earlier].astype(np.int64) * books + evidence.book[later], value)
    return forward


def _gram(forward: NDArray[np.float32], backward: float) -> NDArray[np.float32]:
    """The lower triangle of F + Fᵀ (above it: undefined); ``forward`` becomes F + backward · Fᵀ in place."""
    gram = np.empty_like(forward)
    share = np.float32(backward)
    for rows, columns in _lower_blocks(len(forward)):
        ahead, behind = forward[rows, columns].copy(), forward[columns, rows].T.copy()
        gram[rows, columns] = ahead + behind
        forward[rows, columns] = ahead + share * behind
        forward[columns, rows] = (behind + share * ahead).T
    return gram


def _lower_blocks(size: int) -> Iterator[tuple[slice, slice]]:
    """Blocks that cover the lower triangle, those on the diagonal whole."""
    for row in range(0, size, BLOCK):
        for column in range(0, row + 1, BLOCK):
            yield slice(row, min(size, row + BLOCK)), slice(column, min(size, column + BLOCK))


def _prune(
    inverse: NDArray[np.float32], target: NDArray[np.float32], neighbours: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The largest weights of every row of B, a block of rows at a time: B itself is never whole."""
    books = len(inverse)
    blocks = [slice(row, min(books, row + BLOCK)) for row in range(0, books, BLOCK)]
    unforced = np.concatenate([np.einsum("ij,ji->i", inverse[rows], target[:, rows]) for rows in blocks])
    forced = unforced / np.diagonal(inverse)
    kept = []
    for rows in blocks:
        weights = inverse[rows] @ target
        weights -= inverse[rows] * forced
        weights[np.arange(len(weights)), np.arange(rows.start, rows.stop)] = 0
        kept.append(largest(weights, neighbours))
    return np.concatenate([index for index, _ in kept]), np.concatenate([weight for _, weight in kept])
