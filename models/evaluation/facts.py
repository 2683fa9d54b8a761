"""What evaluation knows of books beside their ratings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BookFacts:
    """m books in the numbering of ``Interactions.book_ids``.

    Attributes:
        author: (m,) int ≥ 0: equal numbers, same author; a book of unknown author has a number of its own.
        genres: (m, g) bool.
        genre_names: g names.
        year: (m,) float, of publication; NaN where unknown.
        titles: m titles.

    Raises:
        ValueError: The shapes do not belong together.
    """

    author: NDArray[np.integer]
    genres: NDArray[np.bool_]
    genre_names: Sequence[str]
    year: NDArray[np.floating]
    titles: Sequence[str]

    def __post_init__(self) -> None:
        books, genres = self.genres.shape
        if not books == len(self.author) == len(self.year) == len(self.titles):
            raise ValueError(
                f"{len(self.author)} authors, {books} rows of genres, {len(self.year)} years, {len(self.titles)} titles"
            )
        if genres != len(self.genre_names):
            raise ValueError(f"{genres} columns of genres and {len(self.genre_names)} names")
        if books and self.author.min() < 0:
            raise ValueError("an author's number is negative")

    def __len__(self) -> int:
        return len(self.titles)
