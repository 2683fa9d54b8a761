"""One list across several of a reader's genres: turn by turn, the best that is left of each."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.affinity import Affinity
from models.chain import Source, page
from models.reader import Pick, Reader
from models.sources import Stock

DEPTH: Final = 100
"""So many picks beside those wanted are looked at, for what the best ones leave of the genres behind the first."""

Item = TypeVar("Item")


def turns(shelves: Sequence[Sequence[Item]], n: int) -> list[Item]:
    """At most ``n`` items, one of each shelf in turn, each the first there that has not been taken, none twice.

    Args:
        shelves: Items, best first; one may stand on several.
        n: ≥ 0.
    """
    taken: dict[Item, None] = {}
    left = [iter(shelf) for shelf in shelves]
    while left and len(taken) < n:
        for shelf in tuple(left):
            found = next((item for item in shelf if item not in taken), None)
            if found is None:
                left.remove(shelf)
            elif len(taken) < n:
                taken[found] = None
    return list(taken)


@dataclass(frozen=True)
class Across:
    """The reader's own list, dealt out over the genres that they like most.

    The genres are those with the largest positive entries of the reader's profile (``models.affinity``), the books
    those that ``sources`` give; a book of several of the genres stands for one of them. Sources and reasons of the
    picks stay; a score is never above that of the pick before.

    Attributes:
        sources: Best first.
        count: How many genres, ≥ 1. A reader who likes fewer gets fewer, one who likes none gets nothing.
    """

    stock: Stock
    affinity: Affinity
    sources: Sequence[Source]
    count: int
    name: str = "across"

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        liked = self.liked(reader)
        if not len(liked) or not n:
            return []
        found = page(self.sources, reader, n + DEPTH, within=within, on_failure=_raise).picks
        genres = self.stock.catalogue.genres[[self.stock.rows[pick.book_id] for pick in found]]
        shelves = [np.flatnonzero(genres[:, genre]).tolist() for genre in liked]
        return _never_rising([found[place] for place in turns(shelves, n)])

    def liked(self, reader: Reader) -> NDArray[np.intp]:
        """Columns of the catalogue's genres, the most liked first; of equal ones the first column."""
        rows, stars = self.stock.judged(reader)
        profile = self.affinity.profile(rows, self.affinity.weights(stars))
        order = np.argsort(-profile, kind="stable")[: self.count]
        return order[profile[order] > 0]


def _never_rising(picks: Sequence[Pick]) -> list[Pick]:
    if not picks:
        return []
    scores = np.minimum.accumulate([pick.score for pick in picks])
    return [replace(pick, score=float(score)) for pick, score in zip(picks, scores, strict=True)]


def _raise(source: str, failure: Exception) -> None:
    """What fails here is told to the chain that asked."""
    raise RuntimeError(f"source {source}") from failure
