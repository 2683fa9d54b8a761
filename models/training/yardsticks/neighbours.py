"""Models that look at the books nearest to a book: item-kNN, and SLIM with its features chosen among neighbours."""

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender, normalize, tfidf_weight
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from models.training.interactions import Interactions
from models.training.yardsticks.lists import ItemWeights, Query, likes

STOCK_QUERY = Query()
TOGETHER = 256  # books whose regressions are solved at a time: 256 · 200² · 4 bytes is 41 MB
SETTLED = 1e-4  # no weight of a batch moves by more: the sweeps end


def cosine_knn(train: Interactions, neighbours: int = 200, query: Query = STOCK_QUERY) -> ItemWeights:
    """Item-kNN of implicit by cosine: for each book its nearest neighbours, scores are sums of similarities."""
    return _knn(likes(train, query).T.tocsr(), neighbours, query)


def tfidf_knn(train: Interactions, neighbours: int = 200, query: Query = STOCK_QUERY) -> ItemWeights:
    """As ``cosine_knn``, the likes of readers who like much counting less."""
    return _knn(tfidf_weight(likes(train, query).T), neighbours, query)


def _knn(readers_of: csr_matrix | coo_matrix, neighbours: int, query: Query) -> ItemWeights:
    """From weights (books, readers), what implicit's own models by cosine and by tf-idf do."""
    model = ItemItemRecommender(K=neighbours + 1)  # one of them is the book itself
    model.fit(normalize(readers_of).T.tocsr(), show_progress=False)
    similarity = model.similarity.astype(np.float32)
    similarity.setdiag(0)
    similarity.eliminate_zeros()
    return ItemWeights(similarity, query)


def slim(
    train: Interactions,
    neighbours: int = 100,
    l1: float = 1.0,
    l2: float = 50.0,
    sweeps: int = 30,
    query: Query = STOCK_QUERY,
) -> ItemWeights:
    """SLIM (Ning and Karypis 2011, equation 4), each book's regression on its nearest books alone (their fsSLIM).

    For each book j the non-negative w that minimises ½ |x_j - X w|² + ½ l2 |w|² + l1 |w|₁, w zero but for the
    ``neighbours`` books nearest by cosine, by coordinate descent on the Gram matrix for many books side by side.
    """
    liked = likes(train, query)
    gram = (liked.T @ liked).astype(np.float32).toarray()
    nearest = _nearest(gram, neighbours)
    rows, columns, values = [], [], []
    for start in range(0, len(gram), TOGETHER):
        books = np.arange(start, min(start + TOGETHER, len(gram)))
        weights = regressed(gram, books, nearest[books], l1, l2, sweeps)
        i, k = np.nonzero(weights)
        rows.append(nearest[books[i], k])
        columns.append(books[i])
        values.append(weights[i, k])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return ItemWeights(csr_matrix(entries, shape=gram.shape, dtype=np.float32), query)


def _nearest(gram: NDArray[np.float32], neighbours: int) -> NDArray[np.intp]:
    """(books, k) the nearest by cosine, never the book itself."""
    length = np.sqrt(np.maximum(gram.diagonal(), np.finfo(np.float32).tiny))
    k = min(neighbours, len(gram) - 1)
    nearest = np.empty((len(gram), k), dtype=np.intp)
    for book, row in enumerate(gram):
        cosine = row / length
        cosine[book] = -1.0
        nearest[book] = np.sort(np.argpartition(-cosine, k - 1)[:k])
    return nearest


def regressed(
    gram: NDArray[np.float32], books: NDArray[np.intp], features: NDArray[np.intp], l1: float, l2: float, sweeps: int
) -> NDArray[np.float32]:
    """Weights (b, k) of ``features`` (b, k) for each of ``books`` (b,), ≥ 0."""
    inner = gram[features[:, :, None], features[:, None, :]]
    scale = inner.diagonal(axis1=1, axis2=2) + np.float32(l2)
    # What each feature could still explain of its book: x_kᵀ (x_j - X w) - l1, kept up to date.
    left = gram[features, books[:, None]] - np.float32(l1)
    weights = np.zeros(features.shape, dtype=np.float32)
    for _ in range(sweeps):
        moved = 0.0
        for k in range(features.shape[1]):
            now = np.maximum(0, (left[:, k] + (scale[:, k] - np.float32(l2)) * weights[:, k]) / scale[:, k])
            step = now - weights[:, k]
            weights[:, k] = now
            left -= inner[:, k] * step[:, None]
            moved = max(moved, float(np.abs(step).max(initial=0.0)))
        if moved < SETTLED:
            break
    return weights
