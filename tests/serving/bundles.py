"""Bundles with a catalogue, made up for a test."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.catalogue import NONE, Catalogue
from models.ids import pack
from tests.serving.conftest import two_tastes

Arrays = dict[str, np.ndarray[Any, Any]]


def with_catalogue(books: Sequence[uuid.UUID], *told: Mapping[str, Any]) -> Arrays:
    """``two_tastes`` and what is told of each book: author, series, position, genres (numbers), raters.

    Where nothing is said, an author of its own, no series, no genre, and as many raters as its place.
    """
    n = len(books)
    rows = [*told, *[{}] * (n - len(told))]

    def column(name: str, default: float, dtype: type) -> np.ndarray[Any, Any]:
        return np.array([row.get(name, default) for row in rows], dtype=dtype)

    raters = np.array([row.get("raters", place) for place, row in enumerate(rows)], dtype=np.int32)
    genres = np.zeros((n, 4), dtype=np.uint8)
    for place, row in enumerate(rows):
        genres[place, list(row.get("genres", ()))] = 1
    catalogue = Catalogue(
        author=np.array([row.get("author", 100 + place) for place, row in enumerate(rows)], dtype=np.int32),
        series=column("series", NONE, np.int32),
        position=column("position", NONE, np.float32),
        work=np.arange(n, dtype=np.int32),
        language=np.zeros(n, dtype=np.int32),
        year=np.zeros(n, dtype=np.float32),
        genres=genres,
        genre_ids=np.asarray(pack(uuid.UUID(int=place) for place in range(4))),
        raters=raters,
        likes=raters,
        mean=np.full(n, 3.5, dtype=np.float32),
    )
    return {**two_tastes(books), **{name: np.asarray(array) for name, array in catalogue.arrays().items()}}


def neighbours(n: int, pointing: Mapping[int, Mapping[int, float]]) -> Arrays:
    """Item-item weights: which books the rows point to, and how strongly."""
    width = max(len(pointed) for pointed in pointing.values())
    index, weight = np.zeros((n, width), dtype=np.int32), np.zeros((n, width), dtype=np.float32)
    for row, pointed in pointing.items():
        index[row, : len(pointed)] = list(pointed)
        weight[row, : len(pointed)] = list(pointed.values())
    return {"neighbour_index": index, "neighbour_weight": weight}
