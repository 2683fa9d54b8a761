"""Ratings as a model learns from them: integers, grouped by reader, oldest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Self
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.ids import BookIds
from models.reader import HIGHEST_STARS, LOWEST_STARS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Interactions:
    """n ratings by readers 0..R-1 of books 0..m-1, sorted by reader, then time, then the order they were given in.

    Attributes:
        book_ids: (m, 16) uint8, sorted: the book that each number in ``book`` stands for. It stays the same when
            ratings are split off, so that numbers mean the same on both sides.
        reader_count: R; some readers may have no rating here.
        reader: (n,) int32, never falling.
        book: (n,) int32; no book twice for one reader.
        stars: (n,) int8, 1 to 5.
        at: (n,) int64, microseconds since 1970 UTC; never falling within a reader.
    """

    book_ids: BookIds
    reader_count: int
    reader: NDArray[np.int32]
    book: NDArray[np.int32]
    stars: NDArray[np.int8]
    at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.reader)

    @property
    def book_count(self) -> int:
        return len(self.book_ids)

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """Shape (R + 1,): reader r's ratings are ``[bounds[r]:bounds[r + 1]]``.

        Found once: who asks for each reader in turn would look for all of them each time.
        """
        return np.searchsorted(self.reader, np.arange(self.reader_count + 1))

    @property
    def window(self) -> tuple[datetime, datetime] | None:
        """Times of the oldest and the newest rating; None without ratings."""
        if not len(self):
            return None
        return EPOCH + timedelta(microseconds=int(self.at.min())), EPOCH + timedelta(microseconds=int(self.at.max()))

    def only(self, chosen: NDArray[np.bool_]) -> Self:
        """The ratings where ``chosen`` (n,) is true; readers and books keep their numbers."""
        return replace(
            self, reader=self.reader[chosen], book=self.book[chosen], stars=self.stars[chosen], at=self.at[chosen]
        )


@dataclass(frozen=True)
class Numbered:
    """The books of n ratings, as rows of a list of ids: of millions of ratings, a quarter of what the ids would take.

    Attributes:
        ids: (k, 16) uint8, each once, in any order; some may be of no rating.
        row: (n,) integers, 0 to k - 1.
    """

    ids: BookIds
    row: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.row)


RatedBooks = Numbered | BookIds | Iterable[UUID | str | bytes]


def interactions(
    reader: NDArray[np.generic] | Sequence[int] | Sequence[str],
    book_id: RatedBooks,
    stars: ArrayLike,
    at: NDArray[np.int64] | NDArray[np.datetime64] | Sequence[datetime],
    *,
    books: Iterable[UUID] = (),
) -> Interactions:
    """Numbers readers and books, and sorts; what comes sorted by reader and time, each book once, is not sorted again.

    Args:
        reader: One pseudonym a rating, integers or strings.
        book_id: One book a rating: UUIDs, their text or sixteen bytes, an array (n, 16) uint8, or ``Numbered``.
        stars: 1 to 5.
        at: When it was made: int64 microseconds since 1970, datetime64 or aware datetimes. Ratings of one moment keep
            the order given. Of several ratings of one book by one reader the newest stays.
        books: Get a number even where nobody has rated them.

    Raises:
        ValueError: The columns differ in length, stars are out of range, or an id is not a UUID.
    """
    reader_count, reader_code = _numbered(np.asarray(reader))
    rated = book_id if isinstance(book_id, Numbered) else _rows_of(book_id)
    also = np.frombuffer(b"".join(one.bytes for one in books), dtype=np.uint8).reshape(-1, 16)
    book_ids, number = _sorted_ids(np.concatenate([rated.ids, also]))
    book_code = number[: len(rated.ids)][rated.row]
    star, when = np.asarray(stars), _microseconds(at)
    if not len(reader_code) == len(book_code) == len(star) == len(when):
        raise ValueError(f"{len(reader_code)} readers, {len(book_code)} books, {len(star)} stars, {len(when)} times")
    if len(star) and (star.min() < LOWEST_STARS or star.max() > HIGHEST_STARS):
        raise ValueError(f"stars from {star.min()} to {star.max()}: a rating is 1 to 5 stars")
    columns = [reader_code, book_code, star.astype(np.int8), when]
    for reordered in (_by_time, _newest_of_each):
        order = reordered(*columns)
        if order is not None:
            columns = [column[order] for column in columns]
    return Interactions(book_ids, reader_count, *columns)


def _by_time(
    reader: NDArray[np.int32], _book: NDArray[np.int32], _stars: NDArray[np.int8], at: NDArray[np.int64]
) -> NDArray[np.intp] | None:
    """The order by reader, then time; None where it is that already."""
    later = (reader[1:] > reader[:-1]) | ((reader[1:] == reader[:-1]) & (at[1:] >= at[:-1]))
    return None if later.all() else np.lexsort((at, reader))


def _newest_of_each(
    reader: NDArray[np.int32], book: NDArray[np.int32], _stars: NDArray[np.int8], _at: NDArray[np.int64]
) -> NDArray[np.intp] | None:
    """Positions of the last rating of every (reader, book), in their order; None where each has one."""
    pair = reader.astype(np.int64) * (int(book.max(initial=0)) + 1) + book
    alike = np.sort(pair)
    if (alike[1:] != alike[:-1]).all():
        return None
    _, from_the_end = np.unique(pair[::-1], return_index=True)
    return np.sort(len(pair) - 1 - from_the_end)


def _numbered(values: NDArray[Any]) -> tuple[int, NDArray[np.int32]]:
    """How many there are, and for each its number in sorted order: independent of the order in which they came."""
    if (values[1:] >= values[:-1]).all():
        changes = np.concatenate([np.zeros(min(len(values), 1), dtype=np.bool_), values[1:] != values[:-1]])
        codes = np.cumsum(changes, dtype=np.int32)
        return (int(codes[-1]) + 1 if len(codes) else 0), codes
    distinct, number = np.unique(values, return_inverse=True)
    return len(distinct), number.astype(np.int32)


def _rows_of(ids: BookIds | Iterable[UUID | str | bytes]) -> Numbered:
    """Ids in one form, whatever they came in."""
    if isinstance(ids, np.ndarray):
        return Numbered(ids, np.arange(len(ids)))
    seen: dict[UUID | str | bytes, int] = {}
    row = np.fromiter((seen.setdefault(one, len(seen)) for one in ids), np.intp)
    keys = b"".join(_uuid(one).bytes for one in seen)
    return Numbered(np.frombuffer(keys, dtype=np.uint8).reshape(-1, 16), row)


def _sorted_ids(ids: BookIds) -> tuple[BookIds, NDArray[np.int32]]:
    """Distinct ids, sorted, and for each given one its number among them."""
    high, low = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2).astype(np.uint64).T
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    first = np.concatenate([np.ones(min(len(ids), 1), dtype=np.bool_), (high[1:] != high[:-1]) | (low[1:] != low[:-1])])
    number = np.empty(len(ids), np.int32)
    number[order] = np.cumsum(first, dtype=np.int32) - 1
    return ids[order[first]], number


def _uuid(one: UUID | str | bytes) -> UUID:
    if isinstance(one, UUID):
        return one
    return UUID(bytes=one) if isinstance(one, bytes) else UUID(one)


def _microseconds(at: NDArray[np.generic] | Sequence[datetime]) -> NDArray[np.int64]:
    times = np.asarray(at)
    if times.dtype.kind == "O":
        return np.array([(time - EPOCH) // timedelta(microseconds=1) for time in times], dtype=np.int64)
    if times.dtype.kind == "M":
        if np.isnat(times).any():
            raise ValueError("a rating has no time")
        times = times.astype("datetime64[us]")
    return times.astype(np.int64)
