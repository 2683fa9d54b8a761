"""What is known of the books themselves, as arrays that travel in the bundle."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.bundle import Arrays, BundleRefused

NONE = -1
"""The code of a book without a series."""

PREFIX = "catalogue_"


@dataclass(frozen=True)
class Catalogue:
    """m books, row by row those of the bundle's ``book_ids``; cold ones too.

    Attributes:
        author: (m,) int32 ≥ 0: equal codes, same (first) author.
        series: (m,) int32, equal codes, same series; ``NONE`` without one.
        position: (m,) float32, the volume's number in its series; ``NONE`` where unknown.
        work: (m,) int32 ≥ 0: editions of one work share a code.
        language: (m,) int32, equal codes, same language; ``NONE`` where unknown.
        year: (m,) float32, of publication; 0 where unknown.
        genres: (m, g) uint8, 1 where the book has the genre.
        genre_ids: (g, 16) uint8.
        raters: (m,) int32, how many readers had rated it when the bundle was made.
        likes: (m,) int32, how many of them gave four stars or more.
        mean: (m,) float32, their mean stars, shrunken towards the library's.
    """

    author: NDArray[np.int32]
    series: NDArray[np.int32]
    position: NDArray[np.float32]
    work: NDArray[np.int32]
    language: NDArray[np.int32]
    year: NDArray[np.float32]
    genres: NDArray[np.uint8]
    genre_ids: NDArray[np.uint8]
    raters: NDArray[np.int32]
    likes: NDArray[np.int32]
    mean: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.author)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """As a bundle keeps them."""
        return {PREFIX + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Raises BundleRefused where the bundle's arrays are not a catalogue of its books."""
        missing = [field.name for field in fields(cls) if PREFIX + field.name not in arrays]
        if missing:
            raise BundleRefused(f"array {PREFIX}{missing[0]} is missing")
        own = {field.name: arrays[PREFIX + field.name] for field in fields(cls)}
        books = len(arrays["book_ids"])
        for name, array in own.items():
            if name != "genre_ids" and len(array) != books:
                raise BundleRefused(f"array {PREFIX}{name} has {len(array)} rows for {books} books")
        if own["genres"].shape != (books, len(own["genre_ids"])):
            raise BundleRefused(f"genres are {own['genres'].shape}, of {len(own['genre_ids'])} genres")
        if books and min(own["author"].min(), own["work"].min()) < 0:
            raise BundleRefused("an author or a work has a negative code")
        return cls(**own)  # type: ignore[arg-type]  # which array has which type is what ``Bundle`` has checked

    @cached_property
    def genre_vectors(self) -> NDArray[np.float32]:
        """(m, g), each row of length 1, or 0 for a book without genres: inner products are cosines."""
        flat = self.genres.astype(np.float32)
        lengths = np.sqrt(flat.sum(axis=1, keepdims=True))
        return np.asarray(flat / np.maximum(lengths, 1.0))

    def unread(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(m,): all books but these, and but other editions of them."""
        closed = np.zeros(int(self.work.max(initial=0)) + 1, dtype=np.bool_)
        closed[self.work[rows]] = True
        return np.asarray(~closed[self.work])

    def in_series(self, code: int) -> NDArray[np.intp]:
        """Rows of the volumes of a series, in no particular order."""
        return _group(self._series_order, code)

    @cached_property
    def _series_order(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return _grouped(self.series)


def _grouped(codes: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows sorted by code, and where each code ≥ 0 begins."""
    order = np.argsort(codes, kind="stable")
    return order, np.searchsorted(codes[order], np.arange(codes.max(initial=-1) + 2))


def _group(grouped: tuple[NDArray[np.intp], NDArray[np.intp]], code: int) -> NDArray[np.intp]:
    order, starts = grouped
    return order[starts[code] : starts[code + 1]] if 0 <= code < len(starts) - 1 else order[:0]
