"""What a bundle can answer, in one place: the sources of a personal list, similar books, and books to begin with."""

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Self
from uuid import UUID

import numpy as np

from models.across import Across
from models.bundle import Bundle
from models.chain import Source
from models.diversity import DEFAULT
from models.reader import Pick, Reader
from models.sources import ByGenre, NextInSeries, Similar, Stock
from models.starters import Starters
from models.taste import Taste, volumes_in_order


@dataclass(frozen=True)
class Varied:
    """``Taste`` with a diversity: the source of one request."""

    taste: Taste
    diversity: float
    name: str = Taste.name

    def picks(self, reader: Reader, n: int, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        return self.taste.picks(reader, n, within, self.diversity)


class Engine:
    """The sources that one bundle feeds. A bundle without a catalogue has taste alone."""

    def __init__(self, taste: Taste) -> None:
        self.taste = taste
        self.similar: Similar | None = None
        self.starters: Starters | None = None
        self._behind_taste: tuple[Source, ...] = ()
        self._stock: Stock | None = None
        self._works = taste.catalogue.work.tolist() if taste.catalogue is not None else None
        if taste.catalogue is not None and taste.affinity is not None and taste.likeness is not None:
            self._stock = stock = Stock(taste.books, taste.rows, taste.catalogue)
            self.similar = Similar(stock, taste.likeness, taste.neighbours)
            self.starters = Starters(stock, taste.affinity, taste.neighbours)
            self._behind_taste = (NextInSeries(stock), ByGenre(stock, taste.affinity))

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Self:
        """Raises BundleRefused."""
        return cls(Taste.from_bundle(bundle))

    def work(self, book: UUID) -> Hashable:
        """See ``models.chain.Shelf``."""
        row = self.taste.rows.get(book)
        return book if row is None or self._works is None else self._works[row]

    def in_order(self, books: Sequence[UUID]) -> Sequence[int]:
        """See ``models.chain.Shelf``."""
        if self.taste.catalogue is None:
            return range(len(books))
        rows = [self.taste.rows.get(book, -1) for book in books]
        known = [place for place, row in enumerate(rows) if row >= 0]
        order = list(range(len(books)))
        moved = volumes_in_order(np.array([rows[place] for place in known], dtype=np.intp), self.taste.catalogue)
        for place, at in zip(known, moved.tolist(), strict=True):
            order[place] = known[at]
        return order

    @property
    def book_count(self) -> int:
        return len(self.taste.books)

    def personal(self, diversity: float | None = None) -> tuple[Source, ...]:
        """What is asked for a reader's list, in this order; popular books come after it.

        Args:
            diversity: 0, the best as they are, to 1, as different as possible; None: ``models.diversity.DEFAULT``.
        """
        return (Varied(self.taste, DEFAULT if diversity is None else diversity), *self._behind_taste)

    def across(self, count: int) -> tuple[Source, ...]:
        """What is asked for a list across so many of the reader's genres; without a catalogue, taste alone."""
        if self._stock is None or self.taste.affinity is None:
            return (self.taste,)
        return (Across(self._stock, self.taste.affinity, self.personal(0.0), count),)

    def similar_to(self, book: UUID, n: int, reader: Reader, within: AbstractSet[UUID] | None = None) -> list[Pick]:
        """Books like a book, without what the reader has rated or hidden; none where the bundle does not know it."""
        row = self.taste.rows.get(book)
        if row is None or self.similar is None:
            return []
        return self.similar.similar(row, n, reader.barred, within)

    def starting(self, n: int, reader: Reader) -> list[Pick]:
        """The books whose ratings would tell most about the reader."""
        return self.starters.picks(reader, n) if self.starters is not None else []
