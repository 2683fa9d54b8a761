"""Collaborative filtering that is folded in at request time: the bundle knows books, the request brings the reader."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Self
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.affinity import Affinity
from models.bundle import Bundle, BundleRefused, check
from models.catalogue import NONE, PREFIX, Catalogue
from models.diversity import POOL, Likeness, mmr
from models.features import FEATURES, Candidates, Known, candidates
from models.ids import unpack
from models.linear import Factors, Linear, Neighbours
from models.reader import Pick, Reader
from models.reasons import because
from models.rerank import Trees

PAGE = 20
"""So many picks are seen together: among them volumes stand in order. Over a longer list that would lift what is far
down over all that is better: of 50 picks it costs 5 % of NDCG@10, of 20 it costs 3 %."""

OTHER_EDITIONS = 20
"""So many books more are looked at where editions of one work may have to go."""


class Ranking(NamedTuple):
    """Books for a reader, best first.

    ``rows`` (n,); ``scores`` (n,) in 0..1, never rising; ``parts`` (n, m): of each of the m books of the reader in the
    linear score of each pick.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float64]
    parts: NDArray[np.float32]


class Taste:
    """Scores every book by what the reader liked, the latest most.

    Liking is a sum over the books rated: book i adds ``w_i · B_ij`` to the score of book j. ``w_i`` is the evidence of
    the stars times ``(1 + back)^-recency``, where ``back`` counts the ratings made after it; ``B`` is either the
    bundle's item-item weights or, where it has none, ``V Vᵀ`` of its factors. Where the bundle has a re-ranker, it
    orders the best of them by how probable it is that the reader likes them; the reasons stay those of the sum.

    A book rated with stars that are no evidence of liking (weight 0) takes its place in the order and, with a
    re-ranker, speaks against its like. A muted book, or one that the model does not know, is as if it had never been
    rated.
    """

    name = "taste"

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes the arrays of a bundle.

        Raises:
            BundleRefused: They are not as ``models.bundle.SCHEMA`` says, or a part of them does not fit the rest.
        """
        check(arrays)
        self.books = unpack(arrays["book_ids"].astype(np.uint8, copy=False))
        self.rows = {book: row for row, book in enumerate(self.books)}
        self.factors = arrays["item_factors"].astype(np.float32, copy=False)
        self.catalogue = Catalogue.from_arrays(arrays) if f"{PREFIX}author" in arrays else None
        self.neighbours = _neighbours(arrays)
        self.trees = Trees(arrays, len(FEATURES)) if "tree_value" in arrays else None
        if self.trees is not None and self.catalogue is None:
            raise BundleRefused("it has a re-ranker and no catalogue for it to read")
        self.affinity = Affinity(self.catalogue) if self.catalogue is not None else None
        self.likeness = Likeness(self.catalogue, self.affinity) if self.catalogue and self.affinity else None
        self._second = Factors(self.factors)
        self._linear: Linear = self.neighbours if self.neighbours is not None else self._second
        self._evidence = arrays["star_weights"].astype(np.float64)
        self._recency = float(arrays["recency"].astype(np.float64))

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        return cls(bundle.arrays)

    def weights(self, stars: NDArray[np.integer]) -> NDArray[np.float32]:
        """How much each rating says.

        Args:
            stars: Shape (m,), 1 to 5, oldest first.

        Returns:
            Shape (m,), ≥ 0.
        """
        back = np.arange(len(stars) - 1, -1, -1)
        return np.asarray(self._evidence[stars - 1] * (1.0 + back) ** -self._recency, dtype=np.float32)

    def known(self, rows: NDArray[np.intp], stars: NDArray[np.intp]) -> Known:
        """What these ratings say, oldest first."""
        evidence = self._evidence[stars - 1].astype(np.float32)
        return Known(rows, stars, evidence, self.weights(stars))

    def of(self, reader: Reader) -> Known:
        """What is known of the reader, without muted books and books that the model does not know."""
        both = np.array(reader.judged_by(self.rows), dtype=np.intp).reshape(-1, 2)
        return self.known(both[:, 0], both[:, 1])

    def ranking(self, known: Known, n: int, eligible: NDArray[np.bool_], diversity: float = 0.0) -> Ranking:
        """The best ``n`` books with a positive linear score.

        Args:
            known: Of the reader, at most ``models.features.NEWEST`` of whose ratings count.
            n: ≥ 0.
            eligible: Shape (books,): what may be shown.
            diversity: 0, the best as they are, to 1, as different from each other as possible; needs a catalogue.
        """
        known = known.newest()
        if not (known.weights > 0).any():
            empty = np.zeros(0)
            return Ranking(empty.astype(np.intp), empty, np.zeros((0, len(known.rows)), dtype=np.float32))
        varied = self.likeness if diversity > 0 else None
        wanted = max(n, POOL) if varied is not None else n
        trees = self.trees
        found = self._reranked(trees, known, wanted, eligible) if trees else self._by_score(known, wanted, eligible)
        order, scores = np.arange(min(n, len(found.rows))), found.scores[:n]
        if varied is not None:
            order, scores = mmr(found.scores, varied.among(found.rows), diversity, n)
        if self.catalogue is not None:
            pages = [order[start : start + PAGE] for start in range(0, len(order), PAGE)]
            order = np.concatenate([order[:0], *(p[volumes_in_order(found.rows[p], self.catalogue)] for p in pages)])
        return Ranking(found.rows[order], scores, found.parts[order])

    def picks(
        self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None, diversity: float = 0.0
    ) -> list[Pick]:
        """The best ``n`` books for a reader, each with the shares of the reader's books in it."""
        known = self.of(reader).newest()
        rows, scores, parts = self.ranking(known, n, self.eligible(reader, within), diversity)
        rated = [self.books[row] for row in known.rows]
        return [
            Pick(self.books[row], float(score), self.name, because(rated, own))
            for row, score, own in zip(rows, scores, parts, strict=True)
        ]

    def eligible(self, reader: Reader, within: AbstractSet[UUID] | None = None) -> NDArray[np.bool_]:
        """Shape (books,): what is neither rated nor hidden, nor outside ``within``."""
        eligible = np.full(len(self.books), within is None)
        eligible[self._rows_of(within or ())] = True
        return np.asarray(eligible & self.unread(np.array(self._rows_of(reader.barred), dtype=np.intp)))

    def unread(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Shape (books,): all but these, and but other editions of them."""
        if self.catalogue is not None:
            return self.catalogue.unread(rows)
        unread = np.ones(len(self.books), dtype=np.bool_)
        unread[rows] = False
        return unread

    def _rows_of(self, books: AbstractSet[UUID] | tuple[()]) -> list[int]:
        return [row for book in books if (row := self.rows.get(book, -1)) >= 0]

    def candidates(self, known: Known, eligible: NDArray[np.bool_] | None = None) -> Candidates:
        """What the re-ranker is shown.

        Args:
            known: At least one rating with a positive weight.
            eligible: Shape (books,); all that the reader has not rated when None.

        Raises:
            BundleRefused: The bundle has no catalogue.
        """
        if self.catalogue is None:
            raise BundleRefused("a re-ranker needs a catalogue to read")
        if eligible is None:
            eligible = self.unread(known.rows)
        return candidates(known, self._linear, self._second, self.catalogue, eligible)

    def _by_score(self, known: Known, n: int, eligible: NDArray[np.bool_]) -> Ranking:
        """A linear score x > 0 becomes ``√(x / (1 + x))``: in 0..1, in the same order, and legible where x is small."""
        scores = self._linear.scores(known.rows, known.weights)
        best = best_first(scores, n + OTHER_EDITIONS, eligible)
        best = best[self._editions(best)][:n]
        parts = self._linear.contributions(known.rows, known.weights, best)
        linear = scores[best].astype(np.float64)
        return Ranking(best, np.sqrt(linear / (1.0 + linear)), parts)

    def _reranked(self, trees: Trees, known: Known, n: int, eligible: NDArray[np.bool_]) -> Ranking:
        found = self.candidates(known, eligible)
        probability = trees.probability(found.features)
        best = np.lexsort((found.rows, -found.taste, -probability))
        best = best[self._editions(found.rows[best])][:n]
        return Ranking(found.rows[best], probability[best], found.parts[best])

    def _editions(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Places, in order, of the first edition of each work."""
        if self.catalogue is None:
            return np.arange(len(rows))
        return np.sort(np.unique(self.catalogue.work[rows], return_index=True)[1])


def volumes_in_order(rows: NDArray[np.intp], catalogue: Catalogue) -> NDArray[np.intp]:
    """Places of these books such that no volume stands before an earlier one of its series that is in the list too.

    The places that a series has stay its own; volumes without a number stay where they are.
    """
    order = np.arange(len(rows))
    series = np.where(catalogue.position[rows] >= 0, catalogue.series[rows], NONE)
    codes, counts = np.unique(series[series >= 0], return_counts=True)
    for code in codes[counts > 1]:
        places = np.flatnonzero(series == code)
        order[places] = places[np.argsort(catalogue.position[rows[places]], kind="stable")]
    return order


def _neighbours(arrays: Mapping[str, NDArray[np.generic]]) -> Neighbours | None:
    if "neighbour_index" not in arrays:
        return None
    index, weight, books = arrays["neighbour_index"], arrays.get("neighbour_weight"), len(arrays["book_ids"])
    if weight is None or index.shape != weight.shape or len(index) != books:
        raise BundleRefused("neighbour_index and neighbour_weight do not fit each other and the books")
    if index.size and not 0 <= index.min() <= index.max() < books:
        raise BundleRefused("neighbour_index points outside the books")
    return Neighbours(index.astype(np.int32, copy=False), weight.astype(np.float32, copy=False))


def best_first(scores: NDArray[np.floating], n: int, eligible: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Rows of the ``n`` largest scores above 0, best first; equal scores by row, so that the order is always the same.

    Args:
        scores: Shape (books,). What is not finite is not chosen.
        n: ≥ 0.
        eligible: Shape (books,); all when None.
    """
    usable = np.isfinite(scores) & (scores > 0)
    rows = np.flatnonzero(usable if eligible is None else usable & eligible)
    if n < len(rows):
        # All that reach the n-th largest score, ties included: argpartition alone would choose among ties by accident.
        least = np.partition(scores[rows], len(rows) - n)[len(rows) - n] if n > 0 else np.inf
        rows = rows[scores[rows] >= least]
    return rows[np.argsort(-scores[rows], kind="stable")][:n]
