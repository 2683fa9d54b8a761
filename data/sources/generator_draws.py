"""Who rates what, when, and how: the numbers behind a generated library, drawn a chunk of readers at a time.

Books belong to flavours, and a reader has three of them: that is what a model can learn. Popularity is Zipf-Mandelbrot
(p ∝ (rank + 10)^-1) and drifts from one of twelve eras to the next; three books in ten come out during the time.
How much a reader rates is log-normal.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ERAS = 12
MOST_FLAVOURS = 96
BOOKS_PER_FLAVOUR = 25  # at least
TASTES = 3
PULL = np.array(
    [0.50, 0.25, 0.10]
)  # the share of a reader's books that each of their flavours has; the rest is anything
LIKING = np.array([0.9, 0.6, 0.3])  # stars that each of their flavours is worth
RATINGS_PER_CHUNK = 100_000
_ROUNDS = 12  # of drawing again what a reader has rated already, before it is picked from what is left


class Chunk(NamedTuple):
    """Ratings of some readers, sorted by reader and time: row numbers, stars 1..5, time in 0..1; all of one length."""

    reader: Ints
    book: Ints
    stars: Ints
    at: Floats


@dataclass(frozen=True)
class Shelf:
    """The books of a library, as arrays of one length.

    ``run`` numbers the series (a single book is a run of its own), ``place`` counts from 1 in it, ``length`` is how
    many books it has; ``author`` and ``flavour`` are the same all through it. ``birth`` is the era in which a book
    comes out, 0 when it was there before. ``quality`` is in stars.
    """

    run: Ints
    place: Ints
    length: Ints
    author: Ints
    flavour: Ints
    birth: Ints
    quality: Floats


def shelf(books: int, seed: int) -> Shelf:
    rng = np.random.default_rng([seed, 1])
    lengths = np.where(rng.random(books) < 0.8, 1, rng.integers(2, 8, books))  # noqa: PLR2004 - the share of single books
    ends = np.cumsum(lengths)
    run = np.searchsorted(ends, np.arange(books), side="right")
    flavours = _flavours(books)
    flavour = rng.integers(flavours, size=books)[run]
    birth = np.where(rng.random(books) < 0.3, rng.integers(1, ERAS, books), 0)  # noqa: PLR2004 - the share of new books
    _, firsts = np.unique(flavour, return_index=True)
    birth[firsts] = 0  # no flavour is ever without a book
    return Shelf(
        run=run,
        place=np.arange(books) - (ends - lengths)[run] + 1,
        length=np.minimum(ends[run], books) - (ends - lengths)[run],
        author=(rng.random(books) ** 2 * books / 4).astype(np.int64)[run],  # a few write much, most write little
        flavour=flavour,
        birth=birth,
        quality=rng.normal(0, 0.45, books),
    )


def activity(readers: int, books: int, ratings: int, seed: int) -> Ints:
    """How many books each reader rates: log-normal, at most all of them, ``ratings`` together."""
    weights = np.random.default_rng([seed, 2]).lognormal(0, 1.1, readers)
    counts = np.zeros(readers, dtype=np.int64)
    while left := ratings - int(counts.sum()):
        wanted = np.where(counts < books, weights, 0)
        wanted *= left / wanted.sum()
        more = np.minimum(wanted.astype(np.int64), books - counts)
        if not more.any():  # less than one each: those who want it most
            more[np.argsort(-wanted, kind="stable")[: min(left, int((counts < books).sum()))]] = 1
        counts += more
    return counts


def joined(readers: int, seed: int) -> Floats:
    """When each reader comes, in 0..0.95 of the time."""
    return np.random.default_rng([seed, 3]).random(readers) * 0.95


class Draws:
    """The ratings of a library. ``chunks`` gives the same each time it is called."""

    def __init__(self, books: Shelf, counts: Ints, joined: Floats, seed: int) -> None:
        self._books, self._counts, self._joined, self._seed = books, counts, joined, seed
        self._size = books.flavour.size
        self._order = np.argsort(books.flavour, kind="stable")  # books as the popularity lies: flavour after flavour
        self._starts = np.searchsorted(books.flavour[self._order], np.arange(_flavours(self._size) + 1))
        self._rising = self._cumulated(np.random.default_rng([seed, 4]))

    def _cumulated(self, rng: np.random.Generator) -> Floats:
        """(ERAS, books + 1): row e rises from e to e + 1 over the books in flavour order, by popularity in that era."""
        weight = 1 / (rng.permutation(self._size) + 10.0)
        cumulated = np.zeros((ERAS, self._size + 1))
        for era in range(ERAS):
            weight *= np.exp(rng.normal(0, 0.35, self._size))
            out = np.where(self._books.birth <= era, weight, 0)[self._order]
            np.cumsum(out / out.sum(), out=cumulated[era, 1:])
        return cumulated / cumulated[:, -1:] + np.arange(ERAS)[:, None]

    def chunks(self) -> Iterator[Chunk]:
        done = np.cumsum(self._counts)
        marks = np.arange(RATINGS_PER_CHUNK, int(done[-1]), RATINGS_PER_CHUNK)
        edges = np.unique([0, *np.searchsorted(done, marks), done.size])
        for number, (first, end) in enumerate(itertools.pairwise(edges)):
            yield self._chunk(int(first), int(end), np.random.default_rng([self._seed, 5, number]))

    def _chunk(self, first: int, end: int, rng: np.random.Generator) -> Chunk:
        counts = self._counts[first:end]
        tastes = rng.integers(self._starts.size - 1, size=(end - first, TASTES))
        generosity = rng.normal(0, 0.4, end - first)
        reader = np.repeat(np.arange(end - first), counts)
        came = self._joined[first:end]
        stays = np.minimum(1 - came, rng.exponential(0.25, end - first) + 0.01)
        at = (came[reader] + stays[reader] * rng.random(reader.size)).clip(0, np.nextafter(1, 0))
        book = self._distinct_books(reader, at, tastes, rng)
        liking = ((self._books.flavour[book][:, None] == tastes[reader]) * LIKING).max(axis=1, initial=0)
        wanted = 3.5 + self._books.quality[book] + generosity[reader] + liking + rng.normal(0, 0.8, reader.size)
        stars = np.rint(wanted).clip(1, 5).astype(np.int64)
        order = np.lexsort((book, at, reader))
        return Chunk(reader[order] + first, book[order], stars[order], at[order])

    def _distinct_books(self, reader: Ints, at: Floats, tastes: Ints, rng: np.random.Generator) -> Ints:
        """A book for each rating, no book twice for a reader; ``reader`` is sorted."""
        era = (at * ERAS).astype(np.int64)
        book = np.full(reader.size, -1)
        open_ = np.arange(reader.size)
        for _ in range(_ROUNDS):
            book[open_] = self._draw(reader[open_], era[open_], tastes, rng)
            _, kept = np.unique(reader * self._size + book, return_index=True)
            open_ = np.setdiff1d(np.arange(reader.size), kept, assume_unique=True)
            if not open_.size:
                return book
        for one in np.unique(reader[open_]):
            free = np.ones(self._size, dtype=bool)
            own = np.arange(*np.searchsorted(reader, [one, one + 1]))  # reader is sorted
            missing = open_[reader[open_] == one]
            free[book[np.setdiff1d(own, missing, assume_unique=True)]] = False
            book[missing] = rng.choice(np.flatnonzero(free), missing.size, replace=False)
        return book

    def _draw(self, reader: Ints, era: Ints, tastes: Ints, rng: np.random.Generator) -> Ints:
        slot = np.searchsorted(np.cumsum(PULL), rng.random(reader.size), side="right")
        flavour = tastes[reader, np.minimum(slot, TASTES - 1)]
        low = np.where(slot < TASTES, self._starts[flavour], 0)
        high = np.where(slot < TASTES, self._starts[flavour + 1], self._size)
        bottom, top = self._rising[era, low], self._rising[era, high]
        goal = bottom + (top - bottom) * rng.random(reader.size)
        place = np.searchsorted(self._rising.ravel(), goal, side="right") - 1 - era * (self._size + 1)
        drawn: Ints = self._order[np.clip(place, low, high - 1)]
        return drawn


def _flavours(books: int) -> int:
    return max(1, min(MOST_FLAVOURS, books // BOOKS_PER_FLAVOUR))
