"""implicit's factor models as they come: ALS folds readers in, BPR and LMF know their training readers only."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.cpu.lmf import LogisticMatrixFactorization
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models.evaluation.rankers import Top
from models.training.interactions import Interactions
from models.training.yardsticks.lists import Query, Scores, likes, ranked

STOCK_QUERY = Query()


@dataclass(frozen=True)
class StockAls:
    """implicit's ALS with its own exact fold-in (Hu, Koren and Volinsky 2008, equation 4).

    A like with query weight w has confidence (1 + alpha) · w.
    """

    model: AlternatingLeastSquares
    alpha: float
    query: Query

    @classmethod
    def learned(
        cls,
        train: Interactions,
        factors: int = 128,
        regularization: float = 10.0,
        alpha: float = 1.0,
        query: Query = STOCK_QUERY,
    ) -> Self:
        with threadpool_limits(limits=1, user_api="blas"):  # implicit runs threads of its own
            model = AlternatingLeastSquares(
                factors=factors, regularization=regularization, iterations=15, random_state=0
            )
            model.fit(likes(train, query) * np.float32(1 + alpha), show_progress=False)
        return cls(model, alpha, query)

    def asked(self, query: Query) -> Self:
        return replace(self, query=query)

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        with threadpool_limits(limits=1, user_api="blas"):
            return ranked(self._scores, self.query, history, readers, depth)

    def _scores(self, liked: csr_matrix, _readers: NDArray[np.integer]) -> Scores:
        folded = self.model.recalculate_user(np.arange(liked.shape[0]), liked * np.float32(1 + self.alpha))
        return np.asarray(folded @ self.model.item_factors.T)


@dataclass(frozen=True)
class KnownReaders:
    """Scores from factors of both sides: a reader who was not learned has no list, whatever their history.

    Attributes:
        readers: (readers, k); zeros where unknown.
        books: (books, k).
        known: (readers,) who had a like in training.
    """

    readers: NDArray[np.float32]
    books: NDArray[np.float32]
    known: NDArray[np.bool_]

    def top(self, history: Interactions, readers: NDArray[np.integer], depth: int) -> Top:
        found = np.full((len(readers), depth), -1, dtype=np.int32)
        known = np.flatnonzero(self.known[readers])
        found[known] = ranked(self._scores, STOCK_QUERY, history, readers[known], depth)
        return found

    def _scores(self, _liked: csr_matrix, readers: NDArray[np.integer]) -> Scores:
        """Odds: the product is their logarithm in both models."""
        return np.asarray(np.exp((self.readers[readers] @ self.books.T).astype(np.float64)))


def bpr(train: Interactions, factors: int = 128, learning_rate: float = 0.02, iterations: int = 100) -> KnownReaders:
    """Bayesian personalised ranking (Rendle et al. 2009), one thread: several race, and no two runs are alike."""
    model = BayesianPersonalizedRanking(
        factors=factors, learning_rate=learning_rate, iterations=iterations, random_state=0, num_threads=1
    )
    return _fitted(model, train)


def lmf(train: Interactions, factors: int = 32, regularization: float = 1.0, iterations: int = 30) -> KnownReaders:
    """Logistic matrix factorization (Johnson 2014)."""
    model = LogisticMatrixFactorization(
        factors=factors, regularization=regularization, iterations=iterations, random_state=0, num_threads=1
    )
    return _fitted(model, train)


def _fitted(model: BayesianPersonalizedRanking | LogisticMatrixFactorization, train: Interactions) -> KnownReaders:
    liked = likes(train, STOCK_QUERY)
    model.fit(liked, show_progress=False)
    return KnownReaders(model.user_factors, model.item_factors, np.diff(liked.indptr) > 0)
