"""Who asks, and what is answered. A model knows books; the reader comes with the request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

LOWEST_STARS, HIGHEST_STARS = 1, 5
LIKED_FROM = 4
"""A book with so many stars is one that the reader came to like."""


class Rating(NamedTuple):
    book_id: UUID
    stars: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Reader:
    """What is known of a reader at the moment of the request.

    Attributes:
        ratings: Oldest first, one a book. Any order may be given: it is sorted by time here, ratings of one moment stay
            in the order given, and of several ratings of one book the newest counts. Times are all aware or all naive.
        muted: Books of the reader's own that must not shape the answer ("do not judge me by it").
        hidden: Books that the reader never wants to see.

    Raises:
        ValueError: A rating is not 1 to 5 stars.
    """

    ratings: tuple[Rating, ...] = ()
    muted: frozenset[UUID] = frozenset()
    hidden: frozenset[UUID] = frozenset()

    def __post_init__(self) -> None:
        newest: dict[UUID, Rating] = {}
        for rating in sorted(self.ratings, key=attrgetter("at")):
            if not LOWEST_STARS <= rating.stars <= HIGHEST_STARS:
                raise ValueError(f"{rating.stars} stars for book {rating.book_id}: a rating is 1 to 5 stars")
            newest.pop(rating.book_id, None)  # a dict keeps the place of the first; the newest belongs at the end
            newest[rating.book_id] = rating
        object.__setattr__(self, "ratings", tuple(newest.values()))

    @property
    def rated(self) -> frozenset[UUID]:
        return frozenset(rating.book_id for rating in self.ratings)

    def judged_by(self, rows: Mapping[UUID, int]) -> list[tuple[int, int]]:
        """Row and stars of each rating that may shape an answer, oldest first: of known books that are not muted.

        The hash of a UUID is slow: each book is looked up once.
        """
        looked_up = ((rows.get(rating.book_id, -1), rating) for rating in self.ratings)
        muted = self.muted
        return [
            (row, rating.stars) for row, rating in looked_up if row >= 0 and not (muted and rating.book_id in muted)
        ]

    @property
    def barred(self) -> frozenset[UUID]:
        """The books that no list for this reader may hold: what they have rated and what they have hidden."""
        return self.rated | self.hidden


@dataclass(frozen=True, slots=True)
class Because:
    """A book of the reader's own that led to a pick; ``share`` in (0, 1], None from sources without a linear score."""

    book_id: UUID
    share: float | None


@dataclass(frozen=True, slots=True)
class Pick:
    """A book for the reader: ``score`` in 0..1 orders the list, ``source`` chose it, ``because`` says why."""

    book_id: UUID
    score: float
    source: str
    because: tuple[Because, ...] = ()
