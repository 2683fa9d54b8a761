"""Sources that speak where taste is silent: the next volume of a series, the genres a reader likes, similar books."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.affinity import Affinity
from models.catalogue import Catalogue
from models.diversity import Likeness
from models.linear import Neighbours
from models.reader import LIKED_FROM, Because, Pick, Reader
from models.reasons import MOST_REASONS
from models.taste import best_first

DISLIKED: Final = 2
"""So many stars or fewer end a series for the reader."""

SERIES_RECENCY: Final = 0.3
"""Exponent of the decay of a series with every rating that was made after its newest one."""

SHARPNESS: Final = 3
"""Exponent of the cosine in the score by genre: how much nearness in genres counts beside popularity. On goodbooks
(validation) the NDCG@10 is .046 with .5, .049 with 1, .050 with 2, .053 with 3 and no more with 5; that of popular
books alone is .044."""

UNPOPULAR: Final = 0.2
"""What a book that nobody likes yet keeps of its score by genre."""

TRUSTED_FROM: Final = 20.0
"""So many raters make a book's neighbours and its place in the catalogue weigh the same."""

FIRST_VOLUME: Final = 1.0


@dataclass(frozen=True)
class Stock:
    """Books as rows: the ids outside, the catalogue inside."""

    ids: Sequence[UUID]
    rows: Mapping[UUID, int]
    catalogue: Catalogue

    @classmethod
    def of(cls, ids: Sequence[UUID], catalogue: Catalogue) -> "Stock":
        return cls(ids, {book: row for row, book in enumerate(ids)}, catalogue)

    def known(self, books: Iterable[UUID]) -> NDArray[np.intp]:
        """Their rows, without books that are none of these."""
        return np.array([row for book in books if (row := self.rows.get(book, -1)) >= 0], dtype=np.intp)

    def judged(self, reader: Reader) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and stars of what the reader may be judged by, oldest first."""
        both = np.array(reader.judged_by(self.rows), dtype=np.intp).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def eligible(self, barred: AbstractSet[UUID], within: AbstractSet[UUID] | None) -> NDArray[np.bool_]:
        """(m,): what may be shown; not another edition of what is barred either."""
        allowed = np.full(len(self.ids), within is None)
        allowed[self.known(within or ())] = True
        return np.asarray(allowed & self.catalogue.unread(self.known(barred)))

    def best(self, scores: NDArray[np.floating], n: int, eligible: NDArray[np.bool_]) -> list[int]:
        """The ``n`` best rows with a score above 0, of each work one edition, the better one."""
        asked = 2 * n
        while True:
            rows = best_first(scores, asked, eligible)
            editions: dict[int, int] = {}
            for row in rows.tolist():
                editions.setdefault(int(self.catalogue.work[row]), row)
            if len(editions) >= n or len(rows) < asked:
                return list(editions.values())[:n]
            asked *= 2


class NextInSeries:
    """The next volume of every series in which the reader liked one.

    Liked is four stars or more. On goodbooks (2,304 readers, 70,000 volumes with a successor that the reader had not
    read yet) four stars were followed by four or more for the next volume in 40 % of the cases, five in 51 %, three in
    10 %, two in 3 %.

    The next one is volume 1 if the reader has not read it, else the first after the furthest they have read; what lies
    between numbers (2.5) comes only when no whole number does. A series is over for the reader when the volume furthest
    on, or the one rated last, was disliked, and when the next one is hidden; hiding volume 1 says no more than that it
    is known. Muted volumes are read, but nothing is judged by them. Volumes without a number are never next.

    The score is ``(mean stars - 1) / 4 · (1 + back)^-SERIES_RECENCY`` over the reader's judged volumes, ``back`` the
    number of ratings since the newest of them.
    """

    name = "next_in_series"

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        # Lists: a reader's series are short, and numpy is slow on few numbers.
        self._series, self._work = stock.catalogue.series.tolist(), stock.catalogue.work.tolist()
        self._position, self._raters = stock.catalogue.position.tolist(), stock.catalogue.raters.tolist()
        self._language = stock.catalogue.language.tolist()

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        read, hidden = self._works(reader.rated), self._works(reader.hidden)
        allowed = None if within is None else set(self._stock.known(within).tolist())
        found: dict[int, Pick] = {}
        for score, volumes in self._begun(reader):
            if len(found) >= n:
                break
            row = self._next(volumes[-1], read, hidden, allowed)
            if row is not None:
                because = tuple(Because(self._stock.ids[own], None) for own in volumes[: -MOST_REASONS - 1 : -1])
                found.setdefault(self._work[row], Pick(self._stock.ids[row], score, self.name, because))
        return list(found.values())[:n]

    def _works(self, books: Iterable[UUID]) -> set[int]:
        return {self._work[row] for row in self._stock.known(books).tolist()}

    def _begun(self, reader: Reader) -> list[tuple[float, list[int]]]:
        """Score and judged volumes, oldest rating first, of each series to go on with; best first, then the latest."""
        rows, stars = (column.tolist() for column in self._stock.judged(reader))
        places: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            if self._series[row] >= 0:
                places.setdefault(self._series[row], []).append(place)
        begun = []
        for own in places.values():
            given = [stars[place] for place in own]
            furthest = max(own, key=lambda place: (self._position[rows[place]], place))
            if max(given) < LIKED_FROM or min(given[-1], stars[furthest]) <= DISLIKED:
                continue
            liking = (sum(given) / len(given) - 1) / 4
            begun.append((liking * (len(rows) - own[-1]) ** -SERIES_RECENCY, own))
        begun.sort(key=lambda series: (-series[0], -series[1][-1]))
        return [(score, [rows[place] for place in own]) for score, own in begun]

    def _next(self, volume: int, read: set[int], hidden: set[int], allowed: set[int] | None) -> int | None:
        """The row to go on with in the series of this volume, in its language if there is a choice."""
        volumes = [
            row for row in self._stock.catalogue.in_series(self._series[volume]).tolist() if self._position[row] >= 0
        ]
        done = {self._position[row] for row in volumes if self._work[row] in read}
        position = self._position_after(done, {self._position[row] for row in volumes}, volumes, hidden)
        editions = [row for row in volumes if self._position[row] == position]
        if any(self._work[row] in hidden for row in editions):
            return None
        offered = [row for row in editions if allowed is None or row in allowed]
        return max(
            offered,
            key=lambda row: (self._language[row] == self._language[volume], self._raters[row], -row),
            default=None,
        )

    def _position_after(
        self, done: set[float], there: set[float], volumes: list[int], hidden: set[int]
    ) -> float | None:
        if not done:
            return None  # all that is read has no number: nobody knows where the reader is
        known = {self._position[row] for row in volumes if self._work[row] in hidden}
        if FIRST_VOLUME in there - done - known:
            return FIRST_VOLUME
        furthest = max((position for position in done if position.is_integer()), default=max(done))
        whole = [position for position in there if position > furthest and position.is_integer()]
        return min(whole or (position for position in there if position > max(done)), default=None)


class ByGenre:
    """Books of the genres that the reader likes, the popular ones first.

    ``score = max(0, cosine)³ · (.2 + .8 · log(1 + likes) / log(1 + likes of the most liked book))``, the cosine that of
    the book's genres with the reader's profile (see ``models.affinity``). So a book that nobody has rated has a score
    too, and a book of the reader's that the taste model does not know counts.

    A reader who has liked nothing gets nothing: dislikes alone say where not to look.
    """

    name = "genres"

    def __init__(self, stock: Stock, affinity: Affinity) -> None:
        self._stock = stock
        self._affinity = affinity
        liked = np.log1p(np.maximum(stock.catalogue.likes, 0)).astype(np.float32)
        self._popularity = UNPOPULAR + (1 - UNPOPULAR) * liked / max(float(liked.max(initial=0.0)), 1e-9)

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        rows, stars = self._stock.judged(reader)
        weights = self._affinity.weights(stars)
        liked = rows[weights > 0]
        if not len(liked) or not n:
            return []
        near = np.maximum(self._affinity.genres(rows, weights), 0.0) ** SHARPNESS
        scores = np.minimum(near * self._popularity, 1.0)
        best = self._stock.best(scores, n, self._stock.eligible(reader.barred, within))
        shared = self._affinity.vectors[best] @ self._affinity.vectors[liked].T
        return [
            Pick(self._stock.ids[row], float(scores[row]), self.name, self._because(liked, own))
            for row, own in zip(best, shared, strict=True)
        ]

    def _because(self, liked: NDArray[np.intp], shared: NDArray[np.float32]) -> tuple[Because, ...]:
        """The liked books whose genres are most like the pick's, of equal ones the newer."""
        newest_first = np.arange(len(liked))[::-1]
        most = newest_first[np.argsort(-shared[newest_first], kind="stable")][:MOST_REASONS]
        return tuple(Because(self._stock.ids[liked[place]], None) for place in most if shared[place] > 0)


