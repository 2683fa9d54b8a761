"""Which books to ask a new reader about: those whose ratings would tell most."""

from collections.abc import Set as AbstractSet
from heapq import heapify, heappop, heappush
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.affinity import Affinity
from models.catalogue import NONE
from models.linear import Neighbours
from models.reader import Pick, Reader
from models.sources import Stock

ASKED, TARGETS = 300, 2000
"""Only the books with most raters are asked about, and only so many are what one would know: they have most ratings."""

BEST_KNOWN: Final = 0.4
"""The chance that a new reader knows the book with most raters (on goodbooks .36 of the readers do)."""

BY_GENRES, BY_NEIGHBOUR = 0.1, 0.3
"""What equal genres, and a neighbour as near as nearest neighbours usually are, tell of a book's rating, where a rating
of the book itself tells 1."""

NEWEST: Final = 300
"""Ratings of a reader that count."""


class Starters:
    """The books to be rated next, one after another, given what the reader has rated already.

    A rating of book i tells ``c_ij`` in 0..1 of what the reader will think of book j: 1 of i itself, else the larger of
    ``BY_GENRES`` · the cosine of the genres and the neighbour weight, scaled so that the nearest neighbour of a book
    asked about has ``BY_NEIGHBOUR`` in the median. There is a rating only when the reader knows the book, with the
    chance ``a_i = BEST_KNOWN · (raters + 1) / (most raters + 1)``. What is expected to be known after asking for S is
    then, with p_j the book's part of all ratings and known_j the largest c_ij over the books rated already,

        ``F(S) = Σ_j p_j · (1 - (1 - known_j) · Π_{i in S} (1 - a_i · c_ij))``

    (probabilistic coverage: El-Arini et al. 2009, "Turning down the noise in the blogosphere"). F is monotone and
    submodular, so that choosing by steps the book that adds most comes to at least 1 - 1/e of the best value there is,
    and gains never rise from step to step (Nemhauser, Wolsey and Fisher 1978), which spares most of the counting
    (Minoux 1978). So well-known books come first, what is known already adds little, and so does a book that tells of
    the same as one asked before.

    Of a series one volume is asked about, and none where the reader has rated one: who knows one mostly knows the
    others, which F, taking the chances as independent, does not see. The score of a pick is its gain relative to the
    first one's. A reader's stars do not matter here: what was disliked has told as much.

    On goodbooks (validation, 1,151 readers of whom nothing but the answers is known; mean 1/log2(1 + rank) of the books
    liked later, by the linear taste) five of these and the five books with most raters are the same. Ten come to .1182
    with 2.6 answers, the ten with most raters to .1190 (± .0004) with 2.8, and without the rule for series to .1189: it
    costs a little, and spares people a list of four volumes of one series. How much readers differ on a book (the
    entropy of its likes, Rashid et al. 2002), as a factor of a_i, did not help and is left out.
    """

    name = "starters"

    def __init__(self, stock: Stock, affinity: Affinity, neighbours: Neighbours | None = None) -> None:
        self._stock, self._affinity, self._neighbours = stock, affinity, neighbours
        raters = stock.catalogue.raters.astype(np.float64)
        by_raters = np.argsort(-raters, kind="stable")
        self._asked, self._targets = by_raters[:ASKED], by_raters[:TARGETS]
        self._place = np.full(len(raters), -1)
        self._place[self._targets] = np.arange(len(self._targets))
        self._scale = _scale(neighbours.weight[self._asked]) if neighbours is not None else 0.0
        part = raters[self._targets] + 1
        self._part = (part / part.sum()).astype(np.float32)
        chance = BEST_KNOWN * (raters[self._asked] + 1) / (raters.max(initial=0.0) + 1)
        told = [self._told_by(self._asked[[place]]) for place in range(len(self._asked))]
        self._tells = (chance[:, None] * np.array(told).reshape(len(told), -1)).astype(np.float32)
        self._at_first: list[float] = (self._tells @ self._part).tolist()

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        rows, _ = self._stock.judged(reader)
        unknown = self._part * (1 - self._told_by(rows[-NEWEST:]))
        catalogue, eligible = self._stock.catalogue, self._stock.eligible(reader.barred, within)[self._asked]
        series, work = catalogue.series[self._asked].tolist(), catalogue.work[self._asked].tolist()
        begun, asked = set(catalogue.series[rows].tolist()) - {NONE}, set[int]()
        # What a book adds at first is the most that it can ever add, so that only the head is counted anew.
        queue = [(-self._at_first[place], place) for place in np.flatnonzero(eligible).tolist()]
        heapify(queue)
        found: list[tuple[int, float]] = []
        while queue and len(found) < n:
            _, place = heappop(queue)
            if work[place] in asked or series[place] in begun:
                continue
            gain = float(self._tells[place] @ unknown)
            if queue and (-gain, place) > queue[0]:
                heappush(queue, (-gain, place))
                continue
            if gain <= 0:
                break  # all is known
            found.append((place, gain))
            asked.add(work[place])
            begun |= {series[place]} - {NONE}
            unknown = unknown * (1 - self._tells[place])
        return self._shown(found)

    def _shown(self, found: list[tuple[int, float]]) -> list[Pick]:
        picks: list[Pick] = []
        for place, gain in found:
            # In exact arithmetic gains never rise; in float32 they may, in the last digit.
            score = min(gain / found[0][1], picks[-1].score if picks else 1.0)
            picks.append(Pick(self._stock.ids[self._asked[place]], score, self.name))
        return picks

    def _told_by(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """The largest ``c_ij`` of these books for each target: shape (targets,)."""
        vectors = self._affinity.vectors
        cosines = (vectors[rows] @ vectors[self._targets].T).max(axis=0, initial=0.0)
        told = np.asarray(np.float32(BY_GENRES) * np.minimum(cosines, 1.0), dtype=np.float32)
        if self._neighbours is not None:
            place = self._place[self._neighbours.index[rows]]
            near = place >= 0
            weight = self._neighbours.weight[rows][near] * np.float32(self._scale)
            np.maximum.at(told, place[near], np.clip(weight, 0.0, 1.0))
        own = self._place[rows]
        told[own[own >= 0]] = 1.0
        return told


def _scale(weights: NDArray[np.float32]) -> float:
    """Makes the median of the rows' largest weights ``BY_NEIGHBOUR``; 0 when no weight is positive."""
    largest = weights.max(axis=1, initial=0.0)
    largest = largest[largest > 0]
    return BY_NEIGHBOUR / float(np.median(largest)) if len(largest) else 0.0
