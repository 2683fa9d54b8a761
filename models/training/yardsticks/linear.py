"""Linear models between books in closed form: EASE and PureSVD."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from models.evaluation.rankers import Top
from models.training.interactions import Interactions
from models.training.yardsticks.lists import ItemWeights, Query, Scores, likes, ranked

STOCK_QUERY = Query()


def ease(train: Interactions, ridge: float = 200.0, query: Query = STOCK_QUERY) -> ItemWeights:
    """EASE (Steck 2019, equation 8): B = I - P · diag(1 / diag P) with P = (XᵀX + λI)⁻¹, diagonal zero.

    Two square matrices of float32 at a time: .8 GB for 10,000 books, where it takes about half a minute on one core.
    """
    return ItemWeights(ease_weights(likes(train, query), ridge), query)


def ease_weights(liked: csr_matrix, ridge: float) -> NDArray[np.float32]:
    """B, (books, books), from X, (readers, books); λ = ``ridge`` > 0."""
    gram = (liked.T @ liked).astype(np.float32).toarray(order="F")
    gram[np.diag_indices_from(gram)] += ridge
    factor, failed = lapack.spotrf(gram, lower=False, overwrite_a=True)
    inverse, failed_too = lapack.spotri(factor, lower=False, overwrite_c=True)
    if failed or failed_too:
        raise np.linalg.LinAlgError(f"XᵀX + {ridge} I is not positive definite")
    # Only the upper triangle is filled in; column j over its own diagonal element.
    diagonal = inverse.diagonal().copy()
    weights: NDArray[np.float32] = np.ascontiguousarray(np.triu(inverse, 1))
    del inverse
    weights += weights.T.copy()
    weights /= -diagonal
    return weights


class PureSvd:
    """PureSVD (Cremonesi, Koren and Turrin 2010): a reader's likes projected on the first right singular vectors."""

    def __init__(self, factors: NDArray[np.floating], query: Query) -> None:
        """``factors`` is V, (books, k)."""
        self._factors, self.query = factors, query

    @classmethod
    def learned(cls, train: Interactions, factors: int = 64, query: Query = STOCK_QUERY) -> "PureSvd":
        liked = likes(train, query)
        k = min(factors, *(side - 1 for side in liked.shape))
        start = np.random.default_rng(0).normal(size=min(liked.shape))
        return cls(svds(liked, k, v0=start, return_singular_vectors="vh")[2].T.astype(np.float32), query)

    def asked(self, query: Query) -> "PureSvd":
        return PureSvd(self._factors, query)

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        return ranked(self._scores, self.query, history, readers, depth)

    def _scores(self, liked: csr_matrix, _readers: NDArray[np.integer]) -> Scores:
        return np.asarray((liked @ self._factors) @ self._factors.T)