class Similar:
    """Books like a book, whoever asks.

    ``score = t_i · neighbour + (1 - t_i · t_j) · (1 + t_j) / 2 · likeness``: ``neighbour`` is the positive weight of j
    in the row of i relative to the largest there, ``likeness`` that of ``models.diversity.Likeness``, and
    ``t = raters / (raters + 20)`` how far a book's neighbours can be trusted. Between two books that many have rated
    the neighbours decide, between two new ones the catalogue; a new book beside a known one counts half, lest a genre's
    new books bury what readers have found. The sum is cut at 1.
    """

    name = "similar"

    def __init__(self, stock: Stock, likeness: Likeness, neighbours: Neighbours | None = None) -> None:
        self._stock = stock
        self._likeness = likeness
        self._neighbours = neighbours
        raters = stock.catalogue.raters.astype(np.float32)
        self._trust = raters / (raters + TRUSTED_FROM) if neighbours is not None else np.zeros_like(raters)

    def similar(
        self, row: int, n: int, barred: AbstractSet[UUID] = frozenset(), within: AbstractSet[UUID] | None = None
    ) -> list[Pick]:
        """The ``n`` books most like it, without reasons.

        Args:
            row: Of the book; neither it nor another edition of it is picked.
            n: ≥ 0.
            barred: What a signed-in reader has rated or hidden.
            within: When given, only these books may be picked.
        """
        scores = (1 - self._trust[row] * self._trust) * (1 + self._trust) / 2 * self._likeness.to(row)
        if self._neighbours is not None:
            weights = np.maximum(self._neighbours.weight[row], 0.0)
            largest = float(weights.max(initial=0.0))
            if largest > 0:
                np.add.at(scores, self._neighbours.index[row], self._trust[row] * weights / largest)
        eligible = self._stock.eligible(barred | {self._stock.ids[row]}, within)
        best = self._stock.best(np.minimum(scores, 1.0), n, eligible)
        return [Pick(self._stock.ids[at], min(float(scores[at]), 1.0), self.name) for at in best]
