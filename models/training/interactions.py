"""Ratings as a model learns from them: integers, grouped by reader, oldest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.ids import BookIds
from models.reader import HIGHEST_STARS, LOWEST_STARS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = TypeVar("Key", int, str, bytes)


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

    @property
    def bounds(self) -> NDArray[np.int64]:
        """Shape (R + 1,): reader r's ratings are ``[bounds[r]:bounds[r + 1]]``."""
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


def interactions(
    reader: NDArray[np.generic] | Sequence[int] | Sequence[str],
    book_id: BookIds | Iterable[UUID | str | bytes],
    stars: ArrayLike,
    at: NDArray[np.int64] | NDArray[np.datetime64] | Sequence[datetime],
    *,
    books: Iterable[UUID] = (),
) -> Interactions:
    """Numbers readers and books, and sorts.

    Args:
        reader: One pseudonym a rating, integers or strings.
        book_id: One book a rating: UUIDs, their text or sixteen bytes, or an array (n, 16) uint8.
        stars: 1 to 5.
        at: When it was made: int64 microseconds since 1970, datetime64 or aware datetimes. Ratings of one moment keep
            the order given. Of several ratings of one book by one reader the newest stays.
        books: Get a number even where nobody has rated them.

    Raises:
        ValueError: The columns differ in length, stars are out of range, or an id is not a UUID.
    """
    readers, reader_code = _numbered(np.asarray(reader).tolist())
    keys = _book_keys(book_id)
    numbered, book_code = _numbered([*keys, *(one.bytes for one in books)])
    book_code = book_code[: len(keys)]
    star, when = np.asarray(stars), _microseconds(at)
    if not len(reader_code) == len(book_code) == len(star) == len(when):
        raise ValueError(f"{len(reader_code)} readers, {len(book_code)} books, {len(star)} stars, {len(when)} times")
    if len(star) and (star.min() < LOWEST_STARS or star.max() > HIGHEST_STARS):
        raise ValueError(f"stars from {star.min()} to {star.max()}: a rating is 1 to 5 stars")
    order = np.lexsort((when, reader_code))
    order = order[_newest_of_each(reader_code[order], book_code[order])]
    return Interactions(
        book_ids=np.frombuffer(b"".join(numbered), dtype=np.uint8).reshape(-1, 16),
        reader_count=len(readers),
        reader=reader_code[order].astype(np.int32),
        book=book_code[order].astype(np.int32),
        stars=star[order].astype(np.int8),
        at=when[order],
    )


def _newest_of_each(reader: NDArray[np.int64], book: NDArray[np.int64]) -> NDArray[np.intp]:
    """Positions of the last rating of every (reader, book), in their order."""
    pair = reader * (int(book.max(initial=0)) + 1) + book
    _, from_the_end = np.unique(pair[::-1], return_index=True)
    return np.sort(len(pair) - 1 - from_the_end)


def _numbered(values: Sequence[Key]) -> tuple[list[Key], NDArray[np.int64]]:
    """Distinct values in sorted order, and for each value its number: independent of the order in which they came."""
    seen: dict[Key, int] = {}
    codes = np.fromiter((seen.setdefault(value, len(seen)) for value in values), np.int64, len(values))
    distinct = sorted(seen)
    rank = np.empty(len(seen), np.int64)
    rank[[seen[value] for value in distinct]] = np.arange(len(seen))
    return distinct, rank[codes]


def _book_keys(ids: BookIds | Iterable[UUID | str | bytes]) -> list[bytes]:
    """The sixteen bytes of every id, in one form whatever they came in."""
    if isinstance(ids, np.ndarray):
        return [row.tobytes() for row in ids]
    known: dict[UUID | str | bytes, bytes] = {}
    keys = []
    for one in ids:
        if one not in known:
            known[one] = _uuid(one).bytes
        keys.append(known[one])
    return keys


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
