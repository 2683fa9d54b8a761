"""The collaborative-filtering model: implicit's ALS, its book side prepared so that readers fold in by a sum."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from models.training.interactions import Interactions


class NothingToLearn(ValueError):
    """No rating speaks for any book."""


@dataclass(frozen=True)
class AlsParams:
    """A recipe. The defaults were chosen on goodbooks by NDCG@10, on a split carved out of the training part.

    What was tried there (P1, 2,304 readers, popularity .044; the seed alone moves figures by .001):

    - recency 0: .069, .7: .117, .9: .123, 1: .125, 1.1: .125, 1.3: .124: the largest lever by far;
    - factors 64: .106, 128: .117, 192: .121, 256: .125, 320: .125, 384: .126, 512: .126;
    - ridge .01: .121, .1: .122, .3: .123, 1: .125, 3: .123;
    - regularization 10: .123, 30: .125, 40: .125, 50: .124, 60: .122, 100: .109; small libraries want less of it (800
      ratings: 3 to 10; 23,000: 3 to 10; 80,000 of 400 books: 10 to 50), hence the square root below;
    - alpha 3: .121, 5: .122, 10: .125, 20: .124, 40: .122; iterations 4: .123, 8: .124, 15: .124;
    - stars all as one: .116, only 4 and 5: .116, 4 and 5 as 1 and 1.5: .121, with 3 as .4: .124, with 2 as .1: .124; 1
      and 2 as negative evidence in the query: .123;
    - folding in exactly (the reader's own confidences in the matrix to be inverted) instead of by one matrix for all:
      equal within .001 at the best setting of either (128 factors), and a hundred times the work.

    Attributes:
        factors: k; None chooses by the number of books.
        regularization: λ of ALS; None chooses by the number of ratings.
        alpha: Confidence of a rating is 1 + alpha · evidence of its stars (Hu, Koren and Volinsky 2008, section 4).
        iterations: Of ALS, each both sides.
        star_weights: Evidence of liking in 1 to 5 stars, ≥ 0; 0 says nothing.
        recency: Exponent of the decay of a rating with every later one, in the reader's query; not in training.
        ridge: Of the fold-in, relative to the mean eigenvalue of the Gram matrix of the books.
        seed: Same seed, same threads, same arrays.
        threads: 0 for all cores.
    """

    factors: int | None = None
    regularization: float | None = None
    alpha: float = 10.0
    iterations: int = 8
    star_weights: tuple[float, float, float, float, float] = (0.0, 0.0, 0.4, 1.0, 1.5)
    recency: float = 1.0
    ridge: float = 1.0
    seed: int = 0
    threads: int = 0

    def factors_for(self, books: int) -> int:
        """256 from 4,096 books on, fewer for fewer: a small library has fewer tastes to tell apart."""
        return self.factors if self.factors is not None else max(8, min(256, books // 16))

    def regularization_for(self, ratings: int) -> float:
        """λ below which a direction of taste dies out grows with the norm of the data, the square root of its size."""
        return self.regularization if self.regularization is not None else min(40.0, sqrt(ratings) / 8)


def fit(interactions: Interactions, params: AlsParams) -> dict[str, NDArray[np.generic]]:
    """Learns the arrays of a bundle (``models.bundle.SCHEMA``) from ratings.

    Books that nobody likes are not in them. Takes about 2 s for 250,000 ratings of 10,000 books on two cores.

    Raises:
        NothingToLearn: No rating has a positive star weight.
    """
    evidence = np.asarray(params.star_weights, dtype=np.float64)
    weights = evidence[interactions.stars - 1]
    liked = interactions.only(weights > 0)
    if not len(liked):
        raise NothingToLearn("no rating speaks for any book: nothing to learn from")
    confidence = csr_matrix(
        ((1 + params.alpha * weights[weights > 0]).astype(np.float32), (liked.reader, liked.book)),
        shape=(liked.reader_count, liked.book_count),
    )
    # implicit runs threads of its own; BLAS threads beside them fight for the cores (ten times slower).
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=params.factors_for(liked.book_count),
            regularization=params.regularization_for(len(liked)),
            iterations=params.iterations,
            random_state=params.seed,
            num_threads=params.threads,
        )
        model.fit(confidence, show_progress=False)
    known = np.unique(liked.book)
    return {
        "book_ids": interactions.book_ids[known],
        "item_factors": fold_in_factors(model.item_factors[known], params.ridge),
        "star_weights": evidence,
        "recency": np.array(params.recency, dtype=np.float64),
    }


def fold_in_factors(factors: NDArray[np.floating], ridge: float) -> NDArray[np.float32]:
    """Factors V of the books in which folding in is a sum: scores are V Vᵀ w, with a reader's weights w.

    Hu, Koren and Volinsky (2008), equation 4, fold a reader in as x = (YᵀCY + λI)⁻¹ YᵀC p. With the confidences C left
    out of the matrix to be inverted it is the same matrix for every reader, G = YᵀY + λI, and C p is the reader's
    weights: scores are Y G⁻¹ Yᵀ w. With G = L Lᵀ (Cholesky) that is V Vᵀ w, V = Y L⁻ᵀ.

    Whatever made the factors, this is what turns them into a bundle's.

    Args:
        factors: Y, (m, k), as ALS left them.
        ridge: λ, relative to the mean eigenvalue of YᵀY; > 0.

    Returns:
        V, (m, k).

    Raises:
        NothingToLearn: All factors are zero: regularization has pressed every taste out of them.
    """
    exact = factors.astype(np.float64)
    gram = exact.T @ exact
    mean_eigenvalue = np.trace(gram) / len(gram)
    if mean_eigenvalue <= np.finfo(np.float32).tiny:
        raise NothingToLearn("the regularization is too strong for so few ratings: every factor is zero")
    lower = np.linalg.cholesky(gram + ridge * mean_eigenvalue * np.eye(len(gram)))
    folded: NDArray[np.float32] = np.linalg.solve(lower, exact.T).T.astype(np.float32)
    return np.ascontiguousarray(folded)
